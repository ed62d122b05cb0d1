"""Bybit, the data: how the frames of all categories write what the market does.

Docs    https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook and its neighbours
Quirks  numbers of a book count the frames of its topic; levels that leave the depth are removed, those that come in are sent; the book of
        one level is sent again every three seconds, as it was. A contract's ticker is a snapshot, then what has changed. A candle opens at
        the close before it
Assumed, as no documentation says it: that an interval without trades has a candle
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from crosstape_simulator.formats import NS, fixed
from crosstape_simulator.market.book_side import BookSide
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle
from crosstape_simulator.market.market import Fill, Move
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues.bybit.protocol import MS, uuid_of

TIMEFRAMES: Final = {
    "1": "1m", "3": "3m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "120": "2h", "240": "4h", "360": "6h", "720": "12h", "D": "1d",
    "W": "1w", "M": "1M",
}  # fmt: skip
DEPTHS: Final = {50: 20 * MS, 200: 100 * MS, 1000: 200 * MS}
"""Levels a side → pace of the frames (ns)."""
FIRST: Final = 18_000_000
"""A number with which a topic's frames begin."""
REPEAT_NS: Final = 3 * NS
Changes = list[tuple[int, int]]
"""(price in ticks, size in lots)."""


def frame(topic: Topic, kind: str, ts: int, data: str, more: str = "") -> str:
    """A frame with data."""
    return f'{{"topic":"{".".join(topic)}","type":"{kind}","ts":{ts // MS},"data":{data}{more}}}'


Sides = tuple[Changes, Changes]


def book(symbol: kit.Symbol, topic: Topic, sides: Sides, number: int, times: tuple[int, int], *, kind: str = "snapshot") -> str:
    """A frame of a book. `times`: when it is sent, and when the book last changed (ns)."""
    data = f'{{"s":"{symbol.name}","b":[{symbol.rows(sides[0])}],"a":[{symbol.rows(sides[1])}],"u":{number},"seq":{symbol.number}}}'
    return frame(topic, kind, times[0], data, f',"cts":{times[1] // MS}')


class DeepBook(kit.Channel):
    """The best levels of a book: a snapshot for a new client, then what has changed in them."""

    def __init__(self, feed: Feed, symbol: kit.Symbol, depth: int) -> None:
        super().__init__(feed, symbol, (f"orderbook.{depth}", symbol.name))
        self.depth = depth
        self._number = FIRST + depth
        self._moved_ts = 0
        self._is_new = True
        self._sent: tuple[dict[int, int], dict[int, int]] = ({}, {})

    @property
    def number(self) -> int:
        """That of the frame with the newest change, also while it waits to be sent."""
        return self._number + self._is_new

    def apply(self, move: Move) -> None:
        """Note when the book has changed."""
        if move.changes:
            self._moved_ts, self._is_new = move.ts, True

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client the book, after all others got what has changed until now."""
        self._send([one for one in self.feed.subscribers[topic] if one is not connection], ts)
        sides = sorted(self._sent[0].items(), reverse=True), sorted(self._sent[1].items())
        self._to(connection, sides, ts)

    def flush(self, ts: int) -> None:
        """Send what has changed."""
        if self.wanted and ts % DEPTHS[self.depth] == 0:
            self._send(list(self.feed.subscribers[self.topics[0]]), ts)

    def _send(self, clients: Sequence[Connection], ts: int) -> None:
        before = self._sent
        self._sent = now = _best(self.symbol.pair.bids, self.depth), _best(self.symbol.pair.asks, self.depth)
        self._is_new = False
        changes = _changes(before[0], now[0]), _changes(before[1], now[1])
        if changes[0] or changes[1]:
            self._number += 1
            for client in clients:
                self._to(client, changes, ts, kind="delta")

    def _to(self, client: Connection, sides: Sides, ts: int, *, kind: str = "snapshot") -> None:
        times = ts, min(ts, self._moved_ts or ts)
        self.feed.send_data(client, self.topics[0], book(self.symbol, self.topics[0], sides, self._number, times, kind=kind), ts)


def _best(side: BookSide, depth: int) -> dict[int, int]:
    return dict(side.levels(depth))


def _changes(before: Mapping[int, int], after: Mapping[int, int]) -> Changes:
    return [
        *((price, size) for price, size in after.items() if before.get(price) != size),
        *((one, 0) for one in before if one not in after),
    ]


class TopBook(kit.Channel):
    """The book of one level: complete at each change, and again every three seconds."""

    def __init__(self, feed: Feed, symbol: kit.Symbol) -> None:
        super().__init__(feed, symbol, ("orderbook.1", symbol.name))
        self._number = FIRST
        self._best: kit.Best | None = None
        self._moved_ts = self._sent_ts = 0

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client the best prices."""
        self.feed.send_data(connection, topic, self._text(ts), ts)

    def apply(self, move: Move) -> None:
        """Send the best prices if they are new."""
        best = self.symbol.best
        if best != self._best:
            self._best, self._moved_ts = best, move.ts
            self._number += 1
            if self.wanted:
                self._send(move.ts)

    def flush(self, ts: int) -> None:
        """Send them again, if it is time."""
        if self.wanted and ts - self._sent_ts >= REPEAT_NS:
            self._send(ts)

    def _send(self, ts: int) -> None:
        self._sent_ts = ts
        self.publish(self._text(ts), ts)

    def _text(self, ts: int) -> str:
        best = self.symbol.best
        sides = [(best.bid, best.bid_size)], [(best.ask, best.ask_size)]
        return book(self.symbol, self.topics[0], sides, self._number, (ts, min(ts, self._moved_ts or ts)))


