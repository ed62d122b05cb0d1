"""Stops of this process, and until when a feed was complete if its connection broke during a stop. Pure: times come in as values."""

from __future__ import annotations

from typing import Final

from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.clock_watch import Stop

DISTRUST_NS: Final = 5_000_000_000
"""After a longer stop of this process, what its connections still hold is too old to be called live, and they may be dead."""

BACKLOG_NS: Final = 10_000_000_000
"""How long after a stop this process may still be reading what was sent before it, or what its sockets held."""


class Stops:
    """Keeps the newest stop of this process."""

    def __init__(self) -> None:
        self.long = 0
        """Number of stops so long that no connection from before them is to be trusted."""
        self._newest: Stop | None = None

    def note(self, stop: Stop) -> None:
        """Remember a stop, by our clock as it is set now."""
        self._newest = stop
        self.long += stop.to_ts - stop.from_ts > DISTRUST_NS

    def clock_set(self, step: ClockStep) -> None:
        """Shift its times after our clock was set."""
        if self._newest is not None:
            self._newest = Stop(step.shifted(self._newest.from_ts), step.shifted(self._newest.to_ts))

    def complete_until(self, received_ts: int) -> int:
        """Return the time until which a feed is complete that lost its connection. `received_ts`: of its newest data.

        Data that we read soon after a stop were sent during the stop or before: then the feed is complete only until the stop began.
        """
        stop = self._newest
        if stop is not None and stop.from_ts < received_ts <= stop.to_ts + BACKLOG_NS:
            return stop.from_ts
        return received_ts
