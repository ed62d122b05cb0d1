"""Brings the bars and candles of the same interval together, in whatever order they arrive, and waits for revisions. Pure.

A pair is complete when both sides are closed and the bar has all trades of its interval. It is returned once, when neither side has changed
for `settle_ns` since, with the highest revision of both. What lacks its other side waits for `wait_ns` from its first event on; a later
revision of a pair that was returned waits like this, too, and is forgotten. At most `limit` intervals wait: beyond that, those that have
waited for longest are dropped and counted.

A bar is kept only if its venue has published a candle of this instrument and timeframe before, open or closed.
"""

from __future__ import annotations

from typing import NamedTuple

from crosstape_aggregator.checks.candle_compare import can_be_compared
from crosstape_schemas import Bar, Candle


class Interval(NamedTuple):
    """What a bar and a candle have in common."""

    venue: str
    instrument: str
    timeframe: str
    open_ts: int


class _Pair:
    __slots__ = ("bar", "candle", "changed", "first")

    def __init__(self, now: int) -> None:
        self.bar: Bar | None = None
        self.candle: Candle | None = None
        self.first = now
        self.changed = now

    def is_complete(self) -> bool:
        return self.candle is not None and self.bar is not None and can_be_compared(self.bar)


class CandlePairs:
    """The intervals that wait for their other side, or for revisions. `now` is any clock in ns that is never set back."""

    def __init__(self, *, settle_ns: int, wait_ns: int, limit: int) -> None:
        self.dropped = 0
        """Intervals that were dropped because too many waited."""
        self._settle_ns = settle_ns
        self._wait_ns = wait_ns
        self._limit = limit
        self._waiting: dict[Interval, _Pair] = {}  # by `first`, ascending
        self._settling: dict[Interval, _Pair] = {}  # by `changed`, ascending
        self._feeds: set[tuple[str, str, str]] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._settling)

    def add_candle(self, candle: Candle, now: int) -> None:
        """Add a candle that arrived now. One that is open only shows that there is such a feed."""
        self._feeds.add((candle.venue, candle.instrument, candle.timeframe))
        if not candle.closed:
            return
        interval, pair = self._pair(candle, now)
        if pair.candle is None or candle.revision > pair.candle.revision:
            pair.candle = candle
            self._place(interval, pair, now)

    def add_bar(self, bar: Bar, now: int) -> None:
        """Add a bar that arrived now. An open one is ignored."""
        if not bar.closed or (bar.venue, bar.instrument, bar.timeframe) not in self._feeds:
            return
        interval, pair = self._pair(bar, now)
        if pair.bar is None or bar.revision > pair.bar.revision:
            pair.bar = bar
            self._place(interval, pair, now)

    def due(self, now: int) -> list[tuple[Bar, Candle]]:
        """Return the pairs that are settled, and forget those that have waited too long."""
        found = []
        while self._settling and now - (pair := next(iter(self._settling.values()))).changed >= self._settle_ns:
            del self._settling[next(iter(self._settling))]
            if pair.bar is not None and pair.candle is not None:
                found.append((pair.bar, pair.candle))
        while self._waiting and now - next(iter(self._waiting.values())).first >= self._wait_ns:
            del self._waiting[next(iter(self._waiting))]
        return found

    def _pair(self, event: Bar | Candle, now: int) -> tuple[Interval, _Pair]:
        interval = Interval(event.venue, event.instrument, event.timeframe, event.open_ts)
        return interval, self._waiting.get(interval) or self._settling.get(interval) or _Pair(now)

    def _place(self, interval: Interval, pair: _Pair, now: int) -> None:
        """Put a pair that has changed where it belongs."""
        pair.changed = now
        settled = self._settling.pop(interval, None) is not None
        if pair.is_complete():
            self._waiting.pop(interval, None)
            self._settling[interval] = pair
        elif settled:  # a revision says that the bar lacks trades
            pair.first = now
            self._waiting[interval] = pair
        else:
            self._waiting.setdefault(interval, pair)
        while len(self) > self._limit:
            oldest = self._waiting or self._settling
            del oldest[next(iter(oldest))]
            self.dropped += 1