def trades(symbol: kit.Symbol, made: kit.Trades) -> Iterator[str]:
    """All fills of a move in one frame."""
    rows = ",".join(_trade(symbol, ts, fill) for ts, fill in made)
    yield frame(("publicTrade", symbol.name), "snapshot", made[-1][0], f"[{rows}]")


def _trade(symbol: kit.Symbol, ts: int, fill: Fill) -> str:
    side, is_contract = "Buy" if fill.buyer_takes else "Sell", symbol.pair.listing.is_contract
    trade_id, tick = (uuid_of(fill.trade_id), '"L":"PlusTick",') if is_contract else (str(fill.trade_id), "")
    numbers = f'"v":"{symbol.short_size(fill.size)}","p":"{symbol.price(fill.price)}"'
    return (
        f'{{"T":{ts // MS},"s":"{symbol.name}","S":"{side}",{numbers},{tick}"i":"{trade_id}","BT":false,"RPI":false,"seq":{symbol.number}}}'
    )


def forced(symbol: kit.Symbol, made: kit.Trades) -> Iterator[str]:
    """Liquidations: `S` is the side of the position, which the order closes."""
    for ts, fill in made:
        side = "Sell" if fill.buyer_takes else "Buy"
        numbers = f'"v":"{symbol.short_size(fill.size)}","p":"{symbol.price(fill.price)}"'
        row = f'{{"T":{ts // MS},"s":"{symbol.name}","S":"{side}",{numbers}}}'
        yield frame(("allLiquidation", symbol.name), "snapshot", ts, f"[{row}]")


