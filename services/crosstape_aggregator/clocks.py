"""Measures how far the clock of a venue differs from ours. Windows use venue time, so they are wrong if clocks differ. Pure.

The offset of a venue is our clock less the venue's. It has two parts:

- the connector's clock less the venue's. The connector reports it in its venue-wide status (`clock_offset_ns`). If it does not, it is
  measured here: the smallest `received_ts` less `venue_ts` of the live trades of the last minute. This includes the shortest transit time
  of a message.
- our clock less the connector's: the smallest difference of the last minute between our clock, when a venue-wide status arrived, and its
  `received_ts`. On one host this is the shortest time over the bus, a few ms.

**Rule.** While the offset is above the tolerance, in either direction, trades may be counted in wrong seconds. Then every second up to
`now` is doubtful. If the venue's clock is ahead of ours, its trades may also be in later seconds, so these are doubtful, too: up to `now`
plus how far it is ahead, `AHEAD_S` at most. A window is complete again when it starts after the last doubtful second.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from crosstape_schemas.trade_time import AHEAD

SECOND: Final = 1_000_000_000
AHEAD_S: Final = AHEAD // SECOND
"""A venue time that is further ahead of the time of receipt is not used; the time of receipt is."""
MEASURED_NS: Final = 60 * SECOND
"""Time over which the smallest difference is taken."""
KEPT: Final = 1_024
"""Most differences kept. If statuses come faster than this, they cover less than a minute."""


class Least:
    """Keeps the smallest difference of the last minute. If none was added since, the last differences stay."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int]] = deque(maxlen=KEPT)

    def add(self, now: int, difference: int) -> None:
        """Add a difference that was measured now."""
        kept = self._kept
        while kept and not now - MEASURED_NS <= kept[0][0] <= now:  # too old, or from before our clock was set back
            kept.popleft()
        kept.append((now, difference))

    def value(self) -> int | None:
        """Return the smallest difference (ns); None: none was added."""
        return min((difference for _, difference in self._kept), default=None)

    def clear(self) -> None:
        """Drop all differences: a clock was set."""
        self._kept.clear()


class VenueClock:
    """Measures the offset of one venue. All times are ns."""

    __slots__ = ("_reported", "_trades", "_transit")

    def __init__(self) -> None:
        self._transit = Least()
        self._trades = Least()
        self._reported: int | None = None

    def restart(self) -> None:
        """Drop all measurements, because the connector was started again, perhaps on another host with another clock."""
        self.clear()

    def clear(self) -> None:
        """Drop all measurements, because our own clock was set."""
        self._transit.clear()
        self._trades.clear()
        self._reported = None

    def arrived(self, now: int, received_ts: int) -> None:
        """Measure with a venue-wide status that arrived now, directly after it was published."""
        self._transit.add(now, now - received_ts)

    def reported(self, offset_ns: int | None) -> None:
        """Store the connector's clock less the venue's, from a status. None: the connector does not report it."""
        if offset_ns is not None:
            self._reported = offset_ns

    def traded(self, now: int, received_ts: int, venue_ts: int) -> None:
        """Measure with a trade that was received live."""
        self._trades.add(now, received_ts - venue_ts)

    @property
    def reports(self) -> bool:
        """Whether the connector has ever reported its clock less the venue's."""
        return self._reported is not None

    @property
    def reported_ns(self) -> int:
        """The connector's clock less the venue's, as it reports it; 0: it does not."""
        return self._reported or 0

    @property
    def transit_ns(self) -> int | None:
        """Our clock less the connector's, plus the shortest time over the bus; None: not known."""
        return self._transit.value()

    @property
    def offset_ns(self) -> int | None:
        """Our clock less the venue's; None: not known."""
        transit = self._transit.value()
        from_venue = self._trades.value() if self._reported is None else self._reported
        return None if transit is None or from_venue is None else transit + from_venue


def doubtful_until(now: int, offset_ns: int, tolerance_ns: int) -> int:
    """Return the moment (ns) up to which seconds are doubtful because of a clock with this offset; 0 = none."""
    if abs(offset_ns) <= tolerance_ns:
        return 0
    return now + min(max(0, -offset_ns), AHEAD_S * SECOND)
