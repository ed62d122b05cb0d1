"""Finds which recorded entries an aggregator must have read, and may have read, when it computed an event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from crosstape_recorder.audit.price_stream import Input
from crosstape_recorder.audit.rules import MS
from crosstape_schemas import Cbbo, Depth

FRESH_NS: Final = 10_000_000_000
"""An aggregator that has just started reads the last values of all streams one after the other …"""
FRESH_LAG: Final = 2
"""… so that for this time it may be this many times as far behind."""

RESUMED_NS: Final = 10_000_000_000
"""After a pause, an aggregator reads what came meanwhile, one stream after the other, and publishes in between: for this long, it may not
have read what came since the pause began."""


class Moment(NamedTuple):
    """When an event was computed. An aggregator reads streams one after the other: at any moment it has read some further than others."""

    ts: int
    """By its own clock, ns."""
    sure_ms: int
    """All entries before this id had been read."""
    most_ms: int
    """No entry after this id can have been read: it is that of the event itself."""


class Moments:
    """Finds the moments of the events of one kind and instrument, in the order in which they were published."""

    def __init__(self, lag_ns: int) -> None:
        self._lag_ns = lag_ns
        self._epoch = 0
        self._before_ts = 0
        self._fresh_until_ts = 0  # until then the aggregator may still read its first values
        self._resumed_ts = 0  # when it went on after a pause …
        self._paused_ms = 0  # … and when that had begun

    def of(self, event: Cbbo | Depth, ms: int, unread: Iterable[Input | None]) -> Moment:
        """Return when the next event was computed. `ms`: of its id; `unread`: of each stream whose position is known, what was not read."""
        ts, lag_ms = event.ts, self._lag_ns // MS
        if event.epoch != self._epoch:
            self._epoch, self._resumed_ts = event.epoch, 0
            self._fresh_until_ts = ts + FRESH_NS if event.seq == 1 else 0
        elif ts - self._before_ts > self._lag_ns and ts - self._resumed_ts > RESUMED_NS:  # nothing happened, or it was cut off or stopped
            self._resumed_ts, self._paused_ms = ts, self._before_ts // MS
        self._before_ts = ts
        if ts < self._fresh_until_ts:
            lag_ms *= FRESH_LAG
        sure_ms = min(ts // MS, ms, *(one.ms for one in unread if one is not None))
        if self._resumed_ts and ts - self._resumed_ts <= RESUMED_NS:
            sure_ms = min(sure_ms, self._paused_ms)
        return Moment(ts, sure_ms - lag_ms, ms)
