"""One book's feeds: its state, and what is published of it. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from crosstape_connector.feeds.agreement import Agreement, Top
from crosstape_connector.feeds.books.order_book import PROBE, OrderBook
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.spec import Venue, subscribed_depth
from crosstape_schemas import Book, Delta, FeedState, Gap, Instrument, Quote

LIVE: Final = FeedState.LIVE  # looking it up in its class takes as long as a dict look-up and a half
TOGETHER_NS: Final = 1_000_000_000
"""What one order does to book, quote and trades is told within so long."""


class BookFeed:
    """The feeds that one book gives: book, delta, and quote where that is the top of it."""

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
    ) -> None:
        """`records`: those that the book gives, and `others` of the instrument, by kind.

        `waiting`: books with changes that are not published yet, by instrument; this one puts itself there.
        """
        self.instrument = instrument.name
        self.symbol = instrument.symbol
        self.order_book = OrderBook(venue.book, subscribed_depth(venue, depth))
        self.records = tuple(records.values())
        self.book = records.get("book")
        self.delta = records.get("delta")
        self.quote = records.get("quote")
        self.others = tuple(others.values())
        self.rival = others.get("quote")
        """The quote where it is a stream of its own: it and the book must agree."""
        self.agreement = Agreement()
        self.contradicted_ts = 0
        """When they were last found to contradict each other."""
        self.shared: list[FeedRecord] = []
        """Others that are stale because the book's stream is refuted: until it, or their own, speaks."""
        self.topic: Topic | None = None
        self.venue_ts: int | None = None
        self.due = 0
        """No book event before this time."""
        self._depth = depth
        self._interval = interval_ns
        self._waiting = waiting
        self._how: Literal["rest", "resubscribe"] = "rest" if venue.book.snapshot == "rest" else "resubscribe"

    def silent_with(self, record: FeedRecord) -> bool:
        """Whether nothing has been heard of the book since that feed of its instrument fell silent."""
        return max(one.received_ts for one in self.records) <= record.received_ts + TOGETHER_NS

    def best_prices(self) -> Top:
        """Its best prices."""
        bid, ask = self.order_book.bids.best(), self.order_book.asks.best()
        return bid and bid[0], ask and ask[0]

    def clock_set(self, step: ClockStep) -> None:
        """Our clock was set; see `FeedRecord.clock_set`."""
        self.due, self.contradicted_ts = step.shifted(self.due), step.shifted(self.contradicted_ts)
        self.agreement.clock_set(step)
        self.order_book.clock_set(step)

    def reset(self) -> None:
        """Its connection is gone."""
        self.order_book.reset()
        self.due = 0
        self._waiting.pop(self.instrument, None)

    def request_snapshot(self) -> tuple[SnapshotRequest, ...]:
        """Return the request for a new snapshot, if the book wants one that was not requested yet; else nothing."""
        order_book = self.order_book
        cause = order_book.wanted
        if cause is None:
            return ()
        order_book.mark_requested()
        attempt = 1 if cause == PROBE else order_book.attempt
        return (SnapshotRequest(self.instrument, self.symbol, self._how, cause, attempt, self.topic),)

    def change_events(self, change: BookUpdate | BookSnapshot, now: int, events: list[Effect]) -> list[Effect]:
        """It moved on and is true: `events`, and what follows from that."""
        sync = self.order_book
        self.venue_ts = change.venue_ts
        if self.delta is not None:
            events.append(self._delta(self.delta, change, now))
        quote = self.quote
        if quote is not None:
            state = quote.state
            bid, ask = sync.bids.best() or (None, None), sync.asks.best() or (None, None)
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
        return events

    def book_event(self, now: int) -> Sequence[Effect]:
        """Return the book as it is published; and a snapshot request, if the published levels leave the range of the last snapshot."""
        record, sync = self.book, self.order_book
        assert record is not None  # else it is never due
        bids, asks = sync.bids.top(self._depth), sync.asks.top(self._depth)
        sync.check_range(bids, asks)
        self.due = now + self._interval
        record.last = Book(
            record.venue,
            self.instrument,
            self.venue_ts,
            sync.applied_ts,
            tuple(bids),
            tuple(asks),
            self._depth,
            record.state,
            sync.sequence,
        )
        return record.last, *self.request_snapshot()

    def break_events(self, good_ts: int, venue_ts: int | None, now: int) -> list[Effect]:
        """Say at once that what was published is not true any more, and ask for a resync."""
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
        """All of it, for those who build it from changes and know nothing yet; nothing if it is not true, or changes are not taken."""
        if self.delta is not None and self.order_book.live:
            yield self._delta(self.delta, BookSnapshot(self.instrument, self.venue_ts, now, (), (), self.order_book.sequence), now)

    def _delta(self, record: FeedRecord, change: BookUpdate | BookSnapshot, now: int) -> Delta:
        sync = self.order_book
        if isinstance(change, BookSnapshot):  # and whatever was held until it came
            bids, asks = sync.bids.top(len(sync.bids.prices)), sync.asks.top(len(sync.asks.prices))
            return Delta(record.venue, self.instrument, change.venue_ts, now, tuple(bids), tuple(asks), sync.sequence, snapshot=True)
        cut_bids, cut_asks = sync.removed
        return Delta(
            record.venue, self.instrument, change.venue_ts, now, (*change.bids, *cut_bids), (*change.asks, *cut_asks), sync.sequence
        )
