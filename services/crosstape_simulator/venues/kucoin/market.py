"""KuCoin, the data that spot and futures have in common: the newer protocol's frames, timers, and the limits of REST."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle
from crosstape_simulator.market.market import Move, Pair
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.kucoin import rest

TIMEFRAMES: Final = {
    "1min": "1m", "3min": "3m", "5min": "5m", "15min": "15m", "30min": "30m", "1hour": "1h", "2hour": "2h", "4hour": "4h", "6hour": "6h",
    "8hour": "8h", "12hour": "12h", "1day": "1d", "1month": "1M",
}  # fmt: skip
"""The venue's names → those of `grid`. Its week, which begins on a Thursday, is left out."""
BOOK_NS: Final = 10_000_000
WEIGHT_MAX: Final = 2_000
WINDOW_S: Final = 30
Levels = Iterable[tuple[int, int]]
"""(price in ticks, size in lots)."""
MakeFeed = Callable[[Source, spec.Options], Feed]


class Changes(kit.Channel):
    """The older protocol's book: each move at once. `write`: (symbol, move, number of its first change) → frames."""

    def __init__(self, feed: Feed, symbol: kit.Symbol, topic: Topic, write: Callable[[kit.Symbol, Move, int], Iterable[str]]) -> None:
        super().__init__(feed, symbol, topic)
        self._write = write

    def apply(self, move: Move) -> None:
        """Send the move's changes."""
        if move.changes and self.wanted:
            for text in self._write(self.symbol, move, self.symbol.number - len(move.changes) + 1):
                self.publish(text, move.ts)


class KucoinMarket(kit.ChannelMarket):
    """Both protocols' data, and the REST side. Every change of a book has a number."""

    market: ClassVar[str]
    feeds_of: ClassVar[tuple[MakeFeed, MakeFeed]]
    """Of the newer and the older protocol."""

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: spec.Options) -> None:
        """`options`: `rest_weight` in half a minute (0: no limit), and those of the feeds."""
        super().__init__([kit.Symbol(pair, number=start_ts // 1_000_000 * 8) for pair in pairs], start_ts)
        feeds: list[Feed] = []
        for name, make in zip(("pro", "classic"), type(self).feeds_of, strict=True):
            source = kit.SymbolSource(self.listed, start_ts)
            source.any_symbol = name == "pro" or self.market == "FUTURES"
            feeds.append(self.add_feed(name, lambda source, make=make: make(source, options), source))  # type: ignore[misc]
        books: list[kit.Channel] = []
        slow: list[kit.Channel] = []
        for symbol in self.listed.values():
            book, *others = (self.add_channel(channel) for channel in self.pro(feeds[0], symbol))
            books.append(book)
            slow += [*others, *(self.add_channel(channel) for channel in self.classic(feeds[1], symbol))]
        for every_ns, channels in ((BOOK_NS, books), (NS // 10, slow)):
            self.add_timer(every_ns, channels, (start_ts // every_ns + 1) * every_ns)
        self._weight_max = int(options["rest_weight"])
        self._window, self._weight = 0, 0

    def pro(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that the newer protocol sends of a symbol, its book first."""
        name = symbol.name
        yield kit.DeltaChannel(feed, symbol, ("obu", name), self._book_delta, first=self._book)
        yield kit.TradeChannel(feed, symbol, ("trade", name), self._trades)
        yield kit.QuoteChannel(feed, symbol, ("ticker", name), self._ticker, first=self._ticker)
        grids: dict[Topic, Grid] = {(f"kline_{theirs}", name): grid(ours) for theirs, ours in TIMEFRAMES.items()}
        yield kit.CandleChannel(feed, symbol, grids, self._candle, flag=True, empty="late", every_ns=NS)

    @abstractmethod
    def classic(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that the older protocol sends of a symbol."""

    def number(self, symbol: str) -> int | None:
        """The number of the newest change of a symbol's book."""
        return self.listed[symbol].number

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side, as often as may be asked."""
        if now // NS // WINDOW_S != self._window:
            self._window, self._weight = now // NS // WINDOW_S, 0
        self._weight += rest.weight(path)
        if self._weight_max and self._weight > self._weight_max:
            return answer(rest.refusal(429, ""), 429, {"gw-ratelimit-remaining": "0"})
        return self.rest(path, query, now)

    @abstractmethod
    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The answer to a REST request."""

    def frame(self, channel: str, ts: int, data: str, more: str = "") -> str:
        """A frame of the newer protocol."""
        return f'{{"T":"{channel}.{self.market}",{more}"P":{ts},"d":{{{data}}}}}'

    def _book(self, symbol: kit.Symbol, ts: int) -> str:
        data = f"{_span(symbol, symbol.number, symbol.number, ts)},{_sides(symbol, symbol.pair.bids.levels(), symbol.pair.asks.levels())}"
        return self.frame("obu", ts, data, '"dp":"increment@10ms","t":"snapshot",')

    def _book_delta(self, symbol: kit.Symbol, delta: kit.Delta, ts: int) -> str:
        data = f"{_span(symbol, delta.first, delta.last, ts)},{_sides(symbol, delta.side(bid=True), delta.side(bid=False))}"
        return self.frame("obu", ts, data, '"dp":"increment@10ms","t":"delta",')

    def _trades(self, symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
        for ts, fill in trades:
            side = "buy" if fill.buyer_takes else "sell"
            numbers = f'"p":"{symbol.short_price(fill.price)}","q":"{symbol.short_size(fill.size)}","s":"{symbol.name}","S":"{side}"'
            yield self.frame("trade", ts, f'{numbers},"E":{fill.trade_id},"ti":"{fill.trade_id}","M":{ts}')

    def _ticker(self, symbol: kit.Symbol, ts: int) -> str:
        best, last = symbol.best, symbol.pair.last
        bid = f'"b":"{symbol.short_price(best.bid)}","B":"{symbol.short_size(best.bid_size)}"'
        ask = f'"a":"{symbol.short_price(best.ask)}","A":"{symbol.short_size(best.ask_size)}"'
        traded = (
            f'"l":"{symbol.short_price(last.price)}","q":"{symbol.short_size(last.size)}","S":"{"BUY" if last.buyer_takes else "SELL"}"'
        )
        return self.frame("ticker", ts, f'{bid},{ask},{traded},"E":{symbol.number},"M":{ts},"s":"{symbol.name}"')

    def _candle(self, symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
        when = f'"O":{candle.open_ts // NS},"C":{candle.close_ts // NS},"i":"{topic[0].removeprefix("kline_")}","s":"{symbol.name}"'
        prices = f'"o":"{candle.open}","h":"{candle.high}","l":"{candle.low}","c":"{candle.close}"'
        return self.frame("kline", ts, f'{when},{prices},"v":"{candle.volume}","a":"{candle.quote_volume}","S":"{str(is_over).lower()}"')


def _span(symbol: kit.Symbol, first: int, last: int, ts: int) -> str:
    return f'"O":{first},"C":{last},"M":{ts},"s":"{symbol.name}"'


def _sides(symbol: kit.Symbol, bids: Levels, asks: Levels) -> str:
    sides = [
        ",".join([f'["{symbol.short_price(price)}","{symbol.short_size(size)}"]' for price, size in levels]) for levels in (bids, asks)
    ]
    return f'"b":[{sides[0]}],"a":[{sides[1]}]'


def classic_frame(topic: str, subject: str, data: str, more: str = "") -> str:
    """A frame of the older protocol."""
    return f'{{"topic":"{topic}","type":"message","subject":"{subject}",{more}"data":{{{data}}}}}'
