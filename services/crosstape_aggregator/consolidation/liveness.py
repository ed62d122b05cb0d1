"""Venues as a whole: whether their connectors live, which start of them is the present one, and whether their trades can be relied on.

**Epochs.** Each start of a connector has a greater epoch than those before, so events of an older epoch are late and change nothing. But a
server that lost its data has forgotten which epochs there were: if a connector's clock was ahead at its last start, the epoch of its next
start is smaller. So a venue-wide status of an older epoch begins that one, once the newer has given no sign of life for `stale_s`. What the
older one published before that, such as snapshots and states of feeds, is kept until then.
"""

from __future__ import annotations

from typing import Final

from crosstape_aggregator.clocks import SECOND, VenueClock, doubtful_until
from crosstape_schemas import VENUE_WIDE, Event, FeedState, Status

LIVE: Final = FeedState.LIVE
STOPPED: Final = "stopped"
"""The reason that a connector gives with its last status, `down`, when it ends in order."""
UNSURE_NS: Final = 60 * SECOND
"""After our own clock was set: as long as connectors compare differences, some of which are of before."""
_BLIND: Final = frozenset({FeedState.DOWN, FeedState.CONNECTING})


class VenueLiveness:
    """One venue, shared by its legs in all instruments."""

    __slots__ = (
        "_offset_before", "_refused", "alive_ts", "clock", "doubtful_ts", "epoch", "heard_at", "heard_ts", "instruments", "known",
        "seen", "sign_at", "state", "stopped_ts", "unheard_ts", "venue", "way_ns",
    )  # fmt: skip

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.epoch = 0
        """Of its connector's last start: the newest that any event of the venue had, but for a server that lost its data (see above)."""
        self.state = LIVE
        """Venue-wide. Only `down` overrules what the feeds say of themselves: of a venue that is partly well, each feed knows best."""
        self.alive_ts = 0
        """`received_ts` of the last sign of life of this epoch."""
        self.heard_ts = 0
        """`received_ts` of the newest venue-wide status of any epoch, whatever it said."""
        self.heard_at = 0
        """When, by our clock, the newest status of this epoch arrived; 0: none has."""
        self.sign_at = 0
        """When, by our clock, this epoch began or last gave a sign of life, whatever that said."""
        self.stopped_ts = 0
        """When its connector ended in order; 0: it did not."""
        self.clock = VenueClock()
        self.way_ns = 0
        """As of the last look: our clock less the connector's, with the shortest way over the bus; 0 while it is not known."""
        self.doubtful_ts = 0
        """Its trades up to this moment may count in wrong seconds, see `clocks`; 0: none do."""
        self.unheard_ts = 0
        """What it said up to this moment, of gaps and clocks, has left its stream; 0: nothing has."""
        self.known = False
        """As of the last look: its connector lives, has a connection to the venue, and clocks agree. Bad news ends it at once."""
        self.instruments: set[str] = set()
        """Where the venue has been seen."""
        self.seen: tuple[int, bool, int, int, int] | None = None
        """What instruments went by when all were last looked at."""
        self._offset_before = 0
        self._refused: dict[tuple[str, type[Event], str], Event] = {}

    def begin(self, epoch: int, now: int) -> list[Event]:
        """Its connector was started again. Returns what was refused of this epoch, if that is older than the one before."""
        refused, self._refused = self._refused, {}
        if epoch < self.epoch:
            self.heard_ts = 0  # by a clock that was ahead
        self.epoch, self.state, self.alive_ts = epoch, LIVE, 0
        self.heard_at = self.stopped_ts = 0
        self.sign_at = now
        self.known = False
        self.clock.begin()
        return [event for event in refused.values() if event.epoch == epoch]

    def refuse(self, event: Event) -> None:
        """Keep an event of an older epoch: the last one of each kind and instrument, in case that epoch turns out to be the present one."""
        kind = event.kind if isinstance(event, Status) else ""
        key = event.instrument, type(event), kind
        self._refused.pop(key, None)  # so that they stay in the order in which they came
        self._refused[key] = event

    def say(self, status: Status, now: int) -> None:
        """Take a venue-wide status of this epoch. The first one may be a last value, which has lain there for long."""
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
        """Its trades up to then may count in wrong seconds."""
        self.doubtful_ts = max(self.doubtful_ts, until_ts)

    def look(self, now: int, *, silent_ns: int, tolerance_ns: int, sure: bool) -> None:
        """Find out anew whether it is `known`. `sure`: our own clock was not set lately. Call it about every second."""
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
    """All venues, and which of them have just changed in a way that concerns every leg they have."""

    __slots__ = ("_seen", "_stale_ns", "_tolerance_ns", "_unsure_until_ns", "_venues", "behind", "dirty", "refused", "unlooked")

    def __init__(self, stale_ns: int, tolerance_ns: int = 2 * SECOND) -> None:
        self._venues: dict[str, VenueLiveness] = {}
        self._stale_ns = stale_ns
        self._tolerance_ns = tolerance_ns
        self._seen: tuple[int, int] | None = None
        self._unsure_until_ns = 0
        self.unlooked: set[str] = set()
        """Instruments of which something has changed that `Instrument.look` goes by."""
        self.behind = False
        """Much was read at once, so more may be waiting: for how long a feed has been silent cannot be told."""
        self.dirty: set[str] = set()
        """Venues whose instruments must all be judged anew; whoever does so clears it."""
        self.refused: list[Event] = []
        """Events that were refused and belong to the present epoch after all; whoever applies them clears it."""

    def venue(self, venue: str) -> VenueLiveness:
        """That venue's, known or new."""
        liveness = self._venues.get(venue)
        if liveness is None:
            liveness = self._venues[venue] = VenueLiveness(venue)
        return liveness

    def admits(self, liveness: VenueLiveness, event: Event, now: int) -> bool:
        """Whether this event is of the present epoch; a newer epoch begins the venue anew."""
        epoch = event.epoch
        if epoch > liveness.epoch:
            self._begin(liveness, epoch, now)
        elif epoch < liveness.epoch:
            liveness.refuse(event)
            return False
        return True

    def _begin(self, liveness: VenueLiveness, epoch: int, now: int) -> None:
        if liveness.epoch:
            self.dirty.add(liveness.venue)
        self.refused += liveness.begin(epoch, now)

    def apply(self, status: Status, now: int) -> bool:
        """Take a venue-wide status: the venue's sign of life while it says live. False: of an older epoch, and ignored.

        Legs go stale by our clock, so it tells whether any may have: signs of life that an outage held back come all at once.
        """
        liveness = self.venue(status.venue)
        is_sign = status.kind == VENUE_WIDE
        if status.epoch < liveness.epoch and (not is_sign or abs(now - liveness.sign_at) < self._stale_ns):
            return False
        if status.epoch != liveness.epoch:
            self._begin(liveness, status.epoch, now)
        if not is_sign:
            return True  # of one kind of feeds: each of them says it itself
        liveness.sign_at = now
        liveness.say(status, now)
        if status.state is not liveness.state:
            liveness.state = status.state
            self.dirty.add(liveness.venue)
        if status.state is LIVE:
            if now - liveness.alive_ts >= self._stale_ns:
                self.dirty.add(liveness.venue)
            liveness.alive_ts = max(liveness.alive_ts, status.received_ts)
        return True

    def apply_past(self, status: Status, written_ts: int) -> None:
        """Take a venue-wide status that is history: what it says of the clocks of then. `written_ts`: when the server took it.

        The connector's clock differed from the venue's; whether the server's did, too, the two times of the status tell. (Where only those
        two differ, it was merely written late.)
        """
        offset, tolerance = status.clock_offset_ns, self._tolerance_ns
        if status.kind == VENUE_WIDE and offset is not None and abs(offset) > tolerance:
            whole = offset + written_ts - status.received_ts
            self.venue(status.venue).doubt(doubtful_until(written_ts, whole, tolerance))

    @property
    def measures(self) -> bool:
        """Whether there is a connector that does not compare clocks, so that it must be done here."""
        return any(liveness.heard_at and not liveness.clock.says for liveness in self._venues.values())

    def look(self, now: int, monotonic_ns: int) -> bool:
        """Find out of each venue whether it is `known`. Call it about every second. Whether anything has changed that instruments go by.

        When our own clock was set, against the monotonic one, nothing is known of clocks for a while.
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
        """Our clock less each venue's, where it is known."""
        return {venue: offset for venue, liveness in self._venues.items() if (offset := liveness.clock.offset_ns) is not None}
