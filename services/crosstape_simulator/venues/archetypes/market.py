"""A venue's view of the synthetic market, made of channels: who is sent what, and when; and what REST answers are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from crosstape_simulator.formats import NS
from crosstape_simulator.market.candles import KEPT
from crosstape_simulator.market.derivatives import EVERY_NS
from crosstape_simulator.market.grid import DAY_S, Grid
from crosstape_simulator.market.history import EVER, Candle, PairRow, Times, Top, TradeHistory, history_of, top_of
from crosstape_simulator.market.market import Move, Pair
from crosstape_simulator.market.oddities import odd_candles
from crosstape_simulator.market.past import Chained, bars_between
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues.archetypes.channels import Channel
from crosstape_simulator.venues.archetypes.symbols import Symbol

NEVER: Final = 1 << 62

MakeFeed = Callable[[Source, Mapping[str, float]], Feed]
"""(source, options) → the feed of an endpoint."""


class SymbolSource:
    """The source of a feed whose data are the synthetic market's."""

    any_symbol = False
    """Whether symbols that the venue does not list can be subscribed: they stay silent."""

    def __init__(self, symbols: Mapping[str, Symbol], start_ts: int) -> None:
        self.now = start_ts
        """Time of the last move of this venue."""
        self.by_topic: dict[Topic, Channel] = {}
        self._symbols = symbols

    def lists(self, symbol: str) -> bool:
        """Whether the symbol can be subscribed."""
        return self.any_symbol or symbol in self._symbols

    def depth(self, symbol: str) -> int | None:
        """The only depth of the symbol's book; None: any that the venue offers."""
        return None

    def holds_acks(self) -> bool:
        """Acknowledgements never wait."""
        return False

    def greeting(self) -> bytes | None:
        """The feed knows what to say first."""
        return None

    def beats(self) -> bool:
        """Heartbeats are always wanted."""
        return True

    def subscribed(self, connection: Connection, topic: Topic) -> None:
        """Send what the venue sends first."""
        if (channel := self.by_topic.get(topic)) is not None:
            channel.joined(topic)
            channel.first(connection, topic, self.now)


class Flushed(Protocol):
    """Is flushed by a timer."""

    def flush(self, ts: int) -> None:
        """It is time (ns)."""
        ...


class _Figures:
    """Brings a contract's figures up to now, before its channels send them."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    def flush(self, ts: int) -> None:
        """Learn the figures of this moment."""
        assert self._pair.derivatives is not None
        self._pair.derivatives.update(self._pair, ts)


class Timer:
    """Flushes its channels at a steady pace."""

    def __init__(self, every_ns: int, channels: Iterable[Flushed], due: int) -> None:
        """`due`: the first time (ns)."""
        self.due = due
        self.channels = tuple(channels)
        self._every_ns = every_ns

    def flush(self, ts: int) -> None:
        """Flush, and wait for the next time."""
        self.due = ts + self._every_ns
        for channel in self.channels:
            channel.flush(ts)


class ChannelMarket:
    """Symbols, their channels and timers.

    `Symbol.number` says how far a book has come. It grows by `step` with each change; or, where the venue dates its books instead
    (`dated`), it is the time of the newest change in µs.
    """

    step = 1
    dated = False

    def __init__(self, symbols: Iterable[Symbol], start_ts: int) -> None:
        self.due = NEVER
        self._flushed = start_ts
        self.feeds: dict[str, Feed] = {}
        self.listed = {symbol.name: symbol for symbol in symbols}
        self._sources: dict[Feed, SymbolSource] = {}
        self._clocks: list[SymbolSource | Feed] = []
        self._channels: dict[str, list[Channel]] = {name: [] for name in self.listed}
        self._without_trades: dict[str, list[Channel]] = {name: [] for name in self.listed}
        """Those of the channels that moves without trades concern: most moves have none."""
        self._timers: list[Timer] = []
        contracts = [_Figures(symbol.pair) for symbol in self.listed.values() if symbol.pair.derivatives is not None]
        if contracts:
            for figures in contracts:
                figures.flush(start_ts)
            self.add_timer(EVERY_NS, contracts, (start_ts // EVERY_NS + 1) * EVERY_NS)

    def add_feed(self, name: str, make: Callable[[SymbolSource], Feed], source: SymbolSource) -> Feed:
        """Make the feed of an endpoint, with its source of data."""
        feed = self.feeds[name] = make(source)
        feed.now = source.now
        self._sources[feed] = source
        self._clocks += [source, feed]
        return feed

    def add_channel(self, channel: Channel) -> Channel:
        """Add a channel of a feed that was added. Moves are shown to channels in the order in which they were added."""
        self._sources[channel.feed].by_topic.update(dict.fromkeys(channel.topics, channel))
        if type(channel).apply is not Channel.apply:
            self._channels[channel.symbol.name].append(channel)
            if not channel.trades_only:
                self._without_trades[channel.symbol.name].append(channel)
        return channel

    def add_timer(self, every_ns: int, channels: Iterable[Flushed], due: int) -> None:
        """Flush these channels at a steady pace."""
        self._timers.append(Timer(every_ns, channels, due))
        self.due = min(self.due, due)

    def apply(self, move: Move) -> None:
        """Show the move to the symbol's channels."""
        name = move.pair.listing.symbol
        symbol = self.listed[name]
        if move.changes:
            symbol.number = move.ts // 1_000 if self.dated else symbol.number + self.step * len(move.changes)
        for one in self._clocks:
            one.now = move.ts
        for channel in (self._channels if move.fills else self._without_trades)[name]:
            channel.apply(move)

    def flush(self, ts: int) -> None:
        """Flush what is due."""
        self._flushed = ts
        for timer in self._timers:
            if timer.due <= ts:
                timer.flush(ts)
        self.due = min((timer.due for timer in self._timers), default=NEVER)

    def second(self, now: int) -> None:
        """Nothing happens by the second."""

    def number(self, symbol: str) -> int | None:
        """Changes of books have no numbers."""
        return None

    def symbols(self) -> Sequence[str]:
        """All that the venue lists."""
        return tuple(self.listed)

    def history(self, symbol: str) -> TradeHistory[PairRow] | None:
        """The trades of a symbol; None: it is not listed."""
        return history_of(self.listed[symbol]) if symbol in self.listed else None

    def top(self, symbol: str) -> Top | None:
        """The best prices of a symbol; None: it is not listed."""
        return top_of(self.listed[symbol]) if symbol in self.listed else None

    def candles(self, symbol: str, grid: Grid, *, flat: bool = False, times: Times = EVER) -> list[Candle] | None:
        """The candles of a symbol, oldest first; None: it is not listed. `flat`: with one for each interval without trades, up to now.
        Those of a deep past that begin outside of `times` may be left out.
        """
        if symbol not in self.listed:
            return None
        listed = self.listed[symbol]
        pair, now = listed.pair, self.now
        if pair.before is None:
            series = pair.candles(grid)
            bars = series.filled(now) if flat else series.traded()
        else:
            start_ts, end_ts = times
            since = now - KEPT * (grid.length_s or 31 * DAY_S) * NS if start_ts is None else start_ts
            rows = Chained(pair.before, list(pair.past))
            until = now if end_ts is None else min(end_ts, now)
            bars = bars_between(rows, grid, since, until, flat=flat, by_price=pair.listing.inverse, now=now)
        return odd_candles([listed.candle(bar) for bar in bars], pair.oddities, now)

    @property
    def now(self) -> int:
        """The venue's time: of its last move or flush (ns)."""
        return max([self._flushed, *(source.now for source in self._sources.values())])


