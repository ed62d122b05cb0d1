"""Gate spot: its frames and REST answers, and the table of all that the simulator knows of it.

Quirks  a candle's `v` is its turnover; a trade's time is a text of ms with decimals; REST is newest first for trades, oldest for candles
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS, plain
from crosstape_simulator.market.history import Candle, MarketData, Top, Traded, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.gateio import protocol
from crosstape_simulator.venues.gateio.protocol import MS, TIMEFRAMES, frame

ID: Final = "gateio"
DECIMALS: Final = {"BTC": (1, 6), "ETH": (2, 4), "SOL": (2, 3), "XRP": (4, 2), "DOGE": (5, 2), "ADA": (4, 2)}
"""Of prices and sizes, as the real venue has (or had) for the same pairs."""
KINDS: Final = {
    "spot.trades": frozenset({"trade"}),
    "spot.book_ticker": frozenset({"quote"}),
    "spot.tickers": frozenset({"ticker"}),
    "spot.obu": frozenset({"book"}),
    **{f"spot.candlesticks_{name}": frozenset({"candle"}) for name in TIMEFRAMES},
}
API: Final = "/api/v4/spot"
PAGE: Final = 1_000


def _moment(ts: int) -> str:
    return f"{ts // MS}.{ts // 1_000 % 1_000:03d}"


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    for ts, fill in trades:
        side = "buy" if fill.buyer_takes else "sell"
        made = f'"id":{fill.trade_id},"create_time":{ts // NS},"create_time_ms":"{_moment(ts)}","side":"{side}"'
        numbers = f'"amount":"{symbol.size(fill.size)}","price":"{symbol.price(fill.price)}"'
        yield frame("spot.trades", f'{{{made},"currency_pair":"{symbol.name}",{numbers}}}', ts)


def _quote(symbol: kit.Symbol, ts: int) -> str:
    best = symbol.best
    bid = f'"b":"{symbol.short_price(best.bid)}","B":"{symbol.short_size(best.bid_size)}"'
    ask = f'"a":"{symbol.short_price(best.ask)}","A":"{symbol.short_size(best.ask_size)}"'
    return frame("spot.book_ticker", f'{{"t":{ts // MS},"u":{symbol.number},"s":"{symbol.name}",{bid},{ask}}}', ts)


def _ticker(symbol: kit.Symbol, ts: int) -> str:
    day, pair = symbol.day, symbol.pair
    prices = f'"last":"{day["last"]}","lowest_ask":"{day["ask"]}","highest_bid":"{day["bid"]}","change_percentage":"0"'
    turnover = symbol.short_price(pair.turnover // 10**pair.listing.size_decimals)
    volumes = f'"base_volume":"{symbol.size(pair.volume)}","quote_volume":"{turnover}"'
    return frame(
        "spot.tickers", f'{{"currency_pair":"{symbol.name}",{prices},{volumes},"high_24h":"{day["high"]}","low_24h":"{day["low"]}"}}', ts
    )


class SpotMarket(protocol.GateMarket):
    """Gate spot."""

    market = "spot"
    streams = (
        ("spot.trades", kit.TradeChannel, _trades),
        ("spot.book_ticker", kit.QuoteChannel, _quote),
        (
            "spot.tickers",
            lambda feed, symbol, topic, write: kit.TickerChannel(feed, symbol, topic, write, gathers=True, every_ns=NS),
            _ticker,
        ),
    )

    @staticmethod
    def feed(source: Any, options: spec.Options) -> Any:
        """The venue's feed."""
        return protocol.GateFeed(source, "spot", KINDS)

    def candle(self, symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
        """See `GateMarket.candle`."""
        prices = f'"c":"{candle.close}","h":"{candle.high}","l":"{candle.low}","o":"{candle.open}"'
        name = f'"n":"{topic[0].rpartition("_")[2]}_{symbol.name}"'
        volumes = f'"v":"{candle.quote_volume}","a":"{candle.volume}","w":{protocol.closing(candle, is_over=is_over)}'
        return frame("spot.candlesticks", f'{{"t":"{candle.open_ts // NS}",{prices},{name},{volumes}}}', ts)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Pairs, trades, books of one level, candles, the time."""
        if path == f"{API}/currency_pairs":
            return answer([_row(symbol) for symbol in self.listed.values()])
        if path == f"{API}/time":
            return answer({"server_time": now // MS})
        return history(self, path, query, now) or protocol.UNKNOWN


def _row(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    names = {"id": one.symbol, "base": one.base, "base_name": one.base, "quote": one.quote, "quote_name": one.quote, "fee": "0.2"}
    digits = {"amount_precision": one.size_decimals, "precision": one.price_decimals}
    return {**names, **digits, "min_quote_amount": "3", "trade_status": "tradable", "sell_start": 0, "buy_start": 0, "type": "normal"}


def history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Trades, best prices and candles; None: the path is about something else, or the pair is unknown."""
    symbol = query.get("currency_pair", "")
    if path == f"{API}/trades" and (known := data.history(symbol)) is not None:
        limit, last = min(integer(query.get("limit"), 100) or 100, PAGE), integer(query.get("last_id"), 0)
        if last is None:
            return protocol.UNKNOWN
        rows = known.below(last, limit) if last and query.get("reverse") == "true" else known.newest(limit)
        return answer([_trade(symbol, one) for one in reversed(rows)])
    if path == f"{API}/order_book" and (top := data.top(symbol)) is not None:
        bids, asks = ([list(one)] if one else [] for one in (top.bid, top.ask))
        return answer({"current": now // MS, "update": now // MS, "asks": asks, "bids": bids})
    if path == f"{API}/candlesticks":
        return protocol.candles(data, symbol, query, now, most=PAGE, write=lambda one: _candle(one, now))
    return None


def _trade(symbol: str, one: Traded) -> dict[str, object]:
    times = {"create_time": str(one.ts // NS), "create_time_ms": _moment(one.ts)}
    side = "buy" if one.buyer_takes else "sell"
    return {"id": str(one.trade_id), **times, "currency_pair": symbol, "side": side, "amount": one.size, "price": one.price}


def _candle(one: Candle, now: int) -> list[str]:
    prices = one.close, one.high, one.low, one.open
    return [str(one.open_ts // NS), one.quote_volume, *prices, one.volume, str(one.close_ts <= now).lower()]


def _recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    made = msgspec.json.decode(payload, type=dict[str, Any])["result"]
    for raw in made if isinstance(made, list) else [made]:
        ms, _, part = str(raw["create_time_ms"]).partition(".")
        ts = int(ms) * MS + int(part[:6].ljust(6, "0"))
        yield raw["currency_pair"], Traded(raw["id"], ts, plain(raw["price"]), plain(raw["amount"]), raw["side"] == "buy")


def _recorded_top(payload: bytes) -> Top:
    raw = msgspec.json.decode(payload, type=dict[str, Any])["result"]
    return Top((raw["b"], raw["B"]) if raw["b"] else None, (raw["a"], raw["A"]) if raw["a"] else None)


VENUE: Final = spec.SimulatedVenue(
    id=ID,
    title="Gate",
    listings=tuple(Listing(ID, f"{base}_USDT", base, "USDT", *decimals) for base, decimals in DECIMALS.items()),
    options=protocol.OPTIONS,
    dialects=(protocol.dialect("spot", "/ws/v4/", KINDS),),
    market=SpotMarket,
    rest=spec.RestRules(
        history=history,
        unknown=protocol.UNKNOWN,
        refusal=protocol.refusal,
        lists=(
            spec.InstrumentList(
                path=f"{API}/currency_pairs",
                rows=(),
                symbol="id",
                base="base",
                tick="precision",
                lot="amount_precision",
                status="trade_status",
                unlisted=lambda base: {"id": f"{base}_USDT", "base": base, "quote": "USDT"},
            ),
        ),
        halted={
            "halt": {"trade_status": "untradable"},
            "cancel_only": {"trade_status": "sellable"},
            "delisted": {"trade_status": "untradable"},
        },
        shift_query=protocol.shift_query,
    ),
    recorded=spec.RecordedRules(names="gateio|gate", trades={"spot.trades": _recorded_trades}, tops={"spot.book_ticker": _recorded_top}),
    kinds=KINDS,
    fields={
        "trade": ("price", "amount"),
        "quote": ("[ab]", "[AB]"),
        "ticker": ("last", "base_volume"),
        "candle": ("[ochl]", "a"),
    },
    shift=protocol.SHIFT,
    ids=protocol.IDS,
    maintenance=protocol.MAINTENANCE,
)
