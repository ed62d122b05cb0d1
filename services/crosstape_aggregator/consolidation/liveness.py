"""Tracks each venue: whether its connector lives, which epoch is the present one, and whether its trades can be relied on.

**Epochs.** Each start of a connector has a greater epoch than the starts before, so events of an older epoch are late and change nothing.
But a server that lost its data does not know which epochs there were: if a connector's clock was ahead at its last start, the epoch of its
next start is smaller. So a venue-wide status of an older epoch makes that epoch the present one, once the newer epoch has given no sign of
life for `stale_s`. Events that the older epoch published before that, such as snapshots and states of feeds, are kept until then.
"""

from __future__ import annotations

from typing import Final

from crosstape_aggregator.clocks import SECOND, VenueClock, doubtful_until
from crosstape_schemas import VENUE_WIDE, Event, FeedState, Status

LIVE: Final = FeedState.LIVE
STOPPED: Final = "stopped"
"""The reason in the last status of a connector that ends in order; the state is `down`."""
UNSURE_NS: Final = 60 * SECOND
"""How long clocks are not compared after our own was set: connectors average differences over this time, some from before."""
_BLIND: Final = frozenset({FeedState.DOWN, FeedState.CONNECTING})


class VenueLiveness:
    """The liveness of one venue, shared by its legs in all instruments."""

    __slots__ = (
        "_offset_before", "_refused", "alive_ts", "clock", "doubtful_ts", "epoch", "heard_at", "heard_ts", "instruments", "known",
        "seen", "sign_at", "state", "stopped_ts", "unheard_ts", "venue", "way_ns",
    )  # fmt: skip

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.epoch = 0
        """The present epoch: the greatest of any event of the venue, unless the server lost its data (see above)."""
        self.state = LIVE
        """The venue-wide state. Only `down` overrules the states of the feeds: if a venue is partly healthy, each feed has its own state.
        """
        self.alive_ts = 0
        """`received_ts` of the last sign of life of this epoch."""
        self.heard_ts = 0
        """`received_ts` of the newest venue-wide status of any epoch, whatever it said."""
        self.heard_at = 0
        """When the newest status of this epoch arrived, by our clock; 0: none has."""
        self.sign_at = 0
        """When this epoch started or last sent a venue-wide status, by our clock, whatever its state."""
        self.stopped_ts = 0
        """When its connector ended in order; 0: it did not."""
        self.clock = VenueClock()
        self.way_ns = 0
        """At the last look: our clock less the connector's, the shortest way over the bus included; 0 while it is not known."""
        self.doubtful_ts = 0
        """Its trades up to this moment may count in wrong seconds, see `clocks`; 0: none do."""
        self.unheard_ts = 0
        """Gaps and clock offsets up to this moment have left its stream and cannot be read; 0: all can."""
        self.known = False
        """At the last look: its connector lives, is connected to the venue, and clocks agree. A status that says otherwise ends it at once.
        """
        self.instruments: set[str] = set()
        """Names of the instruments that have had events of the venue."""
        self.seen: tuple[int, bool, int, int, int] | None = None
        """The values that instruments were judged by when all of them were last looked at."""
        self._offset_before = 0
        self._refused: dict[tuple[str, type[Event], str], Event] = {}

    def restart(self, epoch: int, now: int) -> list[Event]:
        """Its connector was started again. Returns the events of this epoch that were refused, if it is older than the one before."""
        refused, self._refused = self._refused, {}
        if epoch < self.epoch:
            self.heard_ts = 0  # by a clock that was ahead
        self.epoch, self.state, self.alive_ts = epoch, LIVE, 0
        self.heard_at = self.stopped_ts = 0
        self.sign_at = now
        self.known = False
        self.clock.restart()
        return [event for event in refused.values() if event.epoch == epoch]

    def refuse(self, event: Event) -> None:
        """Keep an event of an older epoch, the last one of each kind and instrument, in case this epoch becomes the present one."""
        kind = event.kind if isinstance(event, Status) else ""
        key = event.instrument, type(event), kind
        self._refused.pop(key, None)  # so that they stay in the order in which they came
        self._refused[key] = event

    def apply(self, status: Status, now: int) -> None:
        """Apply a venue-wide status of this epoch. The first one may be a last value, which may be old."""
        newer = status.received_ts > self.heard_ts
        if self.heard_at and newer:
            self.clock.arrived(now, status.received_ts)
        if newer or not self.heard_at:
            self.heard_at = now
            self.heard_ts = max(self.heard_ts, status.received_ts)
        self.clock.reported(status.clock_offset_ns)
        self.stopped_ts = status.received_ts if status.state is FeedState.DOWN and status.reason == STOPPED else 0
        if status.state in _BLIND:
            self.known, self.seen = False, None

    def doubt(self, until_ts: int) -> None:
        """Its trades up to `until_ts` may count in wrong seconds."""
        self.doubtful_ts = max(self.doubtful_ts, until_ts)

    def look(self, now: int, *, silent_ns: int, tolerance_ns: int, sure: bool) -> None:
        """Update `known`. `sure`: our own clock was not set lately. Call it about every second."""
        offset, self.way_ns = self.clock.offset_ns, self.clock.way_ns or 0
        right = sure and offset is not None and not doubtful_until(now, offset, tolerance_ns)
        if sure and offset is not None:
            # as long as it was wrong when we last looked, it may have been until now
            wrong = offset if not right else self._offset_before
            self.doubt(doubtful_until(now, wrong, tolerance_ns))
            self._offset_before = offset
        speaks = bool(self.heard_at) and -SECOND <= now - self.heard_at < silent_ns
        self.known = right and speaks and self.state not in _BLIND


