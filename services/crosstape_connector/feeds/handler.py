"""All feeds of one venue in one process: applies what parsers found, returns what goes on the tape. Pure: no I/O, no clock, no log.

A handler outlives connections. It keeps the state that must survive them: the state of each feed, the newest trade of each instrument (in
`trades`), the books (in `books`), the newest quotes, tickers and figures of derivatives (in `quote_feeds` and `value_feeds`), the newest
candles (in `candles`), and the states that the venue reports (in `venue_status`). It passes each output, topic or check to the part that
applies it, and returns the effects of that part, in the order in which they must be published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from crosstape_connector.feeds.books.book_feeds import BookFeeds
from crosstape_connector.feeds.books.checks import BookChecks
from crosstape_connector.feeds.books.known_range import KnownRange
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.feeds.candles.candle_feeds import CandleFeeds
from crosstape_connector.feeds.candles.sequence import CandleSequence
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.clock_watch import Stop
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.feeds.liquidation_feeds import LiquidationFeeds
from crosstape_connector.feeds.quote_feeds import QuoteFeeds, apply_polled_quote
from crosstape_connector.feeds.stops import Stops
from crosstape_connector.feeds.topics import Topics
from crosstape_connector.feeds.trades.trade_feeds import TradeFeeds
from crosstape_connector.feeds.value_feeds import VALUE_KINDS, ValueFeeds
from crosstape_connector.feeds.venue_status import VenueStatus
from crosstape_connector.venues.messages import (
    BookSnapshot,
    BookUpdate,
    CandleSnapshot,
    ConnectionBreak,
    LastTrade,
    Output,
    RepeatedQuote,
    TradeSnapshot,
    Unreadable,
)
from crosstape_connector.venues.offers import concerns, offered, polled_kinds
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import (
    CANDLE,
    VENUE_WIDE,
    AnyNumber,
    Candle,
    Event,
    FeedState,
    Funding,
    Instrument,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Ticker,
    Trade,
    feed_kind,
)

LIVE: Final = FeedState.LIVE
REMOVED: Final = "removed from the settings"
_NOTHING: Final[tuple[Event, ...]] = ()
_FROM_BOOK: Final = ("book", "delta")
_WITH_BOOK: Final = ("trade", "quote", "ticker")
"""Kinds that change only when the book changes, and at once."""


class FeedHandler:
    """Applies each output of a venue's parsers to the feeds, and returns the effects: events for the tape, requests for the shell."""

    def __init__(
        self,
        venue: Venue,
        instruments: Mapping[str, Instrument],
        kinds: Collection[str],
        *,
        book_depth: int,
        book_interval_ns: int,
        renews_books: bool = True,
    ) -> None:
        """`instruments`: by our name. `kinds`: those that are published. `book_interval_ns`: at most one book event in it; 0 = all.

        `renews_books`: whether requests for snapshots are answered. They are not where a capture is replayed: it has its own.
        """
        self.venue = venue
        self.kinds = frozenset(kinds)
        self.records: dict[FeedKey, FeedRecord] = {}
        """The state of each feed."""
        self.counts: Counter[str] = Counter()
        """`unwanted`: outputs of an instrument or kind that is not published."""
        self.trades = TradeFeeds(venue, self.counts)
        self.candles = CandleFeeds(venue, self.counts)
        self._books = BookFeeds(venue, self.records, self.counts, depth=book_depth, interval_ns=book_interval_ns, renews=renews_books)
        self._quotes = QuoteFeeds(self.counts)
        self._values = ValueFeeds(self.counts)
        self._liquidations = LiquidationFeeds(self.counts)
        self._newest: dict[FeedKey, FeedRecord] = {}  # of kinds of which only the newest data count, and that no number proves complete
        self._offered = offered(venue, dict.fromkeys(kinds))
        self._polled = polled_kinds(venue)
        self._status = VenueStatus(venue.id)
        self._stops = Stops()
        self._topics = Topics(venue, self.records, self._books, self._stops)
        self.listed: dict[str, Instrument] = {}
        """Each instrument by our name, also those that were removed: answers about them may be on their way."""
        self._instruments: set[str] = set()
        self._answered = {kind for one in reversed(venue.endpoints) for kind, channel in one.channels.items() if channel in one.answers}
        self.handlers: Mapping[type[Any], Callable[[Any], Sequence[Effect]]] = {
            Trade: self.trades.handle_trade,
            TradeSnapshot: self.trades.apply_snapshot,
            LastTrade: self.trades.apply_last_trade,
            Quote: self._quotes.apply_quote,
            RepeatedQuote: self._quotes.apply_repeated,
            Ticker: self._values.apply,
            Mark: self._values.apply,
            Funding: self._values.apply,
            OpenInterest: self._values.apply,
            Liquidation: self._liquidations.apply,
            Candle: self.candles.apply,
            CandleSnapshot: self.candles.apply_snapshot,
            Status: self._apply_status,
            BookSnapshot: self._books.apply_snapshot,
            BookUpdate: self._books.apply_update,
            ConnectionBreak: self._apply_break,
            Unreadable: self._apply_unreadable,
        }
        """Class of an output → the method that applies it. A session looks it up here itself, to save a call per frame; other classes
        (`Ack`, `Reply` …) concern the session only."""
        for instrument in instruments.values():
            self.add_instrument(instrument)

    def apply(self, output: Output) -> Sequence[Effect]:
        """Apply one output; see `handlers`."""
        handler = self.handlers.get(type(output))
        return handler(output) if handler is not None else _NOTHING

    def add_instrument(self, instrument: Instrument) -> None:
        """Track the feeds of one more instrument from now on. An instrument that is tracked already stays as it is."""
        name = instrument.name
        if name in self._instruments:
            return
        self._instruments.add(name)
        self.listed[name] = instrument
        self._topics.add_symbol(instrument.symbol, name)
        records = {kind: self._new_record(instrument, kind) for kind in self._offered if concerns(kind, instrument)}
        from_book = (*_FROM_BOOK, "quote") if self.venue.quote_from_book else _FROM_BOOK
        of_book = {kind: records[kind] for kind in from_book if kind in records}
        with_book = {kind: record for kind, record in records.items() if kind in _WITH_BOOK and kind not in of_book}
        for kind, record in records.items():
            record.answers_subscribe = kind in self._answered
            follows_book = bool(of_book) and (kind in of_book or kind in with_book)
            record.can_probe = self.venue.trading is not None or (follows_book and self.venue.book.snapshot == "rest")
            if kind not in of_book and (kind == "quote" or kind in VALUE_KINDS or kind.startswith(CANDLE)):
                self._newest[FeedKey(kind, name)] = record
        if "quote" in with_book:
            self._quotes.add_feed(records["quote"])
        if of_book:
            self._books.add_instrument(instrument, of_book, with_book)
        self.records.update({FeedKey(kind, name): record for kind, record in records.items()})

    def _new_record(self, instrument: Instrument, kind: str) -> FeedRecord:
        if kind == "trade":
            return self.trades.add_instrument(instrument)
        if kind.startswith(CANDLE):
            return self.candles.add_feed(instrument, kind)
        record = FeedRecord(instrument, kind)
        if kind in VALUE_KINDS:
            self._values.add_feed(record)
        elif kind == "liquidation":
            self._liquidations.add_feed(record)
        return record

    def remove_instrument(self, instrument: str, now: int) -> Sequence[Event]:
        """Set its feeds to `down` and forget them. Its trade ids are kept: if it is added again, what was missed is a gap."""
        events: list[Event] = []
        self._instruments.discard(instrument)
        for feed in [feed for feed in self.records if feed.instrument == instrument]:
            record = self.records.pop(feed)
            self._newest.pop(feed, None)
            self._topics.remove_symbol(record.symbol)
            events += record.set_state(FeedState.DOWN, REMOVED, now)
            record.interrupt(record.received_ts)
            record.sessions = 0
        for part in (self.trades, self.candles, self._books, self._quotes, self._values, self._liquidations, self._status):
            part.remove_instrument(instrument)
        return events

    def seed(self, events: Iterable[Event]) -> None:
        """Start after the newest events on the tape, one per feed: data that are missing since then are a gap.

        A feed that has brought data already stays as it is. The trades show which ids are on the tape.
        """
        self.trades.seed(event for event in events if isinstance(event, Trade))
        self.candles.seed(event for event in events if isinstance(event, Candle))
        for event in events:
            record = self.records.get(FeedKey(feed_kind(event), event.instrument))
            if record is not None and not isinstance(event, Trade | Candle):
                record.resume_after(event.received_ts)

    def restate(self, now: int) -> Iterable[Event]:
        """Yield all current states, for a tape on which another replica has published until now.

        These are the states that the venue reports, and of each feed its status and its newest quote, value or book; for `delta`, the full
        book. Events of which each counts (trades, candles, liquidations) are not repeated.
        """
        yield from self._status.restate(now)
        for record in self.records.values():
            yield Status(record.venue, record.instrument, None, now, record.kind, record.state, record.reason)
            if record.last is not None and not isinstance(record.last, Candle | Liquidation) and self._is_current(record):
                yield record.last
        for book in self._books.books.values():
            yield from book.full_delta(now)

    def _is_current(self, record: FeedRecord) -> bool:
        """Whether the newest event of a feed may be the newest that there is: a standby does not poll."""
        return record.state is LIVE or record.kind not in self._polled

    def open_topics(self, topics: Iterable[Topic], now: int, since: int | None = None) -> Sequence[Event]:
        """Note that a connection subscribes these: once per connection; `close_topics` ends it.

        A feed becomes `connecting`, or `recovering` if it had data before. One that another connection still has keeps its state, and is
        not interrupted when the older connection closes. `since`: when they were subscribed, if that was before `now`.
        """
        return self._topics.open(topics, now, since)

    def confirm_topics(self, topics: Iterable[Topic], now: int) -> Sequence[Effect]:
        """Note that the venue acknowledged these: a book that needs a REST snapshot requests it now, if no update did so before.

        A feed of rare events is live from now on: its silence means that none happened.
        """
        return self._topics.confirm(topics, now)

    def reject_topic(self, topic: Topic, reason: str, now: int) -> Sequence[Event]:
        """Set the feeds of a topic that the venue refused to `down`. If they had data before, what is missed is a gap."""
        return self._topics.reject(topic, now, reason)

    def close_topics(self, topics: Iterable[Topic], now: int, reason: str) -> Sequence[Event]:
        """Note that the connection which had these is closed: see `interrupt`. A feed that another connection has goes on."""
        return self._topics.close(topics, now, reason)

    def interrupt(self, feeds: Iterable[FeedKey], now: int, reason: str) -> Sequence[Event]:
        """Set these to `down` and forget their books: nothing comes for them until they are subscribed again.

        When data resume, a `Gap(disconnect)` comes before them, if anything can have been missed.
        """
        return self._topics.interrupt(feeds, now, reason)

    @property
    def long_stops(self) -> int:
        """Number of stops of this process that were so long that no connection from before them is to be trusted."""
        return self._stops.long

    def note_stop(self, stop: Stop) -> None:
        """Note that the process was stopped: a feed whose connection breaks soon after has a gap from the stop's beginning on."""
        self._stops.note(stop)

    def clock_set(self, step: ClockStep) -> None:
        """Shift all times that we keep after our clock was set, so that no silence is too long or negative."""
        for record in (*self.records.values(), *self.trades.removed()):
            record.clock_set(step)
        self._books.clock_set(step)
        self._stops.clock_set(step)

    def mark_stale(self, feed: FeedKey, now: int, reason: str) -> Sequence[Event]:
        """Set a feed to `stale`, as its watchdog decided; the next data of its stream make it live again.

        Where ids do not show which trades are missing, those since its newest may be: its subscription is renewed.
        """
        record = self.records.get(feed)
        if record is None:
            return _NOTHING
        record.stalled_ts = now
        if isinstance(record, CandleSequence):
            record.doubt(now)
        elif feed.kind == "trade" and self.venue.trade_ids != "contiguous":
            record.gap_from = record.gap_from or record.received_ts
        return record.set_state(FeedState.STALE, reason, now)

    def check_streams(self, instruments: Iterable[str], now: int) -> Sequence[Effect]:
        """Compare the streams of these instruments with each other and with REST. Call it a few times a second. See `CrossChecks`."""
        return self._books.cross_checks.check_streams(instruments, now)

    def compare_best_prices(self, quote: Quote, asked_ts: int, now: int) -> Sequence[Effect]:
        """Compare the streams with best prices that REST was asked for at `asked_ts`. See `CrossChecks`."""
        return self._books.cross_checks.compare_best_prices(quote, asked_ts, now)

    def suspects(self) -> set[str]:
        """Return the instruments whose best prices differed from REST's when last compared."""
        return self._books.cross_checks.suspects()

    def probe(self, feed: FeedKey) -> Sequence[SnapshotRequest]:
        """Request the book of a silent feed's instrument by REST, if the venue has books by REST and its stream is as silent."""
        record = self.records.get(feed)
        return () if record is None else self._books.probe(record)

    def silent_trades(self, before_ts: int) -> list[str]:
        """Return the instruments whose trades are live, but brought or confirmed nothing since `before_ts`."""
        return self.trades.silent(before_ts)

    def silent_prices(self, before_ts: int) -> list[str]:
        """Return the instruments of which a quote or a book is live, but brought nothing since `before_ts`."""
        names = (feed.instrument for feed, record in self.records.items() if _is_silent(record, before_ts))
        return list(dict.fromkeys(names))

    def check_newest_trades(self, page: TradeSnapshot) -> Sequence[Event]:
        """Compare silent trades with the newest that REST has; see `TradeFeeds.check_newest`."""
        events = self.trades.check_newest(page)
        if events:
            self.candles.doubt(page.instrument, page.received_ts)
        return events

    def apply_polled_quote(self, quote: Quote, asked_ts: int, reason: str) -> Sequence[Event]:
        """Publish a quote of REST for want of a stream; see `quote_feeds.apply_polled_quote`."""
        record = self.records.get(FeedKey("quote", quote.instrument))
        if record is None:
            self.counts["unwanted"] += 1
            return _NOTHING
        return apply_polled_quote(record, quote, asked_ts, reason)

    def end_polling(self, feed: FeedKey, now: int, reason: str) -> Sequence[Event]:
        """Note that a feed is no longer polled by REST: `recovering` if it has a connection, else `down` for this reason."""
        record = self.records.get(feed)
        return _NOTHING if record is None else record.end_polling(now, reason)

    def links(self, output: Trade[AnyNumber] | TradeSnapshot[AnyNumber] | LastTrade | BookUpdate) -> bool:
        """Whether data that begin with this one leave no gap after what is on the tape. A book that is not live has nothing to link to."""
        if isinstance(output, BookUpdate):
            book = self._books.books.get(output.instrument)
            return book is None or book.order_book.links(output)
        return self.trades.links(output)

    def has_live_book(self, instrument: str) -> bool:
        """Whether the book of an instrument is live."""
        book = self._books.books.get(instrument)
        return book is not None and book.order_book.live

    def book_position(self, instrument: str) -> tuple[int | None, int | None]:
        """Return the venue's number and time of the newest change in a book, where the venue has them."""
        book = self._books.books.get(instrument)
        return (None, None) if book is None else (book.order_book.sequence, book.venue_ts)

    def new_book(self, instrument: str) -> OrderBook | None:
        """Return an empty book that can be built beside an instrument's own, for `adopt_book`; None if it has none."""
        book = self._books.books.get(instrument)
        if book is None:
            return None
        present = book.order_book
        return OrderBook(present.rule, present.levels.depth, KnownRange(depth=present.known.depth))

    def adopt_book(self, instrument: str, order_book: OrderBook, venue_ts: int | None, now: int) -> Sequence[Effect]:
        """Go on with a book that another connection built; see `BookFeeds.adopt_book`."""
        return self._books.adopt_book(instrument, order_book, venue_ts, now)

    def newest_ts(self, event: Event | Unreadable) -> int:
        """Return `received_ts` of the newest published event of this one's feed; 0 = none yet."""
        kind = event.kind if isinstance(event, Unreadable) else feed_kind(event)
        record = self._newest.get(FeedKey(kind, event.instrument))
        return 0 if record is None or record.last is None else record.last.received_ts

    @property
    def venue_state(self) -> FeedState:
        """The state that the venue reports of itself; `live` where it reports none."""
        return self._status.state

    @property
    def venue_reason(self) -> str:
        """The reason of `venue_state`."""
        return self._status.reason

    @property
    def halts(self) -> Mapping[str, str]:
        """Instrument → why it does not trade, by REST."""
        return self._status.halts

    def set_halt(self, instrument: str, reason: str, now: int) -> Sequence[Event]:
        """Note by REST that an instrument does not trade, for this reason; empty: that it trades. It overrules the stream's state."""
        if instrument not in self._instruments:
            return _NOTHING
        events = self._status.set_halt(instrument, reason, now)
        if events and not reason:
            for kind in self.kinds:
                record = self.records.get(FeedKey(kind, instrument))
                if record is not None:
                    record.proven_ts = now  # it was silent because of the halt
        return events

    def is_halted(self, instrument: str) -> bool:
        """Whether an instrument does not trade, by the venue's stream or by REST."""
        return self._status.is_halted(instrument)

    def book_checks(self) -> dict[str, BookChecks]:
        """Return the check counters of each book, by instrument."""
        return {name: book.order_book.checks for name, book in self._books.books.items()}

    def duplicate_trades(self) -> int:
        """Return the number of trades that were dropped because the tape had them."""
        return self.trades.duplicates()

    def due_books(self, now: int) -> Sequence[Effect]:
        """Return the conflated books that are due; call it about once per book interval."""
        return self._books.due_books(now)

    def _apply_break(self, broken: ConnectionBreak) -> Sequence[Effect]:
        """A frame of a connection is missing: it may be of any of its books, or hold trades or candles."""
        self.candles.apply_break(broken)
        return [*self.trades.apply_break(broken), *self._books.apply_break(broken)]

    def _apply_unreadable(self, output: Unreadable) -> Sequence[Event]:
        """Set the feed to `recovering`, with a gap that ends with its next readable data. Ignored if there is no such feed.

        Trades stay live: only a gap is reported, where no id shows it.
        """
        if output.kind == "trade":
            return self.trades.report_unreadable(output)
        record = self._newest.get(FeedKey(output.kind, output.instrument))
        return _NOTHING if record is None else record.mark_unreadable(output.received_ts)

    def _apply_status(self, status: Status) -> Sequence[Event]:
        if status.instrument != VENUE_WIDE and status.instrument not in self._instruments:
            self.counts["unwanted"] += 1
            return _NOTHING
        return self._status.apply(status)


def _is_silent(record: FeedRecord, before_ts: int) -> bool:
    return record.kind in ("quote", "book") and record.state is LIVE and max(record.received_ts, record.opened_ts) < before_ts
