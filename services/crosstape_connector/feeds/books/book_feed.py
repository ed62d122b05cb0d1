"""The feeds of one book (book, delta, and quote if it is the top of the book), and the events they publish. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from crosstape_connector.feeds.agreement import Agreement, Top
from crosstape_connector.feeds.books.checks import Outcome
from crosstape_connector.feeds.books.known_range import KnownRange
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.feeds.books.snapshot_need import PROBE
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.spec import Venue, subscribed_depth
from crosstape_schemas import Book, Delta, FeedState, Gap, Instrument, Quote

LIVE: Final = FeedState.LIVE  # looking it up in its class takes as long as a dict look-up and a half
TOGETHER_NS: Final = 1_000_000_000
"""A venue publishes what one order changes in book, quote and trades within this time."""


class BookFeed:
    """One book, the state of the feeds that it gives, and what those feeds publish when it changes or breaks."""

    __slots__ = (
        "_depth",
        "_how",
        "_interval",
        "_waiting",
        "agreement",
        "book",
        "contradicted_ts",
        "delta",
        "due",
        "instrument",
        "order_book",
        "others",
        "quote",
        "records",
        "rival",
        "shared",
        "symbol",
        "topic",
        "venue_ts",
    )  # fmt: skip

    def __init__(
        self,
        venue: Venue,
        instrument: Instrument,
        records: Mapping[str, FeedRecord],
        others: Mapping[str, FeedRecord],
        *,
        depth: int,
        interval_ns: int,
        waiting: dict[str, BookFeed],
        renews: bool,
    ) -> None:
        """`renews`: see `KnownRange`. `records`: the feeds that the book gives, by kind; `others`: the instrument's other feeds.

        `waiting`: books with changes that are not published yet, by instrument; this one adds itself.
        """
        self.instrument = instrument.name
        self.symbol = instrument.symbol
        choices = () if venue.snapshots is None else tuple(venue.snapshots.levels)
        known = KnownRange(choices, depth, keeps_all="delta" in records, renews=renews)
        self.order_book = OrderBook(venue.book.of(instrument), subscribed_depth(venue, depth), known)
        self.records = tuple(records.values())
        self.book = records.get("book")
        self.delta = records.get("delta")
        self.quote = records.get("quote")
        self.others = tuple(others.values())
        self.rival = others.get("quote")
        """The quote feed, if it has its own stream: it and the book must agree."""
        self.agreement = Agreement()
        self.contradicted_ts = 0
        """When quote and book were last found to contradict each other; 0 = never."""
        self.shared: list[FeedRecord] = []
        """Other feeds that are stale because the book's stream is refuted, until that or their own stream brings data."""
        self.topic: Topic | None = None
        """The topic that brings it; None if none was opened."""
        self.venue_ts: int | None = None
        """The venue's time of the newest change in it."""
        self.due = 0
        """No book event is published before this time."""
        self._depth = depth
        self._interval = interval_ns
        self._waiting = waiting
        self._how: Literal["rest", "resubscribe"] = "rest" if venue.book.snapshot == "rest" else "resubscribe"

    def silent_with(self, record: FeedRecord) -> bool:
        """Whether the book has brought nothing since that feed of its instrument fell silent."""
        return max(one.received_ts for one in self.records) <= record.received_ts + TOGETHER_NS

    def best_prices(self) -> Top:
        """Return its best bid and ask; None for an empty side."""
        levels = self.order_book.levels
        bid, ask = levels.bids.best(), levels.asks.best()
        return bid and bid[0], ask and ask[0]

    def clock_set(self, step: ClockStep) -> None:
        """Shift its times after our clock was set."""
        self.due, self.contradicted_ts = step.shifted(self.due), step.shifted(self.contradicted_ts)
        self.agreement.clock_set(step)
        self.order_book.clock_set(step)

    def reset(self) -> None:
        """Forget the book: its connection is gone."""
        self.order_book.reset()
        self.due = 0
        self._waiting.pop(self.instrument, None)

    def request_snapshot(self) -> tuple[SnapshotRequest, ...]:
        """Return the request for a new snapshot, if the book wants one that was not requested yet; else nothing."""
        order_book = self.order_book
        cause = order_book.need.wanted
        if cause is None:
            return ()
        order_book.mark_requested()
        attempt = 1 if cause == PROBE else order_book.need.attempt
        return (SnapshotRequest(self.instrument, self.symbol, self._how, cause, attempt, self.topic, order_book.known.levels),)

    def change_events(self, change: BookUpdate | BookSnapshot, now: int, events: list[Effect]) -> list[Effect]:
        """Append the events of an applied change to `events`, and return them."""
        order_book = self.order_book
        self.venue_ts = change.venue_ts
        if self.delta is not None:
            events.append(self._delta(self.delta, change, now))
        quote = self.quote
        if quote is not None:
            state = quote.state
            levels = order_book.levels
            bid, ask = levels.bids.best() or (None, None), levels.asks.best() or (None, None)
            last = quote.last
            if not isinstance(last, Quote) or (
                last.bid_price != bid[0]
                or last.ask_price != ask[0]
                or last.bid_size != bid[1]
                or last.ask_size != ask[1]
                or last.state is not state
            ):
                quote.last = Quote(quote.venue, self.instrument, change.venue_ts, now, bid[0], bid[1], ask[0], ask[1], state)
                events.append(quote.last)
        if self.book is not None:
            if now >= self.due or self.due - now > self._interval:
                self._waiting.pop(self.instrument, None)
                events += self.book_event(now)
            else:
                self._waiting[self.instrument] = self
        elif order_book.levels.asks.edge is not None or order_book.levels.bids.edge is not None:
            events += self._range_events(now)
        return events

    def _range_events(self, now: int) -> Sequence[Effect]:
        """Check the range of a book of which only the changes are published."""
        good_ts = self.order_book.applied_ts
        if self.order_book.check_range() is Outcome.BROKEN:
            return self.break_events(good_ts, self.venue_ts, now)
        return self.request_snapshot()

    def book_event(self, now: int) -> Sequence[Effect]:
        """Return the published book; also a snapshot request, if the market comes near the edge of the last one, or what breaks it."""
        record, order_book = self.book, self.order_book
        assert record is not None  # else it is never due
        good_ts = order_book.applied_ts
        if order_book.check_range() is Outcome.BROKEN:
            return self.break_events(good_ts, self.venue_ts, now)
        depth = min(self._depth, order_book.levels.depth)  # some venues have fewer levels than are wanted
        bids, asks = order_book.levels.bids.top(depth), order_book.levels.asks.top(depth)
        self.due = now + self._interval
        record.last = Book(
            record.venue,
            self.instrument,
            self.venue_ts,
            order_book.applied_ts,
            tuple(bids),
            tuple(asks),
            depth,
            record.state,
            order_book.sequence,
        )
        return record.last, *self.request_snapshot()

    def break_events(self, good_ts: int, venue_ts: int | None, now: int) -> list[Effect]:
        """Report that the published book is wrong since `good_ts` (0 = not known), and request a new snapshot."""
        self._waiting.pop(self.instrument, None)
        self.due = 0
        fault = self.order_book.fault
        events: list[Effect] = []
        for record in self.records:
            events += record.set_state(FeedState.RECOVERING, fault.reason, now)
            events.append(Gap(record.venue, record.instrument, venue_ts, now, record.kind, good_ts or now, now, fault.missed, fault.cause))
        events += self.request_snapshot()
        return events

    def full_delta(self, now: int) -> Iterator[Delta]:
        """Yield all levels as a `Delta`, for readers that build the book from changes; nothing if it is not live or has no delta feed."""
        if self.delta is not None and self.order_book.live:
            yield self._delta(self.delta, BookSnapshot(self.instrument, self.venue_ts, now, (), (), self.order_book.sequence), now)

    def _delta(self, record: FeedRecord, change: BookUpdate | BookSnapshot, now: int) -> Delta:
        levels, sequence = self.order_book.levels, self.order_book.sequence
        if isinstance(change, BookSnapshot):  # with the updates that were buffered until it came
            bids, asks = levels.bids.top(len(levels.bids.prices)), levels.asks.top(len(levels.asks.prices))
            return Delta(record.venue, self.instrument, change.venue_ts, now, tuple(bids), tuple(asks), sequence, snapshot=True)
        removed_bids, removed_asks = levels.removed
        return Delta(
            record.venue, self.instrument, change.venue_ts, now, (*change.bids, *removed_bids), (*change.asks, *removed_asks), sequence
        )
