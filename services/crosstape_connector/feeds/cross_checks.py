"""Finds streams that miss changes at their venue, by REST or by another stream of the same instrument. Pure.

A feed whose subscription is dead looks like a feed of a quiet market. Three checks distinguish them:

- **A book by REST** (a probe, which the watchdog requests): its number is later than the one that the stream has reached, and the stream
  does not bring that change within `probe.GRACE_NS`.
- **The best prices by REST** (`compare_best_prices`): twice in a row they differ from those of a feed that has been silent since before
  the first answer.
- **Quote and book of one venue**, where the quote has its own stream: one of them has not changed for `AGREE_NS` while the other was
  different at every check. We do not know which of the two is wrong, so neither is live until their streams make them agree again.

A feed that a check refutes is stale at once, until its stream brings data. The watchdog subscribes it again, alone, then on another
connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from crosstape_connector.feeds.agreement import Top
from crosstape_connector.feeds.books.book_feed import TOGETHER_NS, BookFeed
from crosstape_connector.feeds.books.checks import Outcome
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.feeds.quote_numbers import top_of
from crosstape_connector.venues.messages import BookSnapshot
from crosstape_schemas import FeedState, GapCause, Quote

LIVE: Final = FeedState.LIVE
AGREE_NS: Final = 1_000_000_000
"""How long quote and book may differ (two conflation intervals, if that is longer): one stream is a little behind the other."""
BEHIND: Final = "REST has changes that the stream did not bring"


def _text(top: Top) -> str:
    return "/".join("none" if price is None else format(price, "f") for price in top)


class CrossChecks:
    """Checks all books of one venue, and the other feeds of their instruments."""

    def __init__(self, feeds: Mapping[FeedKey, FeedRecord], books: Mapping[str, BookFeed], *, interval_ns: int) -> None:
        """`feeds`: of all kinds; `books` by instrument."""
        self._feeds = feeds
        self._books = books
        self._longest_ns = max(AGREE_NS, 2 * interval_ns)
        self._suspects: dict[FeedKey, int] = {}  # feeds that differed from REST's best prices → when those had been requested

    def clock_set(self, step: ClockStep) -> None:
        """Shift its times after our clock was set."""
        self._suspects = {feed: step.shifted(asked_ts) for feed, asked_ts in self._suspects.items()}

    def check_streams(self, instruments: Iterable[str], now: int) -> list[Effect]:
        """Run the checks by the clock: changes that a stream has not brought in time, quotes and books that contradict each other."""
        events: list[Effect] = []
        for name in instruments:
            book = self._books.get(name)
            if book is None:
                continue
            if book.order_book.probe.newer is not None and (newer := book.order_book.overdue(now)) is not None:
                events += self._behind(book, newer, now)
            if book.rival is not None:
                events += self._compare(book, book.rival, now)
        return events

    def stream_resumed(self, book: BookFeed, now: int) -> list[Effect]:
        """Note that an update of the book's stream was applied: the stream is not refuted any more."""
        book.order_book.probe.refuted = False
        events: list[Effect] = []
        for record in book.records:
            if record.state is not LIVE:
                events += [*record.set_live(now), *record.end_gap(now)]
        for record in book.shared:
            if record.refuted_ts and record.state is FeedState.STALE and not record.unread_ts:
                events += record.set_live(now)
        book.shared.clear()
        return events

    def confirm_quiet(self, book: BookFeed, now: int) -> list[Effect]:
        """Note that REST has the same book as the stream: nothing was missed, except by a quote with another best price."""
        events: list[Effect] = []
        for record in (*book.records, *book.others):
            if not book.silent_with(record):
                continue
            if record is book.rival and isinstance(record.last, Quote) and top_of(record.last) != book.best_prices():
                if record.state is LIVE:
                    reason = f"the quote is {_text(top_of(record.last))}, the book, which REST confirms, has {_text(book.best_prices())}"
                    events += record.refute(reason, now, record.received_ts)
                continue
            record.proven_ts = now
            if record.state is FeedState.STALE and not record.refuted_ts and not record.unread_ts:
                events += record.set_live(now)
        return events

    def compare_best_prices(self, quote: Quote, asked_ts: int, now: int) -> list[Effect]:
        """Compare best prices, requested from REST at `asked_ts`, with those of the streams. One answer alone may be late."""
        instrument, events = quote.instrument, list[Effect]()
        book = self._books.get(instrument)
        separate = book.rival if book is not None else self._feeds.get(FeedKey("quote", instrument))
        if separate is not None and isinstance(separate.last, Quote) and self._differs(separate, top_of(separate.last), quote, asked_ts):
            reason = f"REST has {_text(top_of(quote))}, the stream still has {_text(top_of(separate.last))}"
            events += separate.refute(reason, now, separate.received_ts)
        if book is not None and book.order_book.live and self._differs(book.records[0], book.best_prices(), quote, asked_ts):
            reason = f"REST has {_text(top_of(quote))}, the stream still has {_text(book.best_prices())}"
            good_ts = book.order_book.applied_ts
            book.order_book.refute()
            for record in book.records:
                events += record.refute(reason, now, good_ts)
            events += self._share(book, reason, now)
        return events

    def _differs(self, record: FeedRecord, top: Top, quote: Quote, asked_ts: int) -> bool:
        feed = FeedKey(record.kind, record.instrument)
        if record.state is not LIVE or record.received_ts >= asked_ts or top == top_of(quote):
            self._suspects.pop(feed, None)
            return False
        first_ts = self._suspects.get(feed, 0)
        if not first_ts or record.received_ts >= first_ts:
            self._suspects[feed] = asked_ts
            return False
        del self._suspects[feed]
        return True

    def suspects(self) -> set[str]:
        """Return the instruments whose best prices must be requested once more."""
        return {feed.instrument for feed in self._suspects}

    def _behind(self, book: BookFeed, newer: BookSnapshot, now: int) -> list[Effect]:
        """Publish REST's book, which is ahead of the stream, as stale until the stream brings data."""
        sync = book.order_book
        good_ts, reached = sync.applied_ts, sync.reached
        missed = newer.sequence - reached if newer.sequence is not None and reached is not None else 0
        if sync.refute(newer) is Outcome.BROKEN:
            return book.break_events(good_ts, None, now)
        events: list[Effect] = []
        for record in book.records:
            events += record.refute(BEHIND, now)
            events.append(record.gap_event(now, missed or None, GapCause.SEQUENCE, from_ts=good_ts or now))
        events += self._share(book, BEHIND, now)
        return book.change_events(newer, now, events)

    def _share(self, book: BookFeed, reason: str, now: int) -> list[Effect]:
        """Refute the instrument's other feeds that are silent since the book's stream. A quote with the right price is not refuted."""
        last_ts = max(record.received_ts for record in book.records)
        events: list[Effect] = []
        for record in book.others:
            if record.state is not LIVE or record.received_ts > last_ts + TOGETHER_NS:
                continue
            if record is not book.rival:
                book.shared.append(record)
                events += record.refute(reason, now)
            elif isinstance(record.last, Quote) and top_of(record.last) != book.best_prices():
                events += record.refute(reason, now, record.received_ts)
        return events

    def _compare(self, book: BookFeed, quote: FeedRecord, now: int) -> list[Effect]:
        both = (*book.records, quote)
        if (
            not book.order_book.live
            or not isinstance(quote.last, Quote)
            or not (quote.contradiction or all(record.state is LIVE for record in both))
        ):
            return []
        ours, theirs = top_of(quote.last), book.best_prices()
        differ_ns = book.agreement.compare(ours, theirs, now)
        if quote.contradiction:
            spoke_ts = min(quote.received_ts, max(record.received_ts for record in book.records))
            agree = ours == theirs and not book.order_book.probe.refuted and spoke_ts > book.contradicted_ts
            return self._release(both, now) if agree else []
        if differ_ns < self._longest_ns:
            return []
        reason = f"quote {_text(ours)} and book {_text(theirs)} contradict each other"
        book.contradicted_ts = now
        events: list[Effect] = []
        for record in both:
            record.contradiction = reason
            events += record.refute(reason, now, max(1, now - differ_ns))
        return events

    def _release(self, both: Iterable[FeedRecord], now: int) -> list[Effect]:
        events: list[Effect] = []
        for record in both:
            record.contradiction = ""
            if record.state is FeedState.STALE:
                events += [*record.set_live(now), *record.end_gap(now)]
        return events