def day(symbol: kit.Symbol) -> dict[str, str]:
    """The last 24 hours, by their names on the stream and by REST."""
    pair, listing = symbol.pair, symbol.pair.listing
    if listing.inverse:
        turnover = f"{listing.base_size(pair.volume, pair.last.price):.4f}"
    else:
        turnover = fixed(pair.turnover, listing.price_decimals + listing.size_decimals)
    prices = {"lastPrice": pair.last.price, "highPrice24h": pair.high, "lowPrice24h": pair.low, "prevPrice24h": pair.open}
    percent = fixed((pair.last.price - pair.open) * 10_000 // pair.open, 4)
    volumes = {"volume24h": symbol.size(pair.volume), "turnover24h": turnover, "price24hPcnt": percent}
    return {**{name: symbol.price(price) for name, price in prices.items()}, **volumes}


def best(symbol: kit.Symbol) -> dict[str, str]:
    """The best prices, as tickers have them."""
    top = symbol.best
    sides = {"bid1Price": symbol.price(top.bid), "bid1Size": symbol.short_size(top.bid_size)}
    return {**sides, "ask1Price": symbol.price(top.ask), "ask1Size": symbol.short_size(top.ask_size)}


def contract(symbol: kit.Symbol) -> dict[str, str]:
    """All fields of a contract's ticker."""
    now, listing = symbol.figures, symbol.pair.listing
    interest = fixed(now.open_interest, listing.size_decimals)
    if listing.inverse:
        value = f"{listing.base_size(now.open_interest, now.mark_price):.2f}"
    else:
        value = fixed(now.open_interest * now.mark_price, listing.price_decimals + listing.size_decimals)
    marks = {"markPrice": symbol.price(now.mark_price), "indexPrice": symbol.price(now.index_price)}
    funding = {"nextFundingTime": "", "fundingRate": ""}
    if now.next_ts is not None:
        hours = {"fundingIntervalHour": str(listing.funding_s // 3_600)}
        funding = {"nextFundingTime": str(now.next_ts // MS), "fundingRate": symbol.rate(now.rate), **hours}
    return {"symbol": symbol.name, **day(symbol), **marks, "openInterest": interest, "openInterestValue": value, **funding, **best(symbol)}


class ContractTicker(kit.Channel):
    """A contract's ticker: everything for a new client, then what has changed, ten times a second."""

    def __init__(self, feed: Feed, symbol: kit.Symbol) -> None:
        super().__init__(feed, symbol, ("tickers", symbol.name))
        self._sent: dict[str, str] = {}

    def joined(self, topic: Topic) -> None:
        """The first client begins with the figures as they are; others, with those that all clients have."""
        if len(self.feed.subscribers[topic]) == 1:
            self._sent = contract(self.symbol)

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client everything."""
        self.feed.send_data(connection, topic, self._text("snapshot", self._sent, ts), ts)

    def flush(self, ts: int) -> None:
        """Send what has changed."""
        if not self.wanted:
            return
        now = contract(self.symbol)
        changed = {name: text for name, text in now.items() if self._sent.get(name) != text}
        self._sent = now
        if changed:
            self.publish(self._text("delta", {"symbol": self.symbol.name, **changed}, ts), ts)

    def _text(self, kind: str, fields: Mapping[str, str], ts: int) -> str:
        texts = ",".join([f'"{name}":"{text}"' for name, text in fields.items()])
        return frame(self.topics[0], kind, ts, f"{{{texts}}}", f',"cs":{self.symbol.number}')


def spot_ticker(symbol: kit.Symbol, ts: int) -> str:
    """The ticker of spot: complete, and without best prices."""
    texts = ",".join([f'"{name}":"{text}"' for name, text in day(symbol).items()])
    data = f'{{"symbol":"{symbol.name}",{texts},"usdIndexPrice":""}}'
    return frame(("tickers", symbol.name), "snapshot", ts, data, f',"cs":{symbol.number}')


def volumes(symbol: kit.Symbol, one: Candle) -> tuple[str, str]:
    """(volume, turnover) of a candle: of inverse contracts US dollars and base units."""
    return (one.volume, one.base_volume) if symbol.pair.listing.inverse else (one.base_volume, one.quote_volume)


def candle(symbol: kit.Symbol, topic: Topic, one: Candle, is_over: bool, ts: int) -> str:
    """A frame with one candle."""
    interval = topic[0].removeprefix("kline.")
    made = symbol.carried(one, grid(TIMEFRAMES[interval]))
    volume, turnover = volumes(symbol, made)
    times = f'"start":{made.open_ts // MS},"end":{made.close_ts // MS - 1},"interval":"{interval}"'
    prices = f'"open":"{made.open}","close":"{made.close}","high":"{made.high}","low":"{made.low}"'
    rest = f'"volume":"{volume}","turnover":"{turnover}","confirm":{"true" if is_over else "false"},"timestamp":{ts // MS}'
    return frame(topic, "snapshot", ts, f"[{{{times},{prices},{rest}}}]")


def channels(feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
    """All that the venue sends of one symbol, its books first."""
    for depth in DEPTHS:
        yield DeepBook(feed, symbol, depth)
    yield TopBook(feed, symbol)
    yield kit.TradeChannel(feed, symbol, ("publicTrade", symbol.name), trades)
    if symbol.pair.listing.is_contract:
        yield ContractTicker(feed, symbol)
        yield kit.LiquidationChannel(feed, symbol, ("allLiquidation", symbol.name), forced)
    else:
        yield kit.TickerChannel(feed, symbol, ("tickers", symbol.name), spot_ticker, gathers=True, first=spot_ticker)
    grids: dict[Topic, Grid] = {(f"kline.{theirs}", symbol.name): grid(ours) for theirs, ours in TIMEFRAMES.items()}
    yield kit.CandleChannel(feed, symbol, grids, candle, flag=True, empty="flat", every_ns=NS)
