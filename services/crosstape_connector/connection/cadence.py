"""Learns how often a feed receives data, from repeated readings of its record. Pure: times come in as values.

A feed is regular if its longest silence is at most `REGULAR` times its mean interval. The usual interval of a regular feed is its mean
interval. For all other feeds, which are most markets, it is the longest silence. That is forgotten with a half-life of ten minutes.
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.feed_state import FeedRecord

KNOWN: Final = 20
"""The usual interval of a feed is known after this many events."""

REGULAR: Final = 1.5
HALF_LIFE_S: Final = 600.0
WEIGHT: Final = 1 / 32
"""Weight of one event in the running mean."""


class Cadence:
    """Keeps the intervals of one feed, across its connections."""

    __slots__ = ("_first_ts", "_is_blurred", "_quiet_s", "_received_ts", "count", "longest_s", "mean_s")

    def __init__(self) -> None:
        self.count = 0
        self.mean_s = 0.0
        self.longest_s = 0.0
        self._first_ts = 0
        self._received_ts = 0
        self._quiet_s = 0.0  # the current silence
        self._is_blurred = False  # the connection was silent, too, so this silence says nothing about the feed

    @property
    def usual_s(self) -> float:
        """The usual interval in seconds; 0 = unknown."""
        return self.mean_s if self.longest_s <= REGULAR * self.mean_s else self.longest_s

    @property
    def observed_s(self) -> float:
        """Seconds from the first event to the newest."""
        return (self._received_ts - self._first_ts) / 1e9

    def learn(self, record: FeedRecord, now: int, elapsed_s: float, *, alive: bool, most_s: float | None = None) -> None:
        """Learn how many events came since the reading before, `elapsed_s` ago.

        `alive`: the connection received data. `most_s`: the current silence counted as a stall after this many seconds, so a longer one
        is not learned. That is enough not to repeat a false alarm, and too little to miss real stalls for long.
        """
        self._is_blurred = self._is_blurred or not alive
        if record.count > self.count:
            if self._received_ts and record.opened_ts <= self._received_ts and not self._is_blurred:
                self._note(record, most_s)
            self._first_ts = self._first_ts or record.received_ts
            self.count, self._received_ts = record.count, record.received_ts
            self._quiet_s, self._is_blurred = 0.0, not alive
        if self._received_ts:
            self._quiet_s = max(self._quiet_s, (now - self._received_ts) / 1e9)
        self.longest_s *= 0.5 ** (elapsed_s / HALF_LIFE_S)

    def clock_set(self, step: ClockStep) -> None:
        """Our clock was set; see `FeedRecord.clock_set`."""
        self._first_ts, self._received_ts = step.shifted(self._first_ts), step.shifted(self._received_ts)

    def _note(self, record: FeedRecord, most_s: float | None) -> None:
        number = record.count - self.count
        mean_s = max(0.0, (record.received_ts - self._received_ts) / 1e9 / number)
        if most_s is not None:
            self.longest_s = max(self.longest_s, min(self._quiet_s, most_s))
            return
        self.mean_s += (mean_s - self.mean_s) * (1.0 if self.mean_s == 0.0 else min(1.0, number * WEIGHT))
        self.longest_s = max(self.longest_s, self._quiet_s, mean_s)