class Liveness:
    """All venues of a shard, and which of them have changed in a way that concerns each of their legs."""

    __slots__ = ("_seen", "_stale_ns", "_tolerance_ns", "_unsure_until_ns", "_venues", "behind", "dirty", "refused", "unlooked")

    def __init__(self, stale_ns: int, tolerance_ns: int = 2 * SECOND) -> None:
        self._venues: dict[str, VenueLiveness] = {}
        self._stale_ns = stale_ns
        self._tolerance_ns = tolerance_ns
        self._seen: tuple[int, int] | None = None
        self._unsure_until_ns = 0
        self.unlooked: set[str] = set()
        """Names of instruments that must be looked at: something has changed that decides whether their windows are complete."""
        self.behind = False
        """Many events were read at once, so more may be waiting: how long a feed has been silent is not known."""
        self.dirty: set[str] = set()
        """Venues whose instruments must all be judged again; the engine does so and clears it."""
        self.refused: list[Event] = []
        """Events that were refused and are of the present epoch now; the engine applies them and clears it."""

    def venue(self, venue: str) -> VenueLiveness:
        """Return the liveness of this venue; create it if the venue is new."""
        liveness = self._venues.get(venue)
        if liveness is None:
            liveness = self._venues[venue] = VenueLiveness(venue)
        return liveness

    def admits(self, liveness: VenueLiveness, event: Event, now: int) -> bool:
        """Whether this event is of the present epoch. A newer epoch becomes the present one."""
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
        """Apply a venue-wide status; while its state is live, it is the venue's sign of life. False: it is of an older epoch and ignored.

        Legs go stale by our clock. So it is compared with our clock whether any leg may have gone stale: signs of life that an outage held
        back arrive all at once.
        """
        liveness = self.venue(status.venue)
        is_sign = status.kind == VENUE_WIDE
        if status.epoch < liveness.epoch and (not is_sign or abs(now - liveness.sign_at) < self._stale_ns):
            return False
        if status.epoch != liveness.epoch:
            self._restart(liveness, status.epoch, now)
        if not is_sign:
            return True  # the state of one kind of feeds: each feed publishes its own
        liveness.sign_at = now
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
        """Apply the clock offset of a venue-wide status from history. `written_ts`: when the server wrote it.

        The status gives the connector's clock less the venue's; its two times give the server's less the connector's. (If only these two
        differ, the status was merely written late.)
        """
        offset, tolerance = status.clock_offset_ns, self._tolerance_ns
        if status.kind == VENUE_WIDE and offset is not None and abs(offset) > tolerance:
            offset_of_server = offset + written_ts - status.received_ts
            self.venue(status.venue).doubt(doubtful_until(written_ts, offset_of_server, tolerance))

    @property
    def measures(self) -> bool:
        """Whether some connector does not report its clock offset, so that it must be measured here."""
        return any(liveness.heard_at and not liveness.clock.reports for liveness in self._venues.values())

    def look(self, now: int, monotonic_ns: int) -> bool:
        """Update `known` of each venue; whether anything has changed that instruments are judged by. Call it about every second.

        When our own clock was set, as the monotonic one shows, clocks are not compared for a while.
        """
        if self._seen is not None and abs((now - self._seen[0]) - (monotonic_ns - self._seen[1])) > self._tolerance_ns:
            self._unsure_until_ns = monotonic_ns + UNSURE_NS
            for liveness in self._venues.values():
                liveness.clock.clear()
        self._seen = now, monotonic_ns
        sure = monotonic_ns >= self._unsure_until_ns
        turned = False
        for liveness in self._venues.values():
            liveness.look(now, silent_ns=self._stale_ns, tolerance_ns=self._tolerance_ns, sure=sure)
            seen = liveness.epoch, liveness.known, liveness.doubtful_ts, liveness.stopped_ts, liveness.unheard_ts
            if seen != liveness.seen:
                liveness.seen = seen
                turned = True
        return turned

    def offsets_ns(self) -> dict[str, int]:
        """Our clock less each venue's, in ns, where it is known."""
        return {venue: offset for venue, liveness in self._venues.items() if (offset := liveness.clock.offset_ns) is not None}
