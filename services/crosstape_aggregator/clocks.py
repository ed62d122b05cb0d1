"""How far a venue's clock, and its connector's, differ from ours. Windows follow venue time: they are wrong if clocks differ. Pure.

The offset of a venue is our clock less the venue's. It has two parts:

- the connector's clock less the venue's. The connector reports it in its venue-wide status (`clock_offset_ns`). Of a connector that does
  not, it is measured here: the smallest `received_ts` less `venue_ts` of the live trades of the last minute, which contains the shortest
  way of a message.
- our clock less the connector's: the smallest difference of the last minute between our clock, when a venue-wide status arrived, and its
  `received_ts`. On one host this is the shortest way over the bus, a few ms.

**Rule.** While the offset is above the tolerance in either direction, trades may count in wrong seconds. Then every second up to `now` is
doubtful and, where the venue's clock is ahead of ours, so are the seconds that its trades may have been counted in already: up to `now`
plus how far it is ahead, `AHEAD_S` at most. A window is complete again when it starts after the last doubtful second.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SECOND: Final = 1_000_000_000
AHEAD_S: Final = 60
"""A venue time further ahead of the time of receipt is not believed: the time of receipt is used in its place."""
MEASURED_NS: Final = 60 * SECOND
"""Differences are compared over this time."""
KEPT: Final = 1_024
"""Differences kept at most: those of faster statuses reach back less far."""


class Least:
    """The smallest difference of the last minute. When nothing newer comes, the newest one stays."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int]] = deque(maxlen=KEPT)

    def add(self, now: int, difference: int) -> None:
        """One difference, measured now."""
        kept = self._kept
        while kept and not now - MEASURED_NS <= kept[0][0] <= now:  # too old, or of before our clock was set back
            kept.popleft()
        kept.append((now, difference))

    def value(self) -> int | None:
        """None: nothing was ever measured."""
        return min((difference for _, difference in self._kept), default=None)

    def clear(self) -> None:
        """Forget all: a clock was set."""
        self._kept.clear()


class VenueClock:
    """The offset of one venue. All times are ns."""

    __slots__ = ("_reported", "_trades", "_way")

    def __init__(self) -> None:
        self._way = Least()
        self._trades = Least()
        self._reported: int | None = None

    def restart(self) -> None:
        """The venue's connector was started again, perhaps on another host: nothing is known of its clock."""
        self.clear()

    def clear(self) -> None:
        """Our own clock was set: what was measured by it is void."""
        self._way.clear()
        self._trades.clear()
        self._reported = None

    def arrived(self, now: int, received_ts: int) -> None:
        """A venue-wide status arrived now, as soon as it was published."""
        self._way.add(now, now - received_ts)

    def reported(self, offset_ns: int | None) -> None:
        """A status said how far the connector's clock is from the venue's. None: it does not know, or does not say."""
        if offset_ns is not None:
            self._reported = offset_ns

    def traded(self, now: int, received_ts: int, venue_ts: int) -> None:
        """A trade was received live."""
        self._trades.add(now, received_ts - venue_ts)

    @property
    def reports(self) -> bool:
        """Whether the connector has ever said how far its clock is from the venue's."""
        return self._reported is not None

    @property
    def way_ns(self) -> int | None:
        """Our clock less the connector's, with the shortest way over the bus; None: not known."""
        return self._way.value()

    @property
    def offset_ns(self) -> int | None:
        """Our clock less the venue's; None: not known."""
        way = self._way.value()
        from_venue = self._trades.value() if self._reported is None else self._reported
        return None if way is None or from_venue is None else way + from_venue


def doubtful_until(now: int, offset_ns: int, tolerance_ns: int) -> int:
    """The moment up to which seconds are doubtful because of a clock with this offset; 0: none is."""
    if abs(offset_ns) <= tolerance_ns:
        return 0
    return now + min(max(0, -offset_ns), AHEAD_S * SECOND)
