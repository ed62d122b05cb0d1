"""Follows the states of one venue and of its feeds in one instrument, and finds those that a leg may have had at a moment.

By the text of `cbbo/1`: of the quotes (or books) and the statuses of a feed, the one with the greatest `received_ts` says its state,
because they come on two streams. A venue that is down overrules it, and an instrument that it has halted. After a restart of the
connector, which its first event of a greater epoch shows, a leg is `connecting` until its feed has data of that epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from crosstape_recorder.audit.moments import Moment
from crosstape_recorder.audit.price_stream import Input
from crosstape_recorder.audit.timeline import Timeline
from crosstape_schemas import VENUE_WIDE, FeedState, Status

LIVE: Final = FeedState.LIVE
CONNECTING: Final = FeedState.CONNECTING
DOWN: Final = FeedState.DOWN
STOPPED: Final = "stopped"


class VenueState(NamedTuple):
    """What the venue-wide statuses say."""

    epoch: int
    state: FeedState
    stopped: bool
    """Whether its connector was stopped in order."""


class FeedsState(NamedTuple):
    """What the statuses of one venue in one instrument say, in their newest epoch."""

    epoch: int
    """Of the statuses that concern the leg."""
    listing: FeedState
    quote: FeedState
    quote_ts: int
    book: FeedState
    book_ts: int


class TradesState(NamedTuple):
    """What the status of the feed of trades says."""

    epoch: int
    state: FeedState


_NEW: Final = FeedsState(0, LIVE, CONNECTING, 0, CONNECTING, 0)


class FeedStates:
    """The states of one venue in one instrument, in the order of the entries."""

    def __init__(self, stale_ns: int) -> None:
        self.venue: Timeline[VenueState] = Timeline()
        self.alive: Timeline[tuple[int, int]] = Timeline()
        """Epoch, and the greatest `received_ts` of the statuses of this epoch that said `live`."""
        self.feeds: Timeline[FeedsState] = Timeline()
        self.trades: Timeline[TradesState] = Timeline()
        self.epochs: Timeline[int] = Timeline()
        """The greatest epoch of any event."""
        self.went_back_ms = -1
        """When an older epoch became the present one, because the server had lost the newer one; -1: never. Not followed further."""
        self._stale_ns = stale_ns
        self._seen_ms = 0
        self._starts: dict[int, bool] = {}  # epoch → whether the first status of the instrument in it was recorded

    def event(self, ms: int, epoch: int) -> None:
        """Note the epoch of any event of the venue."""
        newest = self.epochs.newest
        if newest is None or epoch > newest:
            self.epochs.set(ms, epoch)

    def status(self, ms: int, status: Status) -> None:
        """Apply a status of the instrument."""
        self._starts.setdefault(status.epoch, status.seq == 1)
        if status.kind == "trade":
            self.event(ms, status.epoch)
            trades = self.trades.newest
            if trades is None or status.epoch >= trades.epoch:
                self.trades.set(ms, TradesState(status.epoch, status.state))
            return
        if status.kind not in {"quote", "book", VENUE_WIDE}:
            return
        self.event(ms, status.epoch)
        now = self.feeds.newest or _NEW
        if status.epoch < now.epoch:
            return
        if status.epoch > now.epoch:
            now = _NEW._replace(epoch=status.epoch)
        if status.kind == VENUE_WIDE:
            now = now._replace(listing=status.state)
        elif status.kind == "quote" and status.received_ts >= now.quote_ts:
            now = now._replace(quote=status.state, quote_ts=status.received_ts)
        elif status.kind == "book" and status.received_ts >= now.book_ts:
            now = now._replace(book=status.state, book_ts=status.received_ts)
        self.feeds.set(ms, now)

    def venue_status(self, ms: int, status: Status) -> None:
        """Apply a venue-wide status."""
        newest = self.epochs.newest or 0
        if status.epoch < newest:
            if status.kind == VENUE_WIDE and (ms - self._seen_ms) * 1_000_000 >= self._stale_ns // 2:
                self.went_back_ms = ms
            return
        self.event(ms, status.epoch)
        if status.kind != VENUE_WIDE:
            return
        self._seen_ms = ms
        self.venue.set(ms, VenueState(status.epoch, status.state, status.state is DOWN and status.reason == STOPPED))
        alive = self.alive.newest or (status.epoch, 0)
        if alive[0] != status.epoch:
            alive = (status.epoch, 0)
        if status.state is LIVE:
            alive = (status.epoch, max(alive[1], status.received_ts))
        self.alive.set(ms, alive)

    def alive_between(self, at: Moment) -> tuple[int, int] | None:
        """Return the least and the greatest moment of the newest sign of life; None: no venue-wide status is known."""
        found = self.alive.between(at.sure_ms, at.most_ms)
        known = [one for one in found if one is not None]
        if not known:
            return None
        if len(known) < len(found) or any(one[0] != known[0][0] for one in known):
            return 0, max(one[1] for one in known)
        return min(one[1] for one in known), max(one[1] for one in known)

    def is_known(self, at: Moment) -> bool:
        """Whether the states at a moment are known: the recording has a venue-wide status from before it."""
        return self.venue.between(at.sure_ms, at.most_ms)[0] is not None and self.went_back_ms < 0

    @property
    def has_all(self) -> bool:
        """Whether all statuses of the instrument in the newest epochs were recorded: if not, a feed may be in a state of long ago."""
        return bool(self._starts) and all(list(self._starts.values())[-2:])

    def had_fault(self, at: Moment) -> bool:
        """Whether a status may have been read meanwhile that says that a feed, the instrument or the venue was not live."""
        if len(self.epochs.between(at.sure_ms, at.most_ms)) > 1:
            return True
        if any(one is None or one.state is not LIVE for one in self.venue.between(at.sure_ms, at.most_ms)):
            return True
        feeds = [one for one in self.feeds.between(at.sure_ms, at.most_ms) if one is not None]
        return any(one.listing is not LIVE or {one.quote, one.book} - {LIVE, CONNECTING} for one in feeds)

    def leg_states(self, named: Input | None, kind: str, at: Moment) -> set[FeedState]:
        """Return the states that a leg may have whose newest event is `named`; of a book, that of its feed of books."""
        return {self._leg(named, kind, *every) for every in self._every(named, at)}

    def book_states(self, named: Input | None, at: Moment) -> set[FeedState]:
        """Return the states that the feed of a leg's book may have."""
        return {self._book(named, *every) for every in self._every(named, at)}

    def _every(self, named: Input | None, at: Moment) -> Iterator[tuple[VenueState | None, FeedsState, int]]:
        """Yield what may be known of the venue, of its feeds, and the present epoch."""
        feeds = self.feeds.between(at.sure_ms, at.most_ms)
        epochs = self.epochs.between(at.sure_ms, at.most_ms)
        for venue in self.venue.between(at.sure_ms, at.most_ms):
            for one in feeds:
                least = max(venue.epoch if venue else 0, one.epoch if one else 0, named.event.epoch if named else 0)
                for epoch in {max(epoch or 0, least) for epoch in epochs}:
                    yield venue, one or _NEW, epoch

    def _overruled(self, venue: VenueState | None, feeds: FeedsState, epoch: int, leg_epoch: int) -> FeedState | None:
        if venue is not None and venue.epoch == epoch and venue.state is DOWN:
            return DOWN
        if leg_epoch != epoch:
            return CONNECTING
        return feeds.listing if feeds.epoch == epoch and feeds.listing is not LIVE else None

    def _leg(self, named: Input | None, kind: str, venue: VenueState | None, feeds: FeedsState, epoch: int) -> FeedState:
        input_epoch = named.event.epoch if named is not None else 0
        overruled = self._overruled(venue, feeds, epoch, max(input_epoch, feeds.epoch))
        if overruled is not None:
            return overruled
        has_data = input_epoch == epoch
        quote = self._fed(named if has_data and kind == "quote" else None, feeds.quote, feeds.quote_ts, feeds.epoch == epoch)
        book = self._fed(named if has_data and kind == "book" else None, feeds.book, feeds.book_ts, feeds.epoch == epoch)
        state = quote if (has_data and kind == "quote") or book is CONNECTING else book
        return CONNECTING if state is LIVE and not has_data else state

    def _book(self, named: Input | None, venue: VenueState | None, feeds: FeedsState, epoch: int) -> FeedState:
        input_epoch = named.event.epoch if named is not None else 0
        overruled = self._overruled(venue, feeds, epoch, max(input_epoch, feeds.epoch))
        if overruled is not None:
            return overruled
        has_data = input_epoch == epoch
        state = self._fed(named if has_data else None, feeds.book, feeds.book_ts, feeds.epoch == epoch)
        return CONNECTING if state is LIVE and not has_data else state

    @staticmethod
    def _fed(named: Input | None, state: FeedState, ts: int, of_epoch: bool) -> FeedState:
        """Return the state of a feed: that of its newest data, or of a newer status."""
        if named is None:
            return state if of_epoch else CONNECTING
        return state if of_epoch and ts > named.event.received_ts else named.event.state


def any_of(states: Sequence[FeedState]) -> str:
    """Return states as text."""
    return " or ".join(sorted(states))