class StreamMarket(ChannelMarket, ABC):
    """A venue with one WebSocket endpoint: `streams` or `channels` says what it sends, `rest` answers requests."""

    feed: ClassVar[Any]
    """A `MakeFeed` (which mypy would take for a method)."""
    streams: ClassVar[Sequence[tuple[str, Callable[[Feed, Symbol, Topic, Any], Channel], Any]]] = ()
    """(channel, its class, what writes its frames); topics are (channel, symbol)."""
    every_ns = 100_000_000
    """How often channels that gather are flushed; at multiples of it."""
    burst_s = 1.0
    """Seconds' worth of requests by REST that may come at once."""
    busy = Answer(b"{}", 429)
    """The answer beyond the limit."""

    def __init__(self, pairs: Iterable[Pair], start_ts: int, options: Mapping[str, float]) -> None:
        """`options` that a venue may have: `requests_per_s` by REST (0: no limit); `old_snapshot_every`: see `KeptSnapshots`."""
        super().__init__([self.symbol(pair, start_ts) for pair in pairs], start_ts)
        self.source = SymbolSource(self.listed, start_ts)
        made = self.add_feed("", lambda source: type(self).feed(source, options), self.source)
        channels = [self.add_channel(channel) for symbol in self.listed.values() for channel in self.channels(made, symbol)]
        self.add_timer(self.every_ns, channels, (start_ts // self.every_ns + 1) * self.every_ns)
        self.snapshots = KeptSnapshots(self.listed, int(options.get("old_snapshot_every", 0)))
        rate = options.get("requests_per_s", 0.0)
        self._bucket = Bucket(rate, rate * self.burst_s)

    @abstractmethod
    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The answer to a REST request."""

    def symbol(self, pair: Pair, start_ts: int) -> Symbol:
        """How the venue writes a pair's numbers."""
        return Symbol(pair, number=start_ts // 1_000 if self.dated else 0)

    def channels(self, feed: Feed, symbol: Symbol) -> Iterable[Channel]:
        """All that the venue sends of one symbol."""
        return [make(feed, symbol, (name, symbol.name), write) for name, make, write in self.streams]

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side, as often as may be asked."""
        return self.rest(path, query, now) if self._bucket.allows(now) else self.busy

    def flush(self, ts: int) -> None:
        """Flush what is due; once a second keep the books for old snapshots."""
        super().flush(ts)
        if ts % NS == 0:
            self.snapshots.keep()


class KeptSnapshots:
    """Snapshots of books by REST. Every `old_every`-th of a symbol is up to a second old."""

    def __init__(self, symbols: Mapping[str, Symbol], old_every: int) -> None:
        """`old_every`: which request of a symbol gets an old one; 0: none."""
        self._symbols = symbols
        self._old_every = old_every
        self._asked = dict.fromkeys(symbols, 0)
        self._kept = {name: self._now(symbol) for name, symbol in symbols.items()}

    def keep(self) -> None:
        """Remember the books as they are."""
        if not self._old_every:
            return
        self._kept = {name: self._now(symbol) for name, symbol in self._symbols.items()}

    def answer(self, name: str, limit: int | None) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
        """(number, bids, asks) of the best `limit` levels, or all."""
        self._asked[name] += 1
        is_old = self._old_every and self._asked[name] % self._old_every == 0
        number, bids, asks = self._kept[name] if is_old else self._now(self._symbols[name], limit)
        return number, bids[:limit], asks[:limit]

    @staticmethod
    def _now(symbol: Symbol, limit: int | None = None) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
        return symbol.number, symbol.pair.bids.levels(limit), symbol.pair.asks.levels(limit)
