"""Tracks the venues that trade one instrument, and whether trades may be missing that no gap reports. Pure."""

from __future__ import annotations

from typing import Final

from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.liveness import Liveness, VenueLiveness
from crosstape_aggregator.windows.coverage import Coverage
from crosstape_aggregator.windows.window_spec import DAY_S
from crosstape_schemas import FeedState, Status, Trade

GONE_NS: Final = DAY_S * SECOND
"""A venue that has been silent for this time counts as not trading the instrument: no window reaches back to its last trade."""


class Traders:
    """Holds the venues that trade one instrument. A change that `known` depends on adds the instrument to `Liveness.unlooked`."""

    __slots__ = ("_feeds", "_name", "_restored", "_restored_ts", "_untraded", "_venues", "_wrong", "last", "late")

    def __init__(self, name: str, venues: Liveness) -> None:
        self.last: dict[str, Trade] = {}
        """The last trade of each venue."""
        self.late: set[str] = set()
        """Venues whose newest live trade arrived later than the tolerance for clocks: more may follow."""
        self._wrong: set[str] = set()  # late venues whose clock was set back
        self._name = name
        self._venues = venues
        self._feeds: dict[str, Status] = {}  # venue → the last status of its feed of trades
        self._untraded: dict[str, int] = {}  # venues that do not list the instrument, or have halted it → epoch
        self._restored: dict[str, tuple[int, int]] = {}
        self._restored_ts = 0

    def add_venue(self, venue: str) -> None:
        """Add a venue, when its first trade or status arrives."""
        self._venues.venue(venue).instruments.add(self._name)
        self._venues.unlooked.add(self._name)

    def restore(self, numbers: dict[str, tuple[int, int]], at: int) -> None:
        """Restore the venues of a checkpoint of the moment `at` (ns): epoch and `seq` of the last trade of each."""
        self._restored, self._restored_ts = dict(numbers), at
        for venue in numbers:
            self.add_venue(venue)

    def numbers(self) -> dict[str, tuple[int, int]]:
        """Return venue → epoch and `seq` of its last trade."""
        return self._restored | {venue: (trade.epoch, trade.seq) for venue, trade in self.last.items()}

    def apply_feed(self, status: Status, now: int) -> bool:
        """Apply the state of a feed of trades. Returns False, and ignores it, if it is of an older epoch."""
        liveness = self._venues.venue(status.venue)
        if not self._venues.admits(liveness, status, now):
            return False
        self._feeds[status.venue] = status
        self.add_venue(status.venue)
        return True

    def came_late(self, trade: Trade, tolerance_ns: int) -> int:
        """Note that a trade arrived late. Returns the moment (ns) up to which seconds are doubtful because of it; 0 = none.

        A feed that is late delivers its trades in order. If the times of a venue go back, its clock was set back: its trades are counted in
        wrong seconds until one is on time.
        """
        venue, made_ts = trade.venue, trade.venue_ts
        if trade.backfilled or made_ts is None or trade.received_ts - made_ts <= tolerance_ns:
            return 0
        if venue not in self.late:
            self.late.add(venue)
            last = self.last.get(venue)
            if last is not None and last.venue_ts is not None and last.venue_ts - made_ts > tolerance_ns and not last.backfilled:
                self._wrong.add(venue)
        return trade.received_ts if venue in self._wrong else 0

    def on_time(self, trade: Trade) -> None:
        """Note that a trade arrived on time. If it was received live, the venue's feed is not late any more."""
        if trade.venue in self.late and not trade.backfilled:
            self.late.discard(trade.venue)
            self._wrong.discard(trade.venue)
            self._venues.unlooked.add(self._name)

    def apply_listing(self, status: Status) -> None:
        """Apply the state of the instrument at a venue: listed, halted or not."""
        self._venues.unlooked.add(self._name)
        self._untraded.pop(status.venue, None)
        if status.state is FeedState.DOWN:
            self._untraded[status.venue] = status.epoch

    def known(self, coverage: Coverage, now: int) -> bool:
        """Whether no trade can be missing without a gap: each venue must be `VenueLiveness.known`, its feed of trades live and not late.

        Marks seconds in `coverage` as unknown: those in which a clock was wrong, those whose venue-wide events are neither on the stream
        nor in a checkpoint, and those before a connector stopped in order (windows that start later do not need this venue). A venue that
        has been silent for `GONE_NS` is ignored.
        """
        known = True
        for venue in self.venues():
            liveness = self._venues.venue(venue)
            coverage.unknown_until(self._unknown_until(liveness))
            known = self._is_known(venue, liveness, now) and known
        return known

    def venues(self) -> set[str]:
        """Return the venues that trade the instrument, as far as it is known."""
        return {*self._restored, *self.last, *self._feeds}

    def known_since(self, venue: str, now: int) -> int | None:
        """Return the moment (ns) from which on no trade of one venue can be missing without a gap; None: one may be missing now."""
        liveness = self._venues.venue(venue)
        return self._unknown_until(liveness) + 1 if self._is_known(venue, liveness, now) else None

    def _unknown_until(self, liveness: VenueLiveness) -> int:
        trimmed_ts = liveness.trimmed_until_ts if liveness.trimmed_until_ts > self._restored_ts else 0
        return max(liveness.doubtful_until_ts, liveness.stopped_ts, trimmed_ts)

    def is_live(self, venue: str) -> bool:
        """Whether a venue's connector is alive, its clock correct, and its feed of trades live and on time."""
        liveness = self._venues.venue(venue)
        is_trading = not liveness.stopped_ts and self._untraded.get(venue) != liveness.epoch and venue not in self.late
        return is_trading and liveness.known and self._feed_is_live(venue, liveness)

    def _feed_is_live(self, venue: str, liveness: VenueLiveness) -> bool:
        feed, trade = self._feeds.get(venue), self.last.get(venue)
        if feed is not None and feed.epoch == liveness.epoch:
            return feed.state is FeedState.LIVE
        # else this connector publishes no states of its feeds
        return trade is not None and trade.epoch == liveness.epoch and not trade.backfilled

    def _is_known(self, venue: str, liveness: VenueLiveness, now: int) -> bool:
        if liveness.stopped_ts or self._untraded.get(venue) == liveness.epoch:
            return True
        if venue in self.late:
            return False
        if liveness.known and self._feed_is_live(venue, liveness):
            return True
        feed, trade = self._feeds.get(venue), self.last.get(venue)
        heard_ts = 0 if liveness.known else liveness.status_ts
        for event in (feed, trade):
            if event is not None:
                heard_ts = max(heard_ts, event.received_ts)
        return now - heard_ts > GONE_NS

    def sample_clocks(self, since_ts: int, now: int) -> None:
        """Compare the clock of each connector with its venue's by the trades received since `since_ts`."""
        for venue, trade in self.last.items():
            if trade.received_ts >= since_ts and trade.venue_ts is not None and not trade.backfilled:
                self._venues.venue(venue).clock.traded(now, trade.received_ts, trade.venue_ts)
