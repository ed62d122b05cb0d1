"""Watches the clocks of one connector: a step of ours, a stop of this process, and the offset to the venue's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from crosstape_connector.connection.watchdog import Watchdog
from crosstape_connector.feeds.clock_watch import ClockWatch
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.venue_clock import ClockOffset

STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that nobody sets and that runs while the machine sleeps: `CLOCK_BOOTTIME` on Linux, `CLOCK_MONOTONIC` on macOS."""

log = structlog.get_logger(__name__)


def steady_ns() -> int:
    """Return the time of the `STEADY` clock in ns."""
    return time.clock_gettime_ns(STEADY)


class Timekeeping:
    """The clocks of one venue. Call `check` several times a second, `measure_offset` once."""

    def __init__(
        self,
        feeds: FeedHandler,
        watchdog: Watchdog,
        *,
        warn_s: float,
        clock: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = steady_ns,
    ) -> None:
        """`warn_s`: an offset beyond this is logged; 0: none is. `clock`: ns since the epoch. `steady`: ns of a clock that nobody sets."""
        self._feeds = feeds
        self._watchdog = watchdog
        self._warn_ns = round(warn_s * 1e9)
        self._clock = clock
        self._steady = steady
        self._beat = ClockWatch(clock(), steady())
        self._offset = ClockOffset()
        self._warned = False

    @property
    def offset_ns(self) -> int | None:
        """See `ClockOffset`."""
        return self._offset.offset_ns

    @property
    def offset_s(self) -> float | None:
        """The same in seconds."""
        return None if self.offset_ns is None else self.offset_ns / 1e9

    def check(self) -> None:
        """Notice a step of our clock or a stop of this process. Called before any check that uses our times."""
        step, stop = self._beat.check(self._clock(), self._steady())
        if step is not None:
            log.warning("clock.set", venue=self._feeds.venue.id, by_s=round(step.step_ns / 1e9, 3))
            self._feeds.clock_set(step)
            self._watchdog.clock_set(step)
        if stop is not None:
            log.warning("process.stopped", venue=self._feeds.venue.id, for_s=round((stop.to_ts - stop.from_ts) / 1e9, 3))
            self._feeds.note_stop(stop)
        if step is not None or stop is not None:
            self._offset.restart(self._feeds.records.values())

    def measure_offset(self) -> None:
        """Measure the offset again. Log it once when it is too large, and once when it is small again."""
        self.check()
        self._offset.measure(self._feeds.records.values(), self._steady() / 1e9)
        offset_ns = self.offset_ns
        if offset_ns is None or not self._warn_ns:
            return
        if not self._warned and abs(offset_ns) > self._warn_ns:
            self._warned = True
            log.warning("clock.differs", venue=self._feeds.venue.id, offset_s=self.offset_s, limit_s=self._warn_ns / 1e9)
        elif self._warned and abs(offset_ns) <= self._warn_ns / 2:
            self._warned = False
            log.info("clock.agrees", venue=self._feeds.venue.id, offset_s=self.offset_s)
