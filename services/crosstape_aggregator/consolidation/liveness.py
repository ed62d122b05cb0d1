"""Tracks for each venue whether its connector is alive, which epoch is the present one, and whether its trades can be complete.

**Epochs.** Each start of a connector has a greater epoch than the starts before it. So events of an older epoch are late and are ignored.
There is one exception: a server that lost its data does not know the earlier epochs. If the connector's clock was ahead at its last start,
its next epoch is smaller. So a venue-wide status of an older epoch makes this epoch the present one, if the newer epoch has given no sign
of life for `stale_s`. The events of the older epoch (snapshots, states of feeds) that arrive before that are kept, and applied then.

**Names of times.** `…_ts` is a time in an event (the connector's clock), or the end of a range of such times. `…_at` is a time of our
clock, when we applied an event. All are ns since the epoch.
"""

from __future__ import annotations

from typing import Final

from crosstape_aggregator.clocks import SECOND, VenueClock, doubtful_until
from crosstape_schemas import VENUE_WIDE, Event, FeedState, Status

LIVE: Final = FeedState.LIVE
STOPPED: Final = "stopped"
"""The `reason` of the last status of a connector that stops in order; its state is `down`."""
LEAD_NS: Final = 10 * SECOND
"""Our clock may be this far ahead of what other clocks confirm: it covers the time between two signs of life and two looks."""
UNSURE_NS: Final = 60 * SECOND
"""Time after our own clock was set, during which clocks are not compared: offsets of connectors are averages over this time."""
_BLIND: Final = frozenset({FeedState.DOWN, FeedState.CONNECTING})


class VenueLiveness:
    """The liveness of one venue, shared by its legs in all instruments."""

    __slots__ = (
        "_offset_before", "_refused", "alive_ts", "clock", "doubtful_until_ts", "epoch", "epoch_seen_at", "instruments", "is_alive",
        "judged_by", "known", "state", "status_applied_at", "status_ts", "stopped_ts", "transit_ns", "trimmed_until_ts", "venue",
    )  # fmt: skip

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.epoch = 0
        """The present epoch: the greatest of any event of the venue, unless the server lost its data (see above)."""
        self.state = LIVE
        """The venue-wide state. Only `down` overrules the states of the feeds: if a venue is partly healthy, each feed has its own state.
        """
        self.alive_ts = 0
        """Greatest `received_ts` of the statuses of this epoch that said `live`. Legs go stale `stale_s` after it; 0 = none yet."""
        self.status_ts = 0
        """Greatest `received_ts` of the venue-wide statuses of any epoch and state."""
        self.status_applied_at = 0
        """When the newest status of this epoch was applied, in any state; 0 = none yet. The first one counts even if it is old."""
        self.epoch_seen_at = 0
        """When this epoch was first seen, or any of its venue-wide statuses was applied, even an old one."""
        self.stopped_ts = 0
        """`received_ts` of the status with which the connector stopped in order; 0 = it has not stopped."""
        self.clock = VenueClock()
        self.transit_ns = 0
        """Our clock less the connector's, plus the shortest time over the bus, at the last look; 0 = not known."""
        self.doubtful_until_ts = 0
        """The venue's trades up to this moment may be counted in wrong seconds, see `clocks`; 0 = none."""
        self.trimmed_until_ts = 0
        """Gaps and clock offsets up to this moment were trimmed from the venue's stream before we read them; 0 = none."""
        self.is_alive = False
        """Whether the connector was alive at the last look."""
        self.known = False
        """Whether the connector was alive and connected at the last look, and its clock correct. A status can set it to False at once."""
        self.instruments: set[str] = set()
        """Names of the instruments that the venue has sent events of."""
        self.judged_by: tuple[int, bool, int, int, int] | None = None
        """The values that decide whether windows are complete, as of the last look. If they change, instruments are judged again."""
        self._offset_before = 0
        self._refused: dict[tuple[str, type[Event], str], Event] = {}

    def restart(self, epoch: int, now: int) -> list[Event]:
        """Make `epoch` the present one. Returns the events of this epoch that were refused before, which happens if it is an older one."""
        refused, self._refused = self._refused, {}
        if epoch < self.epoch:
            self.status_ts = 0  # it was set by a clock that was ahead
        self.epoch, self.state, self.alive_ts = epoch, LIVE, 0
        self.status_applied_at = self.stopped_ts = 0
        self.epoch_seen_at = now
        self.known = False
        self.clock.restart()
        return [event for event in refused.values() if event.epoch == epoch]

    def refuse(self, event: Event) -> None:
        """Keep the last event of each kind and instrument of an older epoch, in case this epoch becomes the present one."""
        kind = event.kind if isinstance(event, Status) else ""
        key = event.instrument, type(event), kind
        self._refused.pop(key, None)  # so that they stay in the order of arrival
        self._refused[key] = event

    def apply(self, status: Status, now: int) -> None:
        """Apply a venue-wide status of this epoch. The first one may be a last value, which may be old."""
        newer = status.received_ts > self.status_ts
        if self.status_applied_at and newer:
            self.clock.arrived(now, status.received_ts)
        if newer or not self.status_applied_at:
            self.status_applied_at = now
            self.status_ts = max(self.status_ts, status.received_ts)
        self.clock.reported(status.clock_offset_ns)
        self.stopped_ts = status.received_ts if status.state is FeedState.DOWN and status.reason == STOPPED else 0
        if status.state in _BLIND:
            self.known, self.judged_by = False, None

    def clock_set(self, now: int) -> None:
        """Note that our own clock was set. That of the connector may be the same, and was ahead: then its signs count again at once."""
        self.clock.clear()
        self.status_ts, self.alive_ts = min(self.status_ts, now), min(self.alive_ts, now)

    def doubt(self, until_ts: int) -> None:
        """Note that the venue's trades up to `until_ts` may be counted in wrong seconds."""
        self.doubtful_until_ts = max(self.doubtful_until_ts, until_ts)

    def look(self, now: int, *, silent_ns: int, tolerance_ns: int, sure: bool) -> None:
        """Update `known` and `transit_ns`; call it about every second. `sure`: our own clock was not set lately."""
        offset, self.transit_ns = self.clock.offset_ns, self.clock.transit_ns or 0
        self.is_alive = bool(self.status_applied_at) and -SECOND <= now - self.status_applied_at < silent_ns
        right = sure and offset is not None and not doubtful_until(now, offset, tolerance_ns)
        if sure and offset is not None:
            # if the clock was wrong at the last look, it may have been wrong until now
            wrong = offset if not right else self._offset_before
            self.doubt(doubtful_until(now, wrong, tolerance_ns))
            self._offset_before = offset
        self.known = right and self.is_alive and self.state not in _BLIND


