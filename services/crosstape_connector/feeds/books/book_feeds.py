"""The books of one venue: what snapshots, updates and breaks mean for their feeds. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from crosstape_connector.feeds.books.book_feed import BookFeed
from crosstape_connector.feeds.books.checks import Fault, Outcome
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.cross_checks import BEHIND, CrossChecks
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, ConnectionBreak
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import FeedState, GapCause, Instrument

LIVE: Final = FeedState.LIVE  # a global is found sooner than a member of its class
APPLIED: Final = Outcome.APPLIED
NOT_FOLLOWED: Final = "the venue's book had changed while the stream was silent"
_NOTHING: Final[tuple[Effect, ...]] = ()


class BookFeeds:
    """Applies what concerns books to their feeds; `FeedHandler` calls it."""

    def __init__(
        self, venue: Venue, feeds: Mapping[FeedKey, FeedRecord], counts: Counter[str], *, depth: int, interval_ns: int, renews: bool = True
    ) -> None:
        """`feeds`: of all kinds, as they are published. `counts`: counts, as `unwanted`, outputs of instruments without a book.

        `renews`: see `KnownRange`.
        """
        self.books: dict[str, BookFeed] = {}
        """By instrument."""
        self.cross_checks = CrossChecks(feeds, self.books, interval_ns=interval_ns)
        self._venue = venue
        self._counts = counts
        self._depth = depth
        self._interval = interval_ns
        self._renews = renews
        self._waiting: dict[str, BookFeed] = {}  # with changes that are not published yet

    def add_instrument(self, instrument: Instrument, records: Mapping[str, FeedRecord], others: Mapping[str, FeedRecord]) -> None:
        """Keep the book of one more instrument. `records`: the feeds that the book gives, by kind; `others`: the instrument's others."""
        self.books[instrument.name] = BookFeed(
            self._venue,
            instrument,
            records,
            others,
            depth=self._depth,
            interval_ns=self._interval,
            waiting=self._waiting,
            renews=self._renews,
        )

    def remove_instrument(self, instrument: str) -> None:
        """Stop keeping this instrument's book."""
        self.books.pop(instrument, None)
        self._waiting.pop(instrument, None)

    def book_of(self, record: FeedRecord) -> BookFeed | None:
        """Return the book that gives this feed; None if none does."""
        book = self.books.get(record.instrument)
        return book if book is not None and record in book.records else None

    def probe(self, record: FeedRecord) -> Sequence[SnapshotRequest]:
        """Request the book of a silent feed's instrument, if its stream is as silent: no trade and no quote changes without the book."""
        book = self.books.get(record.instrument)
        if book is None or not book.silent_with(record):
            return ()
        book.order_book.start_probe()
        return book.request_snapshot()

    def due_books(self, now: int) -> Sequence[Effect]:
        """Return the conflated books that are due."""
        waiting = self._waiting
        if not waiting:
            return _NOTHING
        effects: list[Effect] = []
        for name, book in [(name, book) for name, book in waiting.items() if now >= book.due or book.due - now > self._interval]:
            if book.order_book.levels.crossed:
                continue
            del waiting[name]
            effects += book.book_event(now)
        return effects

    def clock_set(self, step: ClockStep) -> None:
        """Shift all times of the books after our clock was set."""
        for book in self.books.values():
            book.clock_set(step)
        self.cross_checks.clock_set(step)

    def apply_update(self, update: BookUpdate) -> Sequence[Effect]:
        """Apply changed levels."""
        book = self.books.get(update.instrument)
        if book is None:
            return self._unwanted()
        order_book, received_ts, is_live = book.order_book, update.received_ts, True
        for record in book.records:
            record.received_ts = received_ts
            record.venue_ts = update.venue_ts
            record.count += 1
            if record.state is not LIVE:
                is_live = False
        good_ts = order_book.applied_ts
        outcome = order_book.apply_update(update)
        if outcome is APPLIED:
            if order_book.levels.held is not None:
                update = order_book.levels.release(update)
            effects: list[Effect] = []
            if not is_live:  # it was stale
                effects += self.cross_checks.stream_resumed(book, received_ts)
            return book.change_events(update, received_ts, effects)
        if outcome is Outcome.BROKEN:
            order_book.probe.refuted = False  # the stream does bring data, if not good ones
            return book.break_events(good_ts, update.venue_ts, received_ts)
        return book.request_snapshot()

    def apply_snapshot(self, snapshot: BookSnapshot) -> Sequence[Effect]:
        """Apply a snapshot, of the stream or by REST."""
        book = self.books.get(snapshot.instrument)
        if book is None:
            return self._unwanted()
        good_ts, was_live = book.order_book.applied_ts, book.order_book.live
        outcome = book.order_book.apply_snapshot(snapshot)
        if outcome is Outcome.SYNCED:
            return self._synced(book, snapshot, good_ts if was_live else 0)
        if outcome is Outcome.QUIET:
            return self.cross_checks.confirm_quiet(book, snapshot.received_ts)
        if outcome is Outcome.BROKEN:
            return book.break_events(good_ts, snapshot.venue_ts, snapshot.received_ts)
        return book.request_snapshot()

    def apply_break(self, broken: ConnectionBreak) -> Sequence[Effect]:
        """Break every book of a connection that lost a frame: which book it belonged to is not known, so `missed` is null."""
        effects: list[Effect] = []
        reason = broken.reason or "the connection's sequence skipped" + (f" {broken.missed}" if broken.missed else "")
        for name in broken.instruments:
            book = self.books.get(name)
            if book is not None:
                good_ts = book.order_book.applied_ts
                if book.order_book.invalidate(broken.cause, reason):
                    effects += book.break_events(good_ts, None, broken.received_ts)
        return effects

    def adopt_book(self, instrument: str, order_book: OrderBook, venue_ts: int | None, now: int) -> Sequence[Effect]:
        """Continue with a book that another connection built: live if it is live, else `recovering` as after any break."""
        book = self.books.get(instrument)
        if book is None:
            return _NOTHING
        before, book.order_book = book.order_book, order_book
        order_book.checks.add(before.checks)
        order_book.probe.refuted = before.probe.refuted and not order_book.followed
        order_book.levels.held = None  # its levels are published, or a new snapshot is
        if not order_book.live or order_book.levels.crossed:
            if before.live:
                order_book.fault = Fault(GapCause.UNKNOWN, "its connection was replaced by one that has no proven book")
                return book.break_events(before.applied_ts, None, now)
            return book.request_snapshot()
        effects: list[Effect] = []
        same = order_book.followed or (before.live and before.levels.equal(order_book.levels))
        if not same and any(record.silent for record in book.records):
            order_book.refute()
        for record in book.records:
            if order_book.probe.refuted:
                effects += record.refute(NOT_FOLLOWED, now, before.applied_ts if before.live else 0)
                continue
            effects += [*record.set_live(now), *record.end_gap(now)]
            record.received_ts = record.replayed_ts = max(record.received_ts, order_book.applied_ts)
            record.count += 1
        change = BookSnapshot(instrument, venue_ts, order_book.applied_ts, (), (), order_book.sequence)
        return book.change_events(change, now, effects)

    def _synced(self, book: BookFeed, snapshot: BookSnapshot, good_ts: int) -> list[Effect]:
        """Publish a book that begins again. `good_ts`: the time until which the replaced book was live; 0 = it was not live.

        A snapshot in the stream shows that the venue answers the subscription. If the topic was subscribed again because of silence, and
        the snapshot differs from our book, the stream had missed changes. Then only an update shows that it brings changes again.
        """
        now = max(snapshot.received_ts, book.order_book.applied_ts)
        order_book = book.order_book
        in_stream = self._venue.book.snapshot == "stream"
        if in_stream and order_book.differs and any(record.silent for record in book.records):
            order_book.refute()
        may_live = not order_book.probe.refuted
        effects: list[Effect] = []
        for record in book.records:
            missed_ts = good_ts if in_stream and order_book.differs else 0
            if in_stream and may_live:
                record.received_ts = record.replayed_ts = now
                record.count += 1
            else:
                record.fetched_ts = snapshot.received_ts
            record.venue_ts = snapshot.venue_ts
            if may_live and (in_stream or not record.silent):  # a silent stream must show by itself that it lives
                effects += record.set_live(now)
                effects += record.end_gap(now)
                if missed_ts:
                    effects.append(record.gap_event(now, None, GapCause.UNKNOWN, from_ts=missed_ts))
            elif not may_live and not record.contradiction:
                effects += record.refute(NOT_FOLLOWED if in_stream else BEHIND, now, missed_ts)
        return book.change_events(snapshot, now, effects)

    def _unwanted(self) -> Sequence[Effect]:
        self._counts["unwanted"] += 1
        return _NOTHING
