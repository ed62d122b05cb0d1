"""Measures for how long two readings of one best price have contradicted each other. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from crosstape_connector.feeds.clock_step import ClockStep

COMPARED_NS: Final = 1_000_000_000
"""Two comparisons further apart than this say nothing of the time between them."""

Top = tuple[Decimal | None, Decimal | None]
"""Best bid and ask; None for an empty side."""


class Agreement:
    """Compares two readings of one best price a few times a second."""

    __slots__ = ("_compared_ts", "_differ_ts", "_ones", "_ones_ts", "_others", "_others_ts")

    def __init__(self) -> None:
        self._ones: Top | None = None
        self._others: Top | None = None
        self._ones_ts = self._others_ts = self._differ_ts = self._compared_ts = 0

    def clock_set(self, step: ClockStep) -> None:
        """Shift its times after our clock was set."""
        self._ones_ts, self._others_ts = step.shifted(self._ones_ts), step.shifted(self._others_ts)
        self._differ_ts, self._compared_ts = step.shifted(self._differ_ts), step.shifted(self._compared_ts)

    def compare(self, one: Top, other: Top, now: int) -> int:
        """Return for how long (ns) one reading has not changed while the other differed at every comparison; 0 = they agree."""
        if one != self._ones:
            self._ones, self._ones_ts = one, now
        if other != self._others:
            self._others, self._others_ts = other, now
        if one == other or now - self._compared_ts > COMPARED_NS:
            self._differ_ts = 0
        self._compared_ts = now
        if one == other:
            return 0
        self._differ_ts = self._differ_ts or now
        return now - max(self._differ_ts, min(self._ones_ts, self._others_ts))