class Liveness:
    """Holds the liveness of all venues of a shard, and the venues whose instruments must be judged again."""

    __slots__ = (
        "_looked_at", "_reached_ts", "_stale_ns", "_tolerance_ns", "_unsure_until_ns", "_venues", "behind", "confirmed_ts", "dirty",
        "refused", "unlooked",
    )  # fmt: skip

    def __init__(self, stale_ns: int, tolerance_ns: int = 2 * SECOND) -> None:
        self._venues: dict[str, VenueLiveness] = {}
        self._stale_ns = stale_ns
        self._tolerance_ns = tolerance_ns
        self._looked_at: tuple[int, int] | None = None
        self._unsure_until_ns = 0
        self._reached_ts = 0
        self.confirmed_ts = 0
        """The moment (ns) that has passed by more than our clock; 0 = there was no sign of life yet. Our clock alone may be wrong.

        The newest sign of life of a venue, by the venue's clock if the connector compares it, confirms the time. Until the next one,
        and for `UNSURE_NS` after our own clock was set (the connectors may use the same), the monotonic clock continues it.
        """
        self.unlooked: set[str] = set()
        """Names of the instruments to look at: something has changed that decides whether their windows are complete."""
        self.behind = False
        """Whether many events were read at once. More may be waiting then, so it is not known how long a feed has been silent."""
        self.dirty: set[str] = set()
        """Venues whose instruments must all be judged again; the engine does this and clears the set."""
        self.refused: list[Event] = []
        """Events that were refused, and whose epoch is the present one now; the engine applies them and clears the list."""

    def venue(self, venue: str) -> VenueLiveness:
        """Return the liveness of this venue; create it if the venue is new."""
        liveness = self._venues.get(venue)
        if liveness is None:
            liveness = self._venues[venue] = VenueLiveness(venue)
        return liveness

    def admits(self, liveness: VenueLiveness, event: Event, now: int) -> bool:
        """Return whether this event is of the present epoch. A newer epoch becomes the present one."""
        epoch = event.epoch
        if epoch > liveness.epoch:
            self._restart(liveness, epoch, now)
        elif epoch < liveness.epoch:
            liveness.refuse(event)
            return False
        return True

    def _restart(self, liveness: VenueLiveness, epoch: int, now: int) -> None:
        if liveness.epoch:
            self.dirty.add(liveness.venue)
        self.refused += liveness.restart(epoch, now)

    def apply(self, status: Status, now: int) -> bool:
        """Apply a venue-wide status. While its state is live, it is the venue's sign of life. False: its epoch is older, it was ignored.

        Legs go stale by our clock. So our clock decides whether a leg may have gone stale since the last sign of life: after an outage,
        many signs arrive at once.
        """
        liveness = self.venue(status.venue)
        is_sign = status.kind == VENUE_WIDE
        if status.epoch < liveness.epoch and (not is_sign or abs(now - liveness.epoch_seen_at) < self._stale_ns):
            return False
        if status.epoch != liveness.epoch:
            self._restart(liveness, status.epoch, now)
        if not is_sign:
            return True  # the state of all feeds of one kind: not used here, because each feed publishes its own
        liveness.epoch_seen_at = now
        liveness.apply(status, now)
        if status.state is not liveness.state:
            liveness.state = status.state
            self.dirty.add(liveness.venue)
        if status.state is LIVE:
            if now - liveness.alive_ts >= self._stale_ns:
                self.dirty.add(liveness.venue)
            liveness.alive_ts = max(liveness.alive_ts, status.received_ts)
        return True

    def apply_past(self, status: Status, written_ts: int) -> None:
        """Apply the clock offset of a venue-wide status from history. `written_ts`: when the server wrote it (ns).

        The status contains the connector's clock less the venue's. `written_ts` less `received_ts` is the server's clock less the
        connector's; if only this difference is large, the status was written late.
        """
        offset, tolerance = status.clock_offset_ns, self._tolerance_ns
        if status.kind == VENUE_WIDE and offset is not None and abs(offset) > tolerance:
            offset_of_server = offset + written_ts - status.received_ts
            self.venue(status.venue).doubt(doubtful_until(written_ts, offset_of_server, tolerance))

    @property
    def measures(self) -> bool:
        """Whether a connector does not report its clock offset, so that it must be measured here."""
        return any(liveness.status_applied_at and not liveness.clock.reports for liveness in self._venues.values())

    def look(self, now: int, monotonic_ns: int) -> bool:
        """Update `known` of each venue; call it about every second. Returns whether the instruments must be judged again.

        If our own clock was set, which a comparison with the monotonic clock shows, clocks are not compared for `UNSURE_NS`.
        """
        if self._looked_at is not None and abs((now - self._looked_at[0]) - (monotonic_ns - self._looked_at[1])) > self._tolerance_ns:
            self._unsure_until_ns = monotonic_ns + UNSURE_NS
            for liveness in self._venues.values():
                liveness.clock_set(now)
        elapsed_ns = 0 if self._looked_at is None else monotonic_ns - self._looked_at[1]
        self._looked_at = now, monotonic_ns
        sure = monotonic_ns >= self._unsure_until_ns
        changed = False
        for liveness in self._venues.values():
            liveness.look(now, silent_ns=self._stale_ns, tolerance_ns=self._tolerance_ns, sure=sure)
            values = liveness.epoch, liveness.known, liveness.doubtful_until_ts, liveness.stopped_ts, liveness.trimmed_until_ts
            if values != liveness.judged_by:
                liveness.judged_by = values
                changed = True
        self._confirm(now, elapsed_ns, sure=sure)
        return changed

    def _confirm(self, now: int, elapsed_ns: int, *, sure: bool) -> None:
        """Update `confirmed_ts` after a look."""
        reached = self._reached_ts + elapsed_ns if self._reached_ts else 0
        if sure or not reached:
            reached = max([reached, *(one.status_ts - one.clock.reported_ns for one in self._venues.values() if one.is_alive)])
        self._reached_ts = min(reached, now)
        self.confirmed_ts = self._reached_ts + LEAD_NS if self._reached_ts else 0

    def offsets_ns(self) -> dict[str, int]:
        """Return venue → our clock less the venue's (ns), of the venues where it is known."""
        return {venue: offset for venue, liveness in self._venues.items() if (offset := liveness.clock.offset_ns) is not None}
