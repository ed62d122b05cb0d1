"""HTX perpetuals: their frames and REST answers, and the table of all that the simulator knows of them.

Quirks  trades, volumes and open interest count both sides, so that all are even; trades come oldest first, and a subscription is answered
        with the last one; a book begins with a snapshot, and its versions grow by one with each frame. Mark and index price are the
        closes of candles whose numbers are texts, on a socket of their own; funding and liquidations are notifications
Not simulated: dated and coin-margined contracts, changes of `contract_info`, books of complete levels
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.history import Candle, MarketData, Traded, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Fill, Move
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.htx import protocol
from crosstape_simulator.venues.htx.protocol import MS, frame, notification
from crosstape_simulator.venues.rewriting import UpdateIds

ID: Final = "htx_swap"
CONTRACTS: Final = {"BTC": (1, "0.001"), "ETH": (2, "0.01"), "SOL": (3, "0.1"), "XRP": (5, "10"), "DOGE": (5, "100"), "ADA": (4, "10")}
"""Decimals of prices, and base units of one contract."""
DEPTHS: Final = {f"depth.size_{depth}.high_freq": depth for depth in (20, 150)}
KINDS: Final = {
    "trade.detail": frozenset({"trade"}),
    "bbo": frozenset({"quote"}),
    "detail": frozenset({"ticker"}),
    **dict.fromkeys(DEPTHS, frozenset({"book"})),
    **dict.fromkeys(protocol.CANDLES, frozenset({"candle"})),
}
INDEX_KINDS: Final = {"mark_price.1min": frozenset({"mark"}), "index.1min": frozenset({"mark"})}
NOTIFIED: Final = {"funding_rate": frozenset({"funding"}), "liquidation_orders": frozenset({"liquidation"})}
INFO, INTEREST = "/linear-swap-api/v1/swap_contract_info", "/linear-swap-api/v1/swap_open_interest"
TRADES, QUOTES = "/linear-swap-ex/market/history/trade", "/linear-swap-ex/market/bbo"
KLINES: Final = "/linear-swap-ex/market/history/kline"
MARKET: Final = protocol.dialect("market", "/linear-swap-ws", KINDS)
INDEX: Final = protocol.dialect("index", "/ws_index", INDEX_KINDS)
NOTIFICATION: Final = protocol.dialect(
    "notification", "/linear-swap-notification", (*NOTIFIED, "contract_info"), pings=protocol.NOTIFICATION_PINGS
)


def _doubled(text: str) -> str:
    return f"{2 * Decimal(text):f}"


def _base(symbol: kit.Symbol, lots: int) -> str:
    return f"{symbol.pair.listing.base_size(lots, 1):f}"


def _row(symbol: kit.Symbol, ts: int, fill: Fill) -> str:
    amounts = f'"amount":{2 * fill.size},"quantity":{_doubled(_base(symbol, fill.size))},"trade_turnover":1.5'
    side = "buy" if fill.buyer_takes else "sell"
    return f'{{{amounts},"ts":{ts // MS},"id":{fill.trade_id},"price":{symbol.short_price(fill.price)},"direction":"{side}"}}'


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    ts = trades[-1][0]
    rows = ",".join([_row(symbol, made_ts, fill) for made_ts, fill in trades])
    yield frame(("trade.detail", symbol.name), f'"id":{trades[-1][1].trade_id},"ts":{ts // MS},"data":[{rows}]', ts)


def _last(symbol: kit.Symbol, ts: int) -> str:
    return next(_trades(symbol, [symbol.pair.recent[-1]]))


def _quote(symbol: kit.Symbol, ts: int) -> str:
    best, number = symbol.best, symbol.number
    sides = f'"bid":[{symbol.short_price(best.bid)},{best.bid_size}],"ask":[{symbol.short_price(best.ask)},{best.ask_size}]'
    tick = f'"mrid":{number},"id":{ts // NS},{sides},"ts":{ts // MS},"version":{number},"ch":"market.{symbol.name}.bbo"'
    return frame(("bbo", symbol.name), tick, ts)


def _day(symbol: kit.Symbol, ts: int) -> str:
    pair = symbol.pair
    prices = ",".join(
        f'"{name}":{symbol.short_price(price)}'
        for name, price in (("open", pair.open), ("close", pair.last.price), ("high", pair.high), ("low", pair.low))
    )
    turnover = _doubled(symbol.short_price(pair.turnover))
    volumes = f'"amount":{_doubled(_base(symbol, pair.volume))},"vol":{2 * pair.volume},"trade_turnover":{turnover},"count":2983'
    return frame(("detail", symbol.name), f'"id":{ts // NS},"mrid":{symbol.number},{prices},{volumes}', ts)


def _figures(candle: Candle) -> str:
    prices = f'"open":{candle.open},"close":{candle.close},"high":{candle.high},"low":{candle.low}'
    volumes = f'"amount":{_doubled(candle.base_volume)},"vol":{_doubled(candle.volume)},"trade_turnover":{_doubled(candle.quote_volume)}'
    return f'"id":{candle.open_ts // NS},{prices},{volumes},"count":{candle.trades}'


def _candle(symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    return frame(topic, _figures(candle), ts)


def _closed(channel: str, symbol: kit.Symbol, ticks: int, ts: int) -> str:
    price = symbol.price(ticks)
    prices = ",".join(f'"{name}":"{price}"' for name in ("open", "close", "high", "low"))
    tick = f'"id":{ts // NS // 60 * 60},{prices},"amount":"0","vol":"0","count":"0","trade_turnover":"0"'
    return f'{{"ch":"market.{symbol.name}.{channel}","tick":{{{tick}}},"ts":{symbol.figures.ts // MS}}}'


def _mark(symbol: kit.Symbol, ts: int) -> str:
    return _closed("mark_price.1min", symbol, symbol.figures.mark_price, ts)


def _index(symbol: kit.Symbol, ts: int) -> str:
    return _closed("index.1min", symbol, symbol.figures.index_price, ts)


def _names(symbol: kit.Symbol) -> str:
    return f'"symbol":"{symbol.pair.listing.base}","contract_code":"{symbol.name}"'


def _funding(symbol: kit.Symbol, ts: int) -> str:
    now = symbol.figures
    times = f'"fee_asset":"USDT","funding_time":"{ts // MS}","settlement_time":"{(now.next_ts or 0) // MS}"'
    rate = symbol.rate(now.rate) if now.rate else "0E-18"
    row = f'{_names(symbol)},{times},"funding_rate":"{rate}","estimated_rate":null,"trade_partition":"USDT"'
    return notification(("funding_rate", symbol.name), row, now.ts)


def _liquidations(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    for ts, fill in trades:
        side = "buy" if fill.buyer_takes else "sell"
        amounts = f'"volume":{fill.size},"price":{symbol.short_price(fill.price)},"amount":{_base(symbol, fill.size)}'
        row = f'{_names(symbol)},"direction":"{side}","offset":"close",{amounts},"created_at":{ts // MS}'
        yield notification(("liquidation_orders", symbol.name), row, ts)


class Numbered(kit.Channel):
    """A symbol's book in both depths: a snapshot for a new client, then each move, also one that changes nothing within the depth.

    A level that leaves the depth is deleted, so that a client never has more.
    """

    def __init__(self, feed: Feed, symbol: kit.Symbol) -> None:
        super().__init__(feed, symbol, *((channel, symbol.name) for channel in DEPTHS))
        self._sent: dict[Topic, tuple[dict[int, int], dict[int, int]]] = {}

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send the book."""
        bids, asks = self._sent[topic] = self._book(topic)
        self.feed.send_data(connection, topic, self._frame(topic, "snapshot", bids.items(), asks.items(), ts), ts)

    def apply(self, move: Move) -> None:
        """Send each depth what has changed in it."""
        for topic in tuple(self._sent) if move.changes else ():
            if topic not in self.feed.subscribers:
                del self._sent[topic]
                continue
            before, self._sent[topic] = self._sent[topic], self._book(topic)
            bids, asks = (_changes(old, new) for old, new in zip(before, self._sent[topic], strict=True))
            self.feed.publish_data(topic, self._frame(topic, "update", bids, asks, move.ts), move.ts)

    def _book(self, topic: Topic) -> tuple[dict[int, int], dict[int, int]]:
        pair, depth = self.symbol.pair, DEPTHS[topic[0]]
        return dict(pair.bids.levels(depth)), dict(pair.asks.levels(depth))

    def _frame(self, topic: Topic, event: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], ts: int) -> str:
        sides = [",".join([f"[{self.symbol.short_price(price)},{size}]" for price, size in rows]) for rows in (asks, bids)]
        number = self.symbol.number
        head = f'"ch":"market.{topic[1]}.{topic[0]}","event":"{event}","id":{number},"mrid":{number},"ts":{ts // MS}'
        return frame(topic, f'"asks":[{sides[0]}],"bids":[{sides[1]}],{head},"version":{number}', ts)


