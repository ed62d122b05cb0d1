"""Gate's perpetuals: their frames and REST answers, and the table of all that the simulator knows of them.

Quirks  sizes are contracts, as texts (the connector sends the header for them), negative where the taker sold; two of three ticker frames
        have only some fields
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

ID: Final = "gateio_futures"
CONTRACTS: Final = {"BTC": (1, 0, "0.0001"), "ETH": (2, 1, "0.01"), "SOL": (2, 1, "1"), "XRP": (4, 0, "10"), "DOGE": (5, 0, "10")}
"""Decimals of prices and sizes, and base units of one contract."""
KINDS: Final = {
    "futures.trades": frozenset({"trade"}),
    "futures.book_ticker": frozenset({"quote"}),
    "futures.tickers": frozenset({"ticker", "mark", "funding", "open_interest"}),
    "futures.public_liquidates": frozenset({"liquidation"}),
    "futures.obu": frozenset({"book"}),
    **{f"futures.candlesticks_{name}": frozenset({"candle"}) for name in TIMEFRAMES},
}
API: Final = "/api/v4/futures/usdt"
PAGE: Final = 1_000
CANDLES: Final = 2_000
_FULL_EVERY: Final = 3
"""One of so many ticker frames has all fields."""


def _signed(symbol: kit.Symbol, size: int, *, buys: bool) -> str:
    return f"{'' if buys else '-'}{symbol.short_size(size)}"


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    rows = [
        f'{{"size":"{_signed(symbol, fill.size, buys=fill.buyer_takes)}","id":{fill.trade_id},"create_time":{ts // NS},'
        f'"create_time_ms":{ts // MS},"price":"{symbol.price(fill.price)}","contract":"{symbol.name}"}}'
        for ts, fill in trades
    ]
    yield frame("futures.trades", f"[{','.join(rows)}]", trades[-1][0])


def _forced(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    rows = [
        f'{{"price":"{symbol.price(fill.price)}","size":"{_signed(symbol, fill.size, buys=fill.buyer_takes)}",'
        f'"time":{ts // MS},"contract":"{symbol.name}"}}'
        for ts, fill in trades
    ]
    yield frame("futures.public_liquidates", f"[{','.join(rows)}]", trades[-1][0])


def _quote(symbol: kit.Symbol, ts: int) -> str:
    best = symbol.best
    bid = f'"b":"{symbol.short_price(best.bid)}","B":"{symbol.short_size(best.bid_size)}"'
    ask = f'"a":"{symbol.short_price(best.ask)}","A":"{symbol.short_size(best.ask_size)}"'
    return frame("futures.book_ticker", f'{{"t":{ts // MS},"u":{symbol.number},"s":"{symbol.name}",{bid},{ask}}}', ts)


def _ticker(symbol: kit.Symbol, ts: int) -> str:
    day, figures, listing = symbol.day, symbol.figures, symbol.pair.listing
    prices = f'"last":"{day["last"]}","mark_price":"{symbol.price(figures.mark_price)}","index_price":"{symbol.price(figures.index_price)}"'
    next_s = (figures.next_ts or 0) // NS
    funding = f'"funding_rate":"{symbol.rate(figures.rate)}","funding_interval":{listing.funding_s},"funding_next_apply":{next_s}'
    rest = ""
    if ts // NS % _FULL_EVERY == 0:
        volume = symbol.pair.volume
        base = f"{listing.base_size(volume, 1):f}"
        volumes = f'"volume_24h":"{symbol.short_size(volume)}","volume_24h_base":"{base}","volume_24h_quote":"1.5"'
        rest = f'"total_size":"{symbol.short_size(figures.open_interest)}",{volumes},"low_24h":"{day["low"]}","high_24h":"{day["high"]}",'
    return frame("futures.tickers", f'[{{"contract":"{symbol.name}",{rest}{prices},{funding},"price_type":"last","t":{ts // MS}}}]', ts)


def _tickers(feed: Any, symbol: kit.Symbol, topic: Topic, write: Any) -> kit.Channel:
    return kit.ValueChannel(feed, symbol, topic, write, every_ns=NS, first=lambda one, ts: _ticker(one, ts // (3 * NS) * 3 * NS))


class FuturesMarket(protocol.GateMarket):
    """Gate's perpetuals."""

    market = "futures"
    streams = (
        ("futures.trades", kit.TradeChannel, _trades),
        ("futures.book_ticker", kit.QuoteChannel, _quote),
        ("futures.tickers", _tickers, _ticker),
        ("futures.public_liquidates", kit.LiquidationChannel, _forced),
    )

    @staticmethod
    def feed(source: Any, options: spec.Options) -> Any:
        """The venue's feed."""
        return protocol.GateFeed(source, "futures", KINDS)

    def candle(self, symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
        """See `GateMarket.candle`."""
        prices = f'"c":"{candle.close}","h":"{candle.high}","l":"{candle.low}","o":"{candle.open}"'
        name = f'"n":"{topic[0].rpartition("_")[2]}_{symbol.name}"'
        volumes = f'"v":"{candle.volume}","a":"{candle.quote_volume}","w":{protocol.closing(candle, is_over=is_over)}'
        return frame("futures.candlesticks", f'[{{"t":{candle.open_ts // NS},{prices},{name},{volumes}}}]', ts)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Contracts, trades, books of one level, candles."""
        if path == f"{API}/contracts":
            return answer([_row(symbol) for symbol in self.listed.values()])
        return history(self, path, query, now) or protocol.UNKNOWN


def _row(symbol: kit.Symbol) -> dict[str, object]:
    one, figures = symbol.pair.listing, symbol.figures
    prices = {"mark_price": symbol.price(figures.mark_price), "index_price": symbol.price(figures.index_price)}
    sizes = {"quanto_multiplier": one.contract_size, "order_price_round": symbol.price(1), "order_size_min": symbol.short_size(1)}
    flags = {"in_delisting": False, "enable_decimal": bool(one.size_decimals), "contract_type": "", "status": "trading"}
    return {"name": one.symbol, "type": "direct", **sizes, **prices, **flags, "funding_interval": one.funding_s}


def history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Trades, best prices and candles; None: the path is about something else, or the contract is unknown."""
    symbol = query.get("contract", "")
    if path == f"{API}/trades" and (known := data.history(symbol)) is not None:
        limit = min(integer(query.get("limit"), 100) or 100, PAGE)
        return answer([_trade(symbol, one) for one in reversed(known.newest(limit))])
    if path == f"{API}/order_book" and (top := data.top(symbol)) is not None:
        bids, asks = ([{"p": one[0], "s": one[1]}] if one else [] for one in (top.bid, top.ask))
        return answer({"current": now // MS / 1_000, "update": now // MS / 1_000, "asks": asks, "bids": bids})
    if path == f"{API}/candlesticks":
        return protocol.candles(data, symbol, query, now, most=CANDLES, write=_candle)
    return None


def _trade(symbol: str, one: Traded) -> dict[str, object]:
    size = one.size if one.buyer_takes else f"-{one.size}"
    return {"size": size, "id": one.trade_id, "create_time_ms": one.ts // MS / 1_000, "contract": symbol, "price": one.price}


def _candle(one: Candle) -> dict[str, object]:
    prices = {"o": one.open, "h": one.high, "l": one.low, "c": one.close}
    return {"t": one.open_ts // NS, "v": one.volume, **prices, "sum": one.quote_volume}


def _recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    for raw in msgspec.json.decode(payload, type=dict[str, Any])["result"]:
        size, ts = str(raw["size"]), int(raw["create_time_ms"]) * MS
        yield raw["contract"], Traded(raw["id"], ts, plain(raw["price"]), plain(size.removeprefix("-")), not size.startswith("-"))


def _recorded_top(payload: bytes) -> Top:
    raw = msgspec.json.decode(payload, type=dict[str, Any])["result"]
    return Top((raw["b"], str(raw["B"])) if raw["b"] else None, (raw["a"], str(raw["A"])) if raw["a"] else None)


VENUE: Final = spec.SimulatedVenue(
    id=ID,
    title="Gate perpetuals",
    listings=tuple(
        Listing(ID, f"{base}_USDT", base, "USDT", prices, sizes, contract_size=size, funding_s=14_400 if base == "XRP" else 28_800)
        for base, (prices, sizes, size) in CONTRACTS.items()
    ),
    options=protocol.OPTIONS,
    dialects=(protocol.dialect("futures", "/v4/ws/usdt", KINDS),),
    market=FuturesMarket,
    rest=spec.RestRules(
        history=history,
        unknown=protocol.UNKNOWN,
        refusal=protocol.refusal,
        lists=(
            spec.InstrumentList(
                path=f"{API}/contracts",
                rows=(),
                symbol="name",
                base="name",
                tick="order_price_round",
                lot="order_size_min",
                unlisted=lambda base: {"name": f"{base}_USDT"},
            ),
        ),
        halted={"halt": {"status": "circuit_breaker"}, "delisted": {"in_delisting": True}},
        shift_query=protocol.shift_query,
    ),
    recorded=spec.RecordedRules(
        names="gateio_futures|gate_futures", trades={"futures.trades": _recorded_trades}, tops={"futures.book_ticker": _recorded_top}
    ),
    kinds=KINDS,
    fields={
        "trade": ("price", "size"),
        "quote": ("[ab]", "[AB]"),
        "ticker": ("last", "volume_24h"),
        "candle": ("[ochl]", "v"),
        "mark": ("mark_price", "index_price"),
        "funding": ("funding_rate", "funding_interval"),
        "open_interest": ("total_size", "total_size"),
        "liquidation": ("price", "size"),
    },
    shift=protocol.SHIFT,
    ids=protocol.IDS,
    maintenance=protocol.MAINTENANCE,
)
