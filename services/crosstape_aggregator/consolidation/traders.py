"""The venues that trade one instrument, and whether any of their trades can be missing without a gap that tells it. Pure."""

from __future__ import annotations

from typing import Final

from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.liveness import Liveness, VenueLiveness
from crosstape_aggregator.windows.coverage import Coverage
from crosstape_aggregator.windows.window import DAY_S
from crosstape_schemas import FeedState, Status, Trade

GONE_NS: Final = DAY_S * SECOND
"""A venue of which nothing was heard for so long does not trade here any more: no window reaches back to it."""


class Traders:
    """Those of one instrument. A change that `known` goes by is noted in `Liveness.unlooked`."""

    __slots__ = ("_feeds", "_name", "_restored", "_restored_ts", "_untraded", "_venues", "_wrong", "last", "late")

    def __init__(self, name: str, venues: Liveness) -> None:
        self.last: dict[str, Trade] = {}
        """The last trade of each venue."""
        self.late: set[str] = set()
        """Venues whose newest live trade came later than the tolerance for clocks: more may be on their way."""
        self._wrong: set[str] = set()  # those of which the venue's times went back when that began
        self._name = name
        self._venues = venues
        self._feeds: dict[str, Status] = {}  # the last status of each venue's feed of trades
        self._untraded: dict[str, int] = {}  # venues that do not list the instrument, or have halted it → epoch
        self._restored: dict[str, tuple[int, int]] = {}
        self._restored_ts = 0

    def begin(self, venue: str) -> None:
        """The first trade of a venue."""
        self._venues.venue(venue).instruments.add(self._name)
        self._venues.unlooked.add(self._name)

    def restore(self, numbers: dict[str, tuple[int, int]], at: int) -> None:
        """Take up the venues of a checkpoint that was made then: epoch and `seq` of the last trade of each."""
        self._restored, self._restored_ts = dict(numbers), at
        for venue in numbers:
            self.begin(venue)

    def numbers(self) -> dict[str, tuple[int, int]]:
        """Epoch and `seq` of the last trade of each venue."""
        return self._restored | {venue: (trade.epoch, trade.seq) for venue, trade in self.last.items()}

    def feed(self, status: Status, now: int) -> bool:
        """Take the state of a feed of trades; whether it is of the present start of its connector."""
        liveness = self._venues.venue(status.venue)
        if not self._venues.admits(liveness, status, now):
            return False
        self._feeds[status.venue] = status
        self.begin(status.venue)
        return True

    def came_late(self, trade: Trade, tolerance_ns: int) -> int:
        """A trade came a second or more after it was made. Up to when seconds are doubtful because of it; 0: none are.

        A feed that is late brings its trades in order. If a venue's times went back instead, its clock was set, and all its trades count
        in wrong seconds until one is on time.
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
        """A trade came in time. One that was received live shows that its venue's feed is late no more."""
        if trade.venue in self.late and not trade.backfilled:
            self.late.discard(trade.venue)
            self._wrong.discard(trade.venue)
            self._venues.unlooked.add(self._name)

    def listing(self, status: Status) -> None:
        """Take the state of the instrument as a whole at a venue."""
        self._venues.unlooked.add(self._name)
        self._untraded.pop(status.venue, None)
        if status.state is FeedState.DOWN:
            self._untraded[status.venue] = status.epoch

    def known(self, coverage: Coverage, now: int) -> bool:
        """Whether no trade can be missing of which no gap tells: see `VenueLife.known`. Each venue's feed of trades must be live, not late.

        `knowledge` learns which seconds cannot be relied on: those in which clocks were wrong, those of which neither its stream nor a
        checkpoint has what the venue said, and those before a venue's connector ended in order, which has no part in windows that begin
        after that. A venue that has been silent for a day has none at all.
        """
        known = True
        for venue in {*self._restored, *self.last, *self._feeds}:
            liveness = self._venues.venue(venue)
            coverage.unknown_until(max(liveness.doubtful_ts, liveness.stopped_ts))
            if liveness.unheard_ts > self._restored_ts:
                coverage.unknown_until(liveness.unheard_ts)
            known = self._is_known(venue, liveness, now) and known
        return known

    def _is_known(self, venue: str, liveness: VenueLiveness, now: int) -> bool:
        if liveness.stopped_ts or self._untraded.get(venue) == liveness.epoch:
            return True
        if venue in self.late:
            return False
        feed, trade = self._feeds.get(venue), self.last.get(venue)
        if liveness.known:
            if feed is not None and feed.epoch == liveness.epoch:
                if feed.state is FeedState.LIVE:
                    return True
            elif trade is not None and trade.epoch == liveness.epoch and not trade.backfilled:
                return True  # a connector that says nothing of its feeds
        heard_ts = 0 if liveness.known else liveness.heard_ts
        for event in (feed, trade):
            if event is not None:
                heard_ts = max(heard_ts, event.received_ts)
        return now - heard_ts > GONE_NS

    def sample_clocks(self, since_ts: int, now: int) -> None:
        """Compare the clocks of connectors that do not do so themselves with those of their venues, by trades received since then."""
        for venue, trade in self.last.items():
            if trade.received_ts >= since_ts and trade.venue_ts is not None and not trade.backfilled:
                self._venues.venue(venue).clock.traded(now, trade.received_ts, trade.venue_ts)
