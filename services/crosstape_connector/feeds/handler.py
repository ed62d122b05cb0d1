"""All feeds of one venue in one process: what parsers found → what goes on the tape. Pure: no I/O, no clock, no log.

Outlives connections: here lives what must be known across them, the state of each feed; the last trade of each instrument is in
`trade_feeds`, the books are in `book_feeds`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from crosstape_connector.feeds.books.book_feeds import BookFeeds
from crosstape_connector.feeds.books.checks import BookChecks
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.clock_watch import Stop
from crosstape_connector.feeds.cross_checks import top_of
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.feeds.trades.trade_feeds import TradeFeeds
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, ConnectionBreak, LastTrade, Output, TradeSnapshot, Unreadable
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import KIND_OF, VENUE_WIDE, Event, FeedState, Instrument, Quote, Status, Ticker, Trade

LIVE: Final = FeedState.LIVE  # looking it up in its class takes as long as a dict look-up and a half
_NOTHING: Final[tuple[Event, ...]] = ()
REMOVED: Final = "removed from the settings"
NO_TRADES: Final = "REST has trades that the stream did not bring"
ANSWERED: Final = "the venue answers the subscription with other data, and sends none after that"
_FROM_BOOK: Final = ("book", "delta")
DISTRUST_NS: Final = 5_000_000_000
"""After a longer stop of this process, what its connections still hold is too old to be called live, and they may be dead."""

BACKLOG_NS: Final = 10_000_000_000
"""How long after a stop of this process it may still be reading what had come before it, or what its sockets held."""


class FeedHandler:
    """All feeds of one venue in one process: what parsers found → what goes on the tape. Outlives connections."""

    def __init__(
        self, venue: Venue, instruments: Mapping[str, Instrument], kinds: Collection[str], *, book_depth: int, book_interval_ns: int
    ) -> None:
        """`instruments` by our name."""
        self.venue = venue
        self.kinds = frozenset(kinds)
        self.records: dict[FeedKey, FeedRecord] = {}
        self.venue_state = FeedState.LIVE
        """What the venue says of itself (`live` where it says nothing): the shell's venue-wide `Status` must not say better."""
        self.venue_reason = ""
        self.counts: Counter[str] = Counter()
        """`unwanted`: outputs of an instrument or kind that is not taken."""
        self.trades = TradeFeeds(venue, self.counts)
        """The lines of trades, and what is missing of them."""
        self._books = BookFeeds(venue, self.records, self.counts, depth=book_depth, interval_ns=book_interval_ns)
        self.requests = self._books.requests
        """What the shell must do; it empties this after `take`, `confirmed` and `tick`. At most a few per book."""
        self._quotes: dict[str, FeedRecord] = {}
        self._tickers: dict[str, FeedRecord] = {}
        self.long_stops = 0
        """How often the process was stopped for so long that no connection of before is to be trusted."""
        self._stop: Stop | None = None
        self.halts: dict[str, str] = {}
        """Instrument → why it does not trade, by REST."""
        self._said: dict[tuple[str, str], tuple[FeedState, str]] = {}  # the venue's own word, by kind and instrument
        self._names: dict[str, str] = {}  # their symbol → our instrument
        self._instruments: set[str] = set()
        self._channels: dict[tuple[str, str], tuple[str, ...]] = {}  # endpoint and channel → the kinds in it
        self._answered = {kind for one in reversed(venue.endpoints) for kind, channel in one.channels.items() if channel in one.answers}
        for endpoint in venue.endpoints:
            for kind, channel in endpoint.channels.items():
                self._channels[endpoint.name, channel] = (*self._channels.get((endpoint.name, channel), ()), kind)
        self.handlers: Mapping[type[Any], Callable[[Any], Sequence[Event]]] = {
            Trade: self.trades.handle_trade,
            TradeSnapshot: self.trades.apply_snapshot,
            LastTrade: self.trades.apply_last_trade,
            Quote: self._quote,
            Ticker: self._ticker,
            Status: self._status,
            BookSnapshot: self._books.apply_snapshot,
            BookUpdate: self._books.apply_update,
            ConnectionBreak: self._books.apply_break,
            Unreadable: self._unreadable,
        }
        """What takes an output, by its class; a session looks here itself, to save a call. What is not here is the session's."""
        for instrument in instruments.values():
            self.add_instrument(instrument)

    # ---- what is taken

    def add_instrument(self, instrument: Instrument) -> None:
        """One more instrument, while running. One that is there already stays as it is."""
        name = instrument.name
        if name in self._instruments:
            return
        self._instruments.add(name)
        self._names[instrument.symbol] = name
        from_book = (*_FROM_BOOK, "quote") if self.venue.quote_from_book else _FROM_BOOK
        records: dict[str, FeedRecord] = {
            kind: FeedRecord(instrument, kind) for kind in ("quote", "ticker", "book", "delta") if kind in self.kinds
        }
        if "trade" in self.kinds:
            records["trade"] = self.trades.add_instrument(instrument)
        if "quote" in records and not self.venue.quote_from_book:
            self._quotes[name] = records["quote"]
        if "ticker" in records:
            self._tickers[name] = records["ticker"]
        of_book = {kind: records[kind] for kind in from_book if kind in records}
        for record in records.values():
            record.answers_subscribe = record.kind in self._answered
            record.can_probe = self.venue.trading is not None or (bool(of_book) and self.venue.book.snapshot == "rest")
        if of_book:
            self._books.add_instrument(instrument, of_book, {kind: record for kind, record in records.items() if kind not in of_book})
        self.records.update({FeedKey(kind, name): record for kind, record in records.items()})

    def remove_instrument(self, instrument: str, now: int) -> Sequence[Event]:
        """One less: its feeds go `down`. Its line of trades is kept: if it is added again, what was missed is a gap."""
        events: list[Event] = []
        self._instruments.discard(instrument)
        for feed in [feed for feed in self.records if feed.instrument == instrument]:
            record = self.records.pop(feed)
            self._names.pop(record.symbol, None)
            events += record.set_state(FeedState.DOWN, REMOVED, now)
            record.interrupt(record.received_ts)
            record.sessions = 0
        for part in (self.trades, self._books):
            part.remove_instrument(instrument)
        self.halts.pop(instrument, None)
        for table in (self._quotes, self._tickers):
            table.pop(instrument, None)
        return events

    def seed(self, events: Iterable[Event]) -> None:
        """The newest events on the tape, one a feed, of feeds that have brought nothing yet: what is missing since then is a gap.

        By the trade among them it is known which trades are there already.
        """
        self.trades.seed(event for event in events if isinstance(event, Trade))
        for event in events:
            record = self.records.get(FeedKey(KIND_OF[type(event)], event.instrument))
            if record is not None and record.kind != "trade":
                record.resume_after(event.received_ts)

    # ---- another line has published until now (see `redundancy`)

    def restate(self, now: int) -> Iterable[Event]:
        """All states as they are now: the venue's own word, each feed's, its newest quote, ticker or book; a whole book in `delta`."""
        for (kind, instrument), (state, reason) in self._said.items():
            yield Status(self.venue.id, instrument, None, now, kind, state, reason)
        for instrument in self.halts:
            yield self._trading(instrument, now)
        for record in self.records.values():
            yield Status(record.venue, record.instrument, None, now, record.kind, record.state, record.reason)
            if record.last is not None:
                yield record.last
        for book in self._books.books.values():
            yield from book.full_delta(now)

    # ---- connections come and go

    def open_topics(self, topics: Iterable[Topic], now: int, since: int | None = None) -> Sequence[Event]:
        """A connection subscribes these: `connecting`, or `recovering` if there were data before. Once per connection; `lost` ends it.

        A feed that another connection still has keeps its state, and does not notice when the older one is lost. `since`: when it
        subscribed them, if that was before now.
        """
        events: list[Event] = []
        for topic in topics:
            for record in self._of(topic):
                record.sessions += 1
                record.opened_ts = now if since is None else since
                record.confirmed = False
                if record.sessions == 1:
                    known = record.count or record.fetched_ts
                    state, reason = (FeedState.RECOVERING, "reconnected") if known else (FeedState.CONNECTING, "subscribing")
                    events += record.set_state(state, reason, now)
                book = self._books.book_of(record)
                if book is not None:
                    book.topic = topic
                    book.order_book.connection_changed()
        return events

    def confirm_topics(self, topics: Iterable[Topic], now: int) -> Sequence[Event]:
        """The venue acknowledged these: a book that needs a REST snapshot asks for it now, if no update did so before."""
        for topic in topics:
            for record in self._of(topic):
                record.confirmed = True
                book = self._books.book_of(record)
                if book is not None:
                    book.order_book.start()
                    book.ask()
        return _NOTHING

    def reject_topic(self, topic: Topic, reason: str, now: int) -> Sequence[Event]:
        """The venue refused: `down`, with its reason. If there were data before, what is missed is a gap, as after `lost`."""
        return self.interrupt([FeedKey(record.kind, record.instrument) for record in self._of(topic)], now, reason)

    def close_topics(self, topics: Iterable[Topic], now: int, reason: str) -> Sequence[Event]:
        """A connection is gone: `down`, books forgotten; a `Gap(disconnect)` follows when data resume, if anything can have been missed."""
        records = [record for topic in topics for record in self._of(topic)]
        gone: list[FeedKey] = []
        for record in records:
            record.sessions = max(0, record.sessions - 1)
            if record.sessions == 0:
                gone.append(FeedKey(record.kind, record.instrument))
        return self.interrupt(gone, now, reason)

    def interrupt(self, feeds: Iterable[FeedKey], now: int, reason: str) -> Sequence[Event]:
        """As `lost`, by feed: nothing more comes for these until a new subscription."""
        events: list[Event] = []
        for feed in feeds:
            record = self.records.get(feed)
            if record is None:
                continue
            book = self._books.book_of(record)
            if book is None:
                record.interrupt(self._seen_until(record.received_ts))
            else:
                record.interrupt(self._seen_until(book.order_book.applied_ts))
                book.reset()
            events += record.set_state(FeedState.DOWN, reason, now)
        return events

    # ---- this process, and its clock

    def note_stop(self, stop: Stop) -> None:
        """The process was stopped. What it read since may be old, so a feed whose connection broke meanwhile has a gap from the stop on."""
        self._stop = stop
        self.long_stops += stop.to_ts - stop.from_ts > DISTRUST_NS

    def clock_set(self, step: ClockStep) -> None:
        """Our clock was set: what is known of each feed is put as the clock shows it now, so that no silence is too long or negative."""
        for record in (*self.records.values(), *self.trades.removed()):
            record.clock_set(step)
        self._books.clock_set(step)
        if self._stop is not None:
            self._stop = Stop(step.shifted(self._stop.from_ts), step.shifted(self._stop.to_ts))

    def _seen_until(self, received_ts: int) -> int:
        """Up to when nothing is missing of a feed whose newest data were received then, and whose connection is gone."""
        stop = self._stop
        if stop is not None and stop.from_ts < received_ts <= stop.to_ts + BACKLOG_NS:
            return stop.from_ts
        return received_ts

    def mark_stale(self, feed: FeedKey, now: int, reason: str) -> Sequence[Event]:
        """The watchdog's word: `stale`; live again with the next data of its stream."""
        record = self.records.get(feed)
        if record is None:
            return _NOTHING
        record.stalled_ts = now
        return record.set_state(FeedState.STALE, reason, now)

    def check_streams(self, instruments: Iterable[str], now: int) -> Sequence[Event]:
        """What the clock says of these instruments' streams; call a few times a second. See `doubts`."""
        return self._books.cross_checks.check_streams(instruments, now)

    def compare_best_prices(self, quote: Quote, asked_ts: int, now: int) -> Sequence[Event]:
        """Best prices that REST was asked for at `asked_ts`. See `doubts`."""
        return self._books.cross_checks.compare_best_prices(quote, asked_ts, now)

    def silent_trades(self, before_ts: int) -> list[str]:
        """The instruments whose trades are called live, and of which nothing was heard or proven since then."""
        lines = self.trades.sequences.items()
        return [name for name, one in lines if one.state is LIVE and max(one.received_ts, one.proven_ts, one.opened_ts) < before_ts]

    def check_newest_trades(self, page: TradeSnapshot) -> Sequence[Event]:
        """The newest trades by REST, of an instrument whose trades are silent: they prove that none was missed or, twice, that some were.

        Those are a gap, and published as far as they are here; the feed is stale until its stream speaks.
        """
        line = self.trades.sequences.get(page.instrument)
        if line is None or line.state is not LIVE or not page.trades:
            return _NOTHING
        last = page.trades[-1]
        missed = line.apply_last_trade(LastTrade(page.instrument, last.venue_ts, page.received_ts, int(last.trade_id)))
        if not missed:
            return _NOTHING
        return [*line.refute(NO_TRADES, page.received_ts), *missed, *line.fill_gaps(page.trades)]

    def suspects(self) -> set[str]:
        """The instruments whose best prices differed from REST's when last compared."""
        return self._books.cross_checks.suspects()

    def probe(self, feed: FeedKey) -> None:
        """The watchdog's question: is it quiet? Where books come by REST one can answer, if it is as silent: nothing happens without it."""
        record, book = self.records.get(feed), self._books.books.get(feed.instrument)
        if record is not None and book is not None and book.silent_with(record):
            book.order_book.start_probe()
            book.ask()

    # ---- one connection takes over from another (see `standby`)

    def links(self, output: Trade | TradeSnapshot | BookUpdate) -> bool:
        """Whether what begins with this leaves no hole after what is on the tape. A book that is not true has nothing to link to."""
        if isinstance(output, BookUpdate):
            book = self._books.books.get(output.instrument)
            return book is None or book.order_book.links(output)
        return self.trades.links(output)

    def has_live_book(self, instrument: str) -> bool:
        """Whether its book is true now."""
        book = self._books.books.get(instrument)
        return book is not None and book.order_book.live

    def book_position(self, instrument: str) -> tuple[int | None, int | None]:
        """The venue's number and time of the newest change in its book, where it has them."""
        book = self._books.books.get(instrument)
        return (None, None) if book is None else (book.order_book.sequence, book.venue_ts)

    def new_book(self, instrument: str) -> OrderBook | None:
        """One that can be kept beside this instrument's, and `adopt`ed; None if it has none."""
        book = self._books.books.get(instrument)
        return None if book is None else OrderBook(self.venue.book, book.order_book.depth)

    def newest_ts(self, event: Quote | Ticker | Unreadable) -> int:
        """When the newest of this event's kind and instrument that is on the tape was received; 0: there is none."""
        kind = event.kind if isinstance(event, Unreadable) else KIND_OF[type(event)]
        record = (self._quotes if kind == "quote" else self._tickers).get(event.instrument)
        return 0 if record is None or record.last is None else record.last.received_ts

    def adopt_book(self, instrument: str, sync: OrderBook, venue_ts: int | None, now: int) -> Sequence[Event]:
        """Go on with a book that another connection built: as it is, if it is true; else `recovering`, as after any break."""
        return self._books.adopt_book(instrument, sync, venue_ts, now)

    def _of(self, topic: Topic) -> list[FeedRecord]:
        """The feeds that a topic serves."""
        name = self._names.get(topic.symbol, "")
        kinds = self._channels.get((topic.endpoint, topic.channel), ())
        return [self.records[feed] for feed in (FeedKey(kind, name) for kind in kinds) if feed in self.records]

    # ---- data

    def apply(self, output: Output) -> Sequence[Event]:
        """What one output puts on the tape, in order. What belongs to the session (`Ack`, `Reply` …) gives nothing."""
        take = self.handlers.get(type(output))
        return take(output) if take is not None else _NOTHING

    def _unwanted(self) -> Sequence[Event]:
        self.counts["unwanted"] += 1
        return _NOTHING

    def _quote(self, quote: Quote) -> Sequence[Event]:
        record = self._quotes.get(quote.instrument)
        if record is None:
            return self._unwanted()
        if record.state is LIVE:
            record.last = quote
            record.received_ts = quote.received_ts
            record.venue_ts = quote.venue_ts
            record.count += 1
            return (quote,)
        return self._quote_again(record, quote)

    def _quote_again(self, record: FeedRecord, quote: Quote) -> Sequence[Event]:
        """A quote of a feed that is not live."""
        before, events = record.last, list[Event]()
        same = isinstance(before, Quote) and top_of(before) == top_of(quote)
        if not record.check_answer() or (same and not record.refuted_ts):
            events = record.receive(quote)
        else:
            record.fetched_ts = quote.received_ts
            if not same and before is not None:
                events = record.refute(ANSWERED, quote.received_ts, record.received_ts)
        if record.state is not LIVE:
            quote = msgspec.structs.replace(quote, state=record.state)
        record.last = quote
        return [*events, quote]

    def _ticker(self, ticker: Ticker) -> Sequence[Event]:
        """Published when a field of its own has changed: some venues send it with every change of the quote."""
        record = self._tickers.get(ticker.instrument)
        if record is None:
            return self._unwanted()
        last = record.last
        if record.state is not LIVE and record.check_answer() and isinstance(last, Ticker) and _figures(last) != _figures(ticker):
            record.last, record.fetched_ts = ticker, ticker.received_ts
            return [*record.refute(ANSWERED, ticker.received_ts, record.received_ts), ticker]
        events = record.receive(ticker)
        if not events and isinstance(last, Ticker) and _figures(last) == _figures(ticker):
            return _NOTHING
        record.last = ticker
        return [*events, ticker]

    def _unreadable(self, output: Unreadable) -> Sequence[Event]:
        """The feed is `recovering` at once; its next readable data end that, and the gap. Nothing where the kind is not taken."""
        record = (self._quotes if output.kind == "quote" else self._tickers).get(output.instrument)
        return record.mark_unreadable(output.received_ts) if record is not None else _NOTHING

    def _status(self, status: Status) -> Sequence[Event]:
        """The venue's own word, when it changes. An instrument is presumed well until it is said not to be."""
        if status.instrument != VENUE_WIDE and status.instrument not in self._instruments:
            return self._unwanted()
        key = status.kind, status.instrument
        before = self._said.get(key, None if status.instrument == VENUE_WIDE else (FeedState.LIVE, ""))
        if before == (status.state, status.reason):
            return _NOTHING
        self._said[key] = status.state, status.reason
        if status.kind == VENUE_WIDE and status.state is LIVE:
            self.halts.pop(status.instrument, None)
        if key == (VENUE_WIDE, VENUE_WIDE):
            self.venue_state, self.venue_reason = status.state, status.reason
        return (status,)

    def set_halt(self, instrument: str, reason: str, now: int) -> Sequence[Event]:
        """REST says why this instrument does not trade, or (empty) that it does. It overrules what the stream said before."""
        if instrument not in self._instruments or self.halts.get(instrument, "") == reason:
            return _NOTHING
        if reason:
            self.halts[instrument] = reason
        else:
            del self.halts[instrument]
            for kind in self.kinds:
                record = self.records.get(FeedKey(kind, instrument))
                if record is not None:
                    record.proven_ts = now  # it was silent because of the halt
        return (self._trading(instrument, now),)

    def is_halted(self, instrument: str) -> bool:
        """Whether it does not trade, as the venue's stream or REST says."""
        said = self._said.get((VENUE_WIDE, instrument))
        return instrument in self.halts or (said is not None and said[0] is not LIVE)

    def _trading(self, instrument: str, now: int) -> Status:
        state, reason = self._said.get((VENUE_WIDE, instrument), (LIVE, ""))
        if instrument in self.halts:
            state, reason = FeedState.DOWN, f"does not trade: {self.halts[instrument]}"
        return Status(self.venue.id, instrument, None, now, VENUE_WIDE, state, reason)

    def silent_prices(self, before_ts: int) -> list[str]:
        """The instruments of which a quote or a book is called live, and has said nothing since then."""
        names = (feed.instrument for feed, record in self.records.items() if _is_silent(record, before_ts))
        return list(dict.fromkeys(names))

    # ---- what is asked of them

    def book_checks(self) -> dict[str, BookChecks]:
        """What was checked of each book, by instrument."""
        return {name: book.order_book.checks for name, book in self._books.books.items()}

    def duplicate_trades(self) -> int:
        """Trades that were on the tape already, and were dropped."""
        return self.trades.duplicates()

    def due_books(self, now: int) -> Sequence[Event]:
        """Conflated books that are due; call about every book interval."""
        return self._books.due_books(now)


def _is_silent(record: FeedRecord, before_ts: int) -> bool:
    return record.kind in ("quote", "book") and record.state is LIVE and max(record.received_ts, record.opened_ts) < before_ts


def _figures(ticker: Ticker) -> tuple[object, ...]:
    return ticker.last, ticker.open, ticker.high, ticker.low, ticker.base_volume, ticker.quote_volume, ticker.change
