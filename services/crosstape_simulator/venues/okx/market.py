"""OKX, the data: frames that spot and contracts have in common, the two addresses, and what a recorded frame holds.

Assumed, as no documentation says it: which frame a subscription is answered with. Not simulated: the window of 400 levels (books are
complete), keep-alive frames of books, fills that are added up in `trades`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

import msgspec

from crosstape_simulator.formats import NS, plain
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.history import Candle, Top, Traded, level
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.okx import rest
from crosstape_simulator.venues.okx.protocol import MS, dialect, frame

BATCH_NS: Final = NS // 10
SETTLE_NS: Final = 35 * NS // 10
"""How long after its end an idle candle is closed."""
CANDLES: Final = {f"candle{bar}": bar for bar in rest.BARS}
PUBLIC: Final = {
    "trades": frozenset({"trade"}),
    "bbo-tbt": frozenset({"quote"}),
    "books": frozenset({"book"}),
    "tickers": frozenset({"ticker"}),
}
BUSINESS: Final = {"trades-all": frozenset({"trade"}), **dict.fromkeys(CANDLES, frozenset({"candle"}))}
ROWS: Final = {
    "quote": rb'\[(?P<price>"[0-9.]+"),(?P<size>"[0-9.]+"),"0","\d+"\]',
    "book": rb'\[(?P<price>"[0-9.]+"),(?P<size>"[0-9.]+"),"0","\d+"\]',
    "candle": rb'\["\d{13}",(?P<price>"[0-9.]+"),"[0-9.]+","[0-9.]+","[0-9.]+",(?P<size>"[0-9.]+"),"[0-9.]+","[0-9.]+","[01]"\]',
}


def rows_of(symbol: kit.Symbol, levels: Iterable[tuple[int, int]]) -> str:
    """Levels with their columns: no orders where nothing is left."""
    return ",".join([f'["{symbol.short_price(price)}","{symbol.short_size(size)}","0","{int(size > 0)}"]' for price, size in levels])


def _trades(channel: str, more: str) -> Callable[[kit.Symbol, kit.Trades], Iterator[str]]:
    def write(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
        for ts, fill in trades:
            side = "buy" if fill.buyer_takes else "sell"
            numbers = f'"tradeId":"{fill.trade_id}","px":"{symbol.short_price(fill.price)}","sz":"{symbol.short_size(fill.size)}"'
            row = f'{{"instId":"{symbol.name}",{numbers},"side":"{side}","ts":"{ts // MS}",{more}"source":"0"}}'
            yield frame((channel, symbol.name), row)

    return write


def _bbo(symbol: kit.Symbol, ts: int) -> str:
    best = symbol.best
    sides = f'"asks":[{rows_of(symbol, [(best.ask, best.ask_size)])}],"bids":[{rows_of(symbol, [(best.bid, best.bid_size)])}]'
    return frame(("bbo-tbt", symbol.name), f'{{{sides},"ts":"{ts // MS}","seqId":{symbol.number}}}')


def _book(symbol: kit.Symbol, sides: tuple[Iterable[Any], Iterable[Any]], action: str, numbers: tuple[int, int], ts: int) -> str:
    bids, asks = sides
    levels = f'"asks":[{rows_of(symbol, asks)}],"bids":[{rows_of(symbol, bids)}]'
    row = f'{{{levels},"ts":"{ts // MS}","checksum":0,"prevSeqId":{numbers[0]},"seqId":{numbers[1]}}}'
    return frame(("books", symbol.name), row, action)


def _update(symbol: kit.Symbol, delta: kit.Delta, ts: int) -> str:
    return _book(symbol, (delta.side(bid=True), delta.side(bid=False)), "update", (delta.first - 1, delta.last), ts)


def _snapshot(symbol: kit.Symbol, ts: int) -> str:
    return _book(symbol, (symbol.pair.bids.levels(), symbol.pair.asks.levels()), "snapshot", (-1, symbol.number), ts)


class Book(kit.DeltaChannel):
    """`books`: what was gathered is sent to the others before a snapshot, so that the next update follows it."""

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client the book."""
        clients = self.feed.subscribers[topic]
        del clients[connection]
        self.flush(ts)
        clients[connection] = None
        super().first(connection, topic, ts)


def _day(symbol: kit.Symbol, ts: int) -> str:
    pair, best, listing = symbol.pair, symbol.best, symbol.pair.listing
    prices = f'"last":"{symbol.short_price(pair.last.price)}","lastSz":"{symbol.short_size(pair.last.size)}"'
    asks = f'"askPx":"{symbol.short_price(best.ask)}","askSz":"{symbol.short_size(best.ask_size)}"'
    bids = f'"bidPx":"{symbol.short_price(best.bid)}","bidSz":"{symbol.short_size(best.bid_size)}"'
    reach = (
        f'"open24h":"{symbol.short_price(pair.open)}","high24h":"{symbol.short_price(pair.high)}","low24h":"{symbol.short_price(pair.low)}"'
    )
    if listing.is_contract:
        currency = f"{listing.base_size(pair.volume, pair.last.price):.8f}"
    else:
        currency = plain(str(Decimal(pair.turnover).scaleb(-listing.price_decimals - listing.size_decimals)))
    volumes = f'"volCcy24h":"{currency}","vol24h":"{symbol.short_size(pair.volume)}"'
    row = f'{{"instId":"{symbol.name}",{prices},{asks},{bids},{reach},"sodUtc0":"1","sodUtc8":"1",{volumes},"ts":"{ts // MS}"}}'
    return frame(("tickers", symbol.name), row)


