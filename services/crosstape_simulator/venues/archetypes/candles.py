"""The channel of a symbol's candles: when a candle is sent, who says that it is over, and what an interval without trades looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from crosstape_simulator.formats import NS
from crosstape_simulator.market.candles import Bar, Series
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.history import Candle
from crosstape_simulator.market.market import Move
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues.archetypes.channels import Channel
from crosstape_simulator.venues.archetypes.symbols import Symbol

Empty = Literal["none", "flat", "late"]
"""An interval without trades: `none` is never sent; `flat`: sent once it is over, at the price before; `late`: sent just before the first
candle that has trades again.
"""

WriteCandle = Callable[[Symbol, Topic, Candle, bool, int], str]
"""(symbol, topic, candle, whether it is over, time of the frame (ns)) → a frame."""
WriteCandles = Callable[[Symbol, Topic, Sequence[Candle], int], str]
"""(symbol, topic, candles oldest first, the last is running, time of the frame (ns)) → a snapshot."""


class _Sent:
    """The state of one topic that has clients."""

    def __init__(self, series: Series, bar: Bar | None) -> None:
        self.series = series
        self.bar = bar
        """The newest candle that was sent or is about to be; None: there was no trade yet."""
        self.is_over = False
        """Whether the clients know that it is over."""
        self.is_new = False
        """Whether it has changed since it was sent."""


class CandleChannel(Channel):
    """Candles of one symbol, in all timeframes that the venue offers. Sent after each trade, or at a pace if they have changed.

    With `flag` the venue says that a candle is over: when the next one begins, or `settle_ns` after its end if no trade comes. Without,
    the last frame of a candle is that of its last trade, and only the next candle says that it is over.
    """

    trades_only = True

    def __init__(
        self,
        feed: Feed,
        symbol: Symbol,
        topics: Mapping[Topic, Grid],
        write: WriteCandle,
        *,
        snapshot: WriteCandles | None = None,
        past: int = 100,
        flag: bool = False,
        empty: Empty = "none",
        every_ns: int = 0,
        settle_ns: int = 2 * NS,
    ) -> None:
        """`snapshot`: writes what a new client gets, the newest `past` candles; None: nothing. `every_ns`: how often a candle is sent at
        most; 0: after each trade. The channel has to be flushed by a timer whose pace divides it.
        """
        super().__init__(feed, symbol, *topics)
        self._grids = topics
        self._write = write
        self._write_past = snapshot
        self._past = past
        self._flag = flag
        self._empty = empty
        self._every_ns = every_ns
        self._settle_ns = settle_ns
        self._sent: dict[Topic, _Sent] = {}

    def joined(self, topic: Topic) -> None:
        """The first client of a timeframe: from now on its candles are sent."""
        if len(self.feed.subscribers[topic]) == 1:
            series = self.symbol.pair.candles(self._grids[topic])
            self._sent[topic] = _Sent(series, series.newest)

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client the newest candles."""
        if self._write_past is None:
            return
        series = self._sent[topic].series
        bars = series.traded() if self._empty == "none" else series.filled(ts)
        candles = [self.symbol.candle(bar) for bar in bars[-self._past :]]
        self.feed.send_data(connection, topic, self._write_past(self.symbol, topic, candles, ts), ts)

    def apply(self, move: Move) -> None:
        """Send what the move's trades have changed."""
        for topic, sent in self._active():
            newest = sent.series.newest
            if newest is not sent.bar:
                self._next(topic, sent, newest, move.ts)
            sent.is_new = True
            if not self._every_ns:
                self._send(topic, sent, move.ts)

    def flush(self, ts: int) -> None:
        """Send what is due at this time."""
        for topic, sent in self._active():
            bar = sent.bar
            if bar is None:
                continue
            if sent.is_new and self._every_ns and ts % self._every_ns == 0 and ts < bar.close_ts:
                self._send(topic, sent, ts)
            if ts < bar.close_ts + self._settle_ns or sent.is_over:
                continue
            if self._flag or sent.is_new:
                self._end(topic, sent, ts)
            sent.is_over = True
            if self._empty == "flat":
                sent.bar, sent.is_new, sent.is_over = _flat(sent.series, bar), True, False

    def _active(self) -> Iterable[tuple[Topic, _Sent]]:
        """The topics that have clients; what was sent of others is forgotten."""
        for topic in [topic for topic in self._sent if topic not in self.feed.subscribers]:
            del self._sent[topic]
        return self._sent.items()

    def _next(self, topic: Topic, sent: _Sent, newest: Bar | None, ts: int) -> None:
        """A trade has begun a new candle: send the end of the last, and those without trades between them."""
        bar = sent.bar
        if bar is not None and newest is not None and bar.open_ts == newest.open_ts:
            sent.bar = newest  # it was without trades until now
            return
        if bar is not None and not sent.is_over and (self._flag or sent.is_new):
            self._end(topic, sent, ts)
        if bar is not None and newest is not None and self._empty != "none":
            while (bar := _flat(sent.series, bar)).open_ts < newest.open_ts:
                self.publish_candle(topic, bar, ts, is_over=self._flag)
        sent.bar, sent.is_over = newest, False

    def _send(self, topic: Topic, sent: _Sent, ts: int) -> None:
        assert sent.bar is not None
        sent.is_new = False
        self.publish_candle(topic, sent.bar, ts, is_over=False)

    def _end(self, topic: Topic, sent: _Sent, ts: int) -> None:
        """Send a candle for the last time."""
        assert sent.bar is not None
        sent.is_new, sent.is_over = False, True
        self.publish_candle(topic, sent.bar, ts, is_over=self._flag)

    def publish_candle(self, topic: Topic, bar: Bar, ts: int, *, is_over: bool) -> None:
        """Send a candle to all clients of a timeframe."""
        self.feed.publish_data(topic, self._write(self.symbol, topic, self.symbol.candle(bar), is_over, ts), ts)


def _flat(series: Series, before: Bar) -> Bar:
    """The candle without trades that follows another."""
    return Bar(*series.grid.interval(before.close_ts), before.close)
