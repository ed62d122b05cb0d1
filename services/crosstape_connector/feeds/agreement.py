"""Two readings of one best price, and how long they have contradicted each other. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from crosstape_connector.feeds.clock_step import ClockStep

LOOK_NS: Final = 1_000_000_000
"""Two looks further apart than this say nothing of the time between them."""

Top = tuple[Decimal | None, Decimal | None]
"""Best bid and ask; None for an empty side."""


class Agreement:
    """Two readings of one best price, compared now and then."""

    __slots__ = ("_differ_ts", "_looked_ts", "_ones", "_ones_ts", "_others", "_others_ts")

    def __init__(self) -> None:
        self._ones: Top | None = None
        self._others: Top | None = None
        self._ones_ts = self._others_ts = self._differ_ts = self._looked_ts = 0

    def clock_set(self, step: ClockStep) -> None:
        """Our clock was set; see `FeedRecord.clock_set`."""
        self._ones_ts, self._others_ts = step.shifted(self._ones_ts), step.shifted(self._others_ts)
        self._differ_ts, self._looked_ts = step.shifted(self._differ_ts), step.shifted(self._looked_ts)

    def compare(self, one: Top, other: Top, now: int) -> int:
        """How long (ns) one of them has stood still while the other was different at every look; 0 where they agree."""
        if one != self._ones:
            self._ones, self._ones_ts = one, now
        if other != self._others:
            self._others, self._others_ts = other, now
        if one == other or now - self._looked_ts > LOOK_NS:
            self._differ_ts = 0
        self._looked_ts = now
        if one == other:
            return 0
        self._differ_ts = self._differ_ts or now
        return now - max(self._differ_ts, min(self._ones_ts, self._others_ts))