def _candle(symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    row = rest.candle_row(candle, is_contract=symbol.pair.listing.is_contract, is_over=is_over)
    return frame(topic, msgspec.json.encode(row).decode())


def _newest(symbol: kit.Symbol, topic: Topic, candles: Sequence[Candle], ts: int) -> str:
    return _candle(symbol, topic, candles[-1], False, ts)


class Candles(kit.CandleChannel):
    """`candle1m` …: a new client gets the running candle, if there is one."""

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """See `Channel.first`."""
        if self.symbol.pair.past:
            super().first(connection, topic, ts)


def instruments(market: OkxMarket, query: Mapping[str, str], rows: Iterable[Mapping[str, object]]) -> Answer:
    """The list, of one type or one instrument if the query says so."""
    found = [row for row in rows if query.get("instType", row["instType"]) == row["instType"]]
    if "instId" not in query:
        return rest.good(found)
    return rest.good([row for row in found if row["instId"] == query["instId"]]) if query["instId"] in market.listed else rest.UNKNOWN


class OkxMarket(kit.ChannelMarket):
    """Both addresses' data, and the REST side."""

    public_kinds: ClassVar[Mapping[str, frozenset[str]]]

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: spec.Options) -> None:
        """`options`: `limits` (0: no limits by REST), and those of the feeds."""
        super().__init__([kit.Symbol(pair, number=start_ts // 1_000_000 * 8) for pair in pairs], start_ts)
        made: list[kit.Channel] = []
        for name, kinds, channels in (("public", self.public_kinds, self.public), ("business", BUSINESS, self.business)):
            source = kit.SymbolSource(self.listed, start_ts)
            make = dialect(name, [*kinds, *(["status"] if name == "public" else [])]).feed
            feed = self.add_feed(name, lambda source, make=make: make(source, options), source)  # type: ignore[misc]
            made += [self.add_channel(channel) for symbol in self.listed.values() for channel in channels(feed, symbol)]
        self.add_timer(BATCH_NS, made, (start_ts // BATCH_NS + 1) * BATCH_NS)
        self._scale = options["limits"]
        self._buckets: dict[str, Bucket] = {}  # by path

    def public(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that `public` sends of an instrument."""
        name = symbol.name
        yield kit.TradeChannel(feed, symbol, ("trades", name), _trades("trades", '"count":"1",'))
        yield kit.QuoteChannel(feed, symbol, ("bbo-tbt", name), _bbo, first=_bbo)
        yield Book(feed, symbol, ("books", name), _update, first=_snapshot)
        yield kit.TickerChannel(feed, symbol, ("tickers", name), _day, gathers=True, trades_only=False, first=_day)

    def business(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that `business` sends of an instrument."""
        yield kit.TradeChannel(feed, symbol, ("trades-all", symbol.name), _trades("trades-all", ""))
        grids: dict[Topic, Grid] = {(channel, symbol.name): rest.BARS[bar] for channel, bar in CANDLES.items()}
        yield Candles(feed, symbol, grids, _candle, snapshot=_newest, past=1, flag=True, empty="flat", every_ns=NS, settle_ns=SETTLE_NS)

    def number(self, symbol: str) -> int | None:
        """The number of the newest change of an instrument's book."""
        return self.listed[symbol].number

    def row(self, symbol: kit.Symbol) -> Mapping[str, object]:
        """The row of an instrument in the list."""
        raise NotImplementedError

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side, as often as may be asked."""
        rate = self._scale * rest.RATES.get(path, 10.0)
        if path not in self._buckets:
            self._buckets[path] = Bucket(rate, 2 * rate)
        if not self._buckets[path].allows(now):
            return rest.BUSY
        if path == rest.LIST:
            return instruments(self, query, map(self.row, self.listed.values()))
        return rest.history(self, path, query, now) or rest.own_answer(path, now)


class _Data(msgspec.Struct):
    arg: dict[str, str]
    data: list[dict[str, Any]]
    action: str = ""


_data = msgspec.json.Decoder(_Data).decode


def recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    """The trades of a recorded frame."""
    for raw in _data(payload).data:
        yield raw["instId"], Traded(int(raw["tradeId"]), int(raw["ts"]) * MS, plain(raw["px"]), plain(raw["sz"]), raw["side"] == "buy")


def recorded_books(payload: bytes) -> Iterator[spec.Levels]:
    """The books of a recorded frame, or their changes."""
    made = _data(payload)
    for raw in made.data:
        bids, asks = ([(Decimal(row[0]), row[1]) for row in raw[side]] for side in ("bids", "asks"))
        yield spec.Levels(made.arg["instId"], made.action == "snapshot", bids, asks)


def recorded_top(payload: bytes) -> Top:
    """The best prices of a recorded frame."""
    raw = _data(payload).data[-1]
    bid, ask = (level(*raw[side][0][:2]) if raw[side] else None for side in ("bids", "asks"))
    return Top(bid, ask)


def recorded_endpoint(name: str, url: str) -> str:
    """The address of a recorded connection."""
    return "business" if "business" in f"{name} {url}" else "public"


RECORDED: Final = spec.RecordedRules(
    endpoint=recorded_endpoint,
    trades={"trades": recorded_trades, "trades-all": recorded_trades},
    books={"books": recorded_books},
    tops={"bbo-tbt": recorded_top},
)