def _changes(old: Mapping[int, int], new: Mapping[int, int]) -> list[tuple[int, int]]:
    gone = [(price, 0) for price in old if price not in new]
    return [*gone, *((price, size) for price, size in new.items() if old.get(price) != size)]


class SwapMarket(protocol.HtxMarket):
    """HTX perpetuals."""

    dialects = MARKET, INDEX, NOTIFICATION
    step = 0

    def apply(self, move: Move) -> None:
        """Show the move to the symbol's channels. A book's version grows by one with each."""
        if move.changes:
            self.listed[move.pair.listing.symbol].number += 1
        super().apply(move)

    def channels(self, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that there is of one contract."""
        feed, name = self.feeds["market"], symbol.name
        yield kit.TradeChannel(feed, symbol, ("trade.detail", name), _trades, first=_last)
        yield Numbered(feed, symbol)
        yield kit.QuoteChannel(feed, symbol, ("bbo", name), _quote, first=_quote)
        yield kit.TickerChannel(feed, symbol, ("detail", name), _day, gathers=True, every_ns=NS // 2)
        yield self.candles_of(feed, symbol, _candle)
        index, notified = self.feeds["index"], self.feeds["notification"]
        yield kit.ValueChannel(index, symbol, ("index.1min", name), _index, every_ns=NS, first=_index)
        yield kit.ValueChannel(index, symbol, ("mark_price.1min", name), _mark, every_ns=NS)
        yield kit.ValueChannel(notified, symbol, ("funding_rate", name), _funding, every_ns=5 * NS, first=_funding)
        yield kit.LiquidationChannel(notified, symbol, ("liquidation_orders", name), _liquidations)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Contracts, open interest; trades, best prices and candles."""
        if path == INFO:
            return protocol.found(f"[{','.join([_contract(symbol) for symbol in self.listed.values()])}]", now)
        if path == INTEREST:
            rows = [
                f'{{"volume":{2 * one.figures.open_interest},"amount":{_doubled(_base(one, one.figures.open_interest))},{_names(one)},'
                f'"value":{_doubled(_value(one))},"business_type":"swap"}}'
                for one in self.listed.values()
            ]
            return protocol.found(f"[{','.join(rows)}]", max(one.figures.ts for one in self.listed.values()))
        return history(self, path, query, now) or protocol.UNKNOWN


def _value(symbol: kit.Symbol) -> str:
    return f"{Decimal(_base(symbol, symbol.figures.open_interest)) * Decimal(symbol.price(symbol.figures.mark_price)):f}"


def _contract(symbol: kit.Symbol) -> str:
    one = symbol.pair.listing
    sizes = f'"contract_size":{one.contract_size},"price_tick":{symbol.short_price(1)},"settlement_period":"{one.funding_s // 3_600}"'
    kind = f'"contract_status":1,"business_type":"swap","pair":"{symbol.name}","contract_type":"swap","tradfi_labels":[]'
    return f'{{{_names(symbol)},{sizes},"delivery_time":"",{kind}}}'


def history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Trades, best prices and candles; None: the path is about something else."""
    symbol = query.get("contract_code", "")
    if path == QUOTES:
        rows = []
        for name in data.symbols():
            if (top := data.top(name)) is not None:
                sides = [f'"{side}":[{one[0]},{one[1]}]' for side, one in (("bid", top.bid), ("ask", top.ask)) if one]
                rows.append(f'{{{",".join([*sides, ""])}"contract_code":"{name}","ts":{now // MS}}}')
        return protocol.found(f"[{','.join(rows)}]", now, key="ticks")
    if path == TRADES and (known := data.history(symbol)) is not None:
        groups = [
            f'{{"id":{one.trade_id},"ts":{one.ts // MS},"data":[{{"amount":{_doubled(one.size)},"direction":"'
            f'{"buy" if one.buyer_takes else "sell"}","id":{one.trade_id},"price":{one.price},"ts":{one.ts // MS}}}]}}'
            for one in reversed(known.newest(min(integer(query.get("size"), 1) or 1, 2_000)))
        ]
        return protocol.found(f"[{','.join(groups)}]", now)
    if path == KLINES and (wanted := protocol.candles(data, symbol, query)) is not None:
        return protocol.found(f"[{','.join([f'{{{_figures(one)}}}' for one in wanted])}]", now)
    return None


def _recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    made = protocol.exact(payload)
    for raw in made["tick"]["data"]:
        size = f"{Decimal(str(raw['amount'])) / 2:f}"
        price = f"{Decimal(str(raw['price'])):f}"
        yield protocol.named(made["ch"])[1], Traded(int(raw["id"]), int(raw["ts"]) * MS, price, size, raw["direction"] == "buy")


VENUE: Final = spec.SimulatedVenue(
    id=ID,
    title="HTX perpetuals",
    listings=tuple(
        Listing(ID, f"{base}-USDT", base, "USDT", decimals, 0, contract_size=size, funding_s=14_400 if base == "XRP" else 28_800)
        for base, (decimals, size) in CONTRACTS.items()
    ),
    options=protocol.OPTIONS,
    dialects=(MARKET, INDEX, NOTIFICATION),
    market=SwapMarket,
    rest=spec.RestRules(
        history=history,
        unknown=protocol.UNKNOWN,
        refusal=protocol.refusal,
        statuses=frozenset({200}),
        lists=(
            spec.InstrumentList(
                path=INFO,
                rows=("data",),
                symbol="contract_code",
                base="contract_code",
                tick="price_tick",
                lot="contract_size",
                status="contract_status",
                unlisted=lambda base: {"contract_code": f"{base}-USDT", "symbol": base, "pair": f"{base}-USDT"},
            ),
        ),
        halted={"halt": {"contract_status": 3}, "delisted": {"contract_status": 0}},
    ),
    recorded=spec.RecordedRules(
        names="htx_swap|huobi_swap", endpoint=lambda name, url: "market", trades={"trade.detail": _recorded_trades}
    ),
    kinds={**KINDS, **INDEX_KINDS, **NOTIFIED},
    fields={
        "trade": ("price", "amount"),
        "ticker": ("close", "vol"),
        "candle": ("close", "vol"),
        "mark": ("close", "close"),
        "funding": ("funding_rate", "settlement_time"),
        "liquidation": ("price", "volume"),
    },
    rows={"book": rb"\[(?P<price>[0-9.]+),(?P<size>[0-9.]+)\]", "quote": rb"\[(?P<price>[0-9.]+),(?P<size>[0-9.]+)\]"},
    shift=protocol.shift,
    ids=UpdateIds("version"),
    maintenance="HTX announces none on these sockets",
)
