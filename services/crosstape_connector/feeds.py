"""All feeds of one venue in one process: what parsers found → what goes on the tape. Pure: no I/O, no clock, no log.

Outlives connections: here lives what must be known across them, the last trade of each instrument, the state of each feed, the books.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from crosstape_connector.books import DOUBT, BookSync, Fault, Outcome, Proofs
from crosstape_connector.line import TradeLine
from crosstape_connector.plan import Feed, Topic, subscribed_depth
from crosstape_connector.records import FeedRecord
from crosstape_connector.venue import BookSnapshot, BookUpdate, ConnectionBreak, LastTrade, Output, TradeSnapshot, Venue
from crosstape_schemas import VENUE_WIDE, Book, Delta, Event, FeedState, Gap, GapCause, Instrument, Quote, Status, Ticker, Trade

__all__ = ["Feed", "FeedRecord", "Feeds", "Resync", "Topic"]

LIVE: Final = FeedState.LIVE  # looking it up in its class takes as long as a dict look-up and a half
TOGETHER_NS: Final = 1_000_000_000
"""What one order does to book, quote and trades is told within so long."""

_NOTHING: Final[tuple[Event, ...]] = ()
REMOVED: Final = "removed from the settings"
_FROM_BOOK: Final = ("book", "delta")


class Resync(msgspec.Struct, frozen=True):
    """What the shell must do for one book: fetch its snapshot by REST and `take` it, or unsubscribe and subscribe its topic."""

    instrument: str
    symbol: str
    how: Literal["rest", "resubscribe"]
    cause: str
    attempt: int = 1
    """1, 2 … since the book was last true for a while: what to take the pause between attempts from."""
    topic: Topic | None = None
    """What was last `opened` for this book; None if nothing was."""


class _BookFeed:
    """The feeds that one book gives: book, delta, and quote where that is the top of it."""

    __slots__ = ("book", "delta", "due", "instrument", "quote", "records", "symbol", "sync", "topic", "venue_ts")

    def __init__(self, venue: Venue, instrument: Instrument, records: Mapping[str, FeedRecord], depth: int) -> None:
        self.instrument = instrument.name
        self.symbol = instrument.symbol
        self.sync = BookSync(venue.book, subscribed_depth(venue, depth))
        self.records = tuple(records.values())
        self.book = records.get("book")
        self.delta = records.get("delta")
        self.quote = records.get("quote")
        self.topic: Topic | None = None
        self.venue_ts: int | None = None
        self.due = 0
        """No book event before this time."""

    def silent_with(self, record: FeedRecord) -> bool:
        """Whether nothing has been heard of the book since that feed of its instrument fell silent."""
        return max(one.received_ts for one in self.records) <= record.received_ts + TOGETHER_NS


class Feeds:
    """All feeds of one venue in one process: what parsers found → what goes on the tape. Outlives connections."""

    def __init__(
        self, venue: Venue, instruments: Mapping[str, Instrument], kinds: Collection[str], *, book_depth: int, book_interval_ns: int
    ) -> None:
        """`instruments` by our name."""
        self.venue = venue
        self.kinds = frozenset(kinds)
        self.requests: deque[Resync] = deque()
        """What the shell must do; it empties this after `take`, `confirmed` and `tick`. At most a few per book."""
        self.feeds: dict[Feed, FeedRecord] = {}
        self.venue_state = FeedState.LIVE
        """What the venue says of itself (`live` where it says nothing): the shell's venue-wide `Status` must not say better."""
        self.venue_reason = ""
        self.counts: Counter[str] = Counter()
        """`unwanted`: outputs of an instrument or kind that is not taken."""
        self._book_depth = book_depth
        self._book_interval = book_interval_ns
        self._lines: dict[str, TradeLine] = {}
        self._left: dict[str, TradeLine] = {}  # of instruments that were removed
        self._plain: dict[str, FeedRecord] = {}  # trades of a venue without ids
        self._quotes: dict[str, FeedRecord] = {}
        self._tickers: dict[str, FeedRecord] = {}
        self._books: dict[str, _BookFeed] = {}
        self._due: dict[str, _BookFeed] = {}  # books with changes that are not published yet
        self._said: dict[tuple[str, str], tuple[FeedState, str]] = {}  # the venue's own word, by kind and instrument
        self._names: dict[str, str] = {}  # their symbol → our instrument
        self._instruments: set[str] = set()
        self._channels: dict[tuple[str, str], tuple[str, ...]] = {}  # endpoint and channel → the kinds in it
        for endpoint in venue.endpoints:
            for kind, channel in endpoint.channels.items():
                self._channels[endpoint.name, channel] = (*self._channels.get((endpoint.name, channel), ()), kind)
        self.takers: Mapping[type[Any], Callable[[Any], Sequence[Event]]] = {
            Trade: self._trade if venue.trade_ids != "none" else self._trade_without_id,
            TradeSnapshot: self._trade_snapshot,
            LastTrade: self._last_trade,
            Quote: self._quote,
            Ticker: self._ticker,
            Status: self._status,
            BookSnapshot: self._snapshot,
            BookUpdate: self._update,
            ConnectionBreak: self._connection_break,
        }
        """What takes an output, by its class; a session looks here itself, to save a call. What is not here is the session's."""
        for instrument in instruments.values():
            self.add(instrument)

    # ---- what is taken

    def add(self, instrument: Instrument) -> None:
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
            if self.venue.trade_ids == "none":
                self._plain[name] = records["trade"] = FeedRecord(instrument, "trade")
            else:
                line = self._left.pop(name, None) or TradeLine(instrument, contiguous=self.venue.trade_ids == "contiguous")
                self._lines[name] = line
                records["trade"] = line
        if "quote" in records and not self.venue.quote_from_book:
            self._quotes[name] = records["quote"]
        if "ticker" in records:
            self._tickers[name] = records["ticker"]
        of_book = {kind: records[kind] for kind in from_book if kind in records}
        for record in records.values():
            record.askable = bool(of_book) and self.venue.book.snapshot == "rest"
        if of_book:
            self._books[name] = _BookFeed(self.venue, instrument, of_book, self._book_depth)
        self.feeds.update({Feed(kind, name): record for kind, record in records.items()})

    def remove(self, instrument: str, now: int) -> Sequence[Event]:
        """One less: its feeds go `down`. Its line of trades is kept: if it is added again, what was missed is a gap."""
        events: list[Event] = []
        self._instruments.discard(instrument)
        for feed in [feed for feed in self.feeds if feed.instrument == instrument]:
            record = self.feeds.pop(feed)
            self._names.pop(record.symbol, None)
            events += record.turn(FeedState.DOWN, REMOVED, now)
            record.interrupted(record.received_ts)
            record.sessions = 0
        if instrument in self._lines:
            self._left[instrument] = self._lines[instrument]
        for table in (self._lines, self._plain, self._quotes, self._tickers, self._books, self._due):
            table.pop(instrument, None)
        return events

    def seed(self, trades: Iterable[Trade]) -> None:
        """Newest trades already on the tape, one an instrument: older ones are dropped, a hole since then is a `Gap(disconnect)`."""
        for trade in trades:
            if trade.instrument in self._lines:
                self._lines[trade.instrument].seed(trade)

    # ---- another line has published until now (see `redundancy`)

    def trade_ends(self) -> dict[str, int]:
        """Instrument → the trade id that is expected next, for each that has trades; -1: none is known, or there are none."""
        return {**dict.fromkeys(self._plain, -1), **{name: line.next for name, line in self._lines.items()}}

    def restate(self, now: int) -> Iterable[Event]:
        """All states as they are now: the venue's own word, each feed's, its newest quote, ticker or book; a whole book in `delta`."""
        for (kind, instrument), (state, reason) in self._said.items():
            yield Status(self.venue.id, instrument, None, now, kind, state, reason)
        for record in self.feeds.values():
            yield Status(record.venue, record.instrument, None, now, record.kind, record.state, record.reason)
            if record.last is not None:
                yield record.last
        for name, book in self._books.items():
            if book.delta is not None and book.sync.live:
                yield self._delta(book, BookSnapshot(name, book.venue_ts, now, (), (), book.sync.sequence), now)

    # ---- connections come and go

    def opened(self, topics: Iterable[Topic], now: int, since: int | None = None) -> Sequence[Event]:
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
                    known = record.count or record.gap_from
                    state, reason = (FeedState.RECOVERING, "reconnected") if known else (FeedState.CONNECTING, "subscribing")
                    events += record.turn(state, reason, now)
                book = self._books.get(record.instrument)
                if book is not None and record in book.records:
                    book.topic = topic
                    book.sync.reopened()
        return events

    def confirmed(self, topics: Iterable[Topic], now: int) -> Sequence[Event]:
        """The venue acknowledged these: a book that needs a REST snapshot asks for it now, if no update did so before."""
        for topic in topics:
            for record in self._of(topic):
                record.confirmed = True
                book = self._books.get(record.instrument)
                if book is not None and record in book.records:
                    book.sync.start()
                    self._ask(book)
        return _NOTHING

    def rejected(self, topic: Topic, reason: str, now: int) -> Sequence[Event]:
        """The venue refused: `down`, with its reason. If there were data before, what is missed is a gap, as after `lost`."""
        return self.interrupted([Feed(record.kind, record.instrument) for record in self._of(topic)], now, reason)

    def lost(self, topics: Iterable[Topic], now: int, reason: str) -> Sequence[Event]:
        """A connection is gone: `down`, books forgotten; a `Gap(disconnect)` follows when data resume, if anything can have been missed."""
        records = [record for topic in topics for record in self._of(topic)]
        gone: list[Feed] = []
        for record in records:
            record.sessions = max(0, record.sessions - 1)
            if record.sessions == 0:
                gone.append(Feed(record.kind, record.instrument))
        return self.interrupted(gone, now, reason)

    def interrupted(self, feeds: Iterable[Feed], now: int, reason: str) -> Sequence[Event]:
        """As `lost`, by feed: nothing more comes for these until a new subscription."""
        events: list[Event] = []
        for feed in feeds:
            record = self.feeds.get(feed)
            if record is None:
                continue
            book = self._books.get(feed.instrument)
            if book is None or record not in book.records:
                record.interrupted(record.received_ts)
            else:
                record.interrupted(book.sync.applied_ts)
                book.sync.forget()
                book.due = 0
                self._due.pop(feed.instrument, None)
            events += record.turn(FeedState.DOWN, reason, now)
        return events

    def stalled(self, feed: Feed, now: int, reason: str) -> Sequence[Event]:
        """The watchdog's word: `stale`; live again with the next data of its stream."""
        record = self.feeds.get(feed)
        if record is None:
            return _NOTHING
        record.stalled_ts = now
        return record.turn(FeedState.STALE, reason, now)

    def doubted(self, feed: Feed) -> None:
        """The watchdog's question: is it quiet? Where books come by REST one can answer, if it is as silent: nothing happens without it."""
        record, book = self.feeds.get(feed), self._books.get(feed.instrument)
        if record is not None and book is not None and book.silent_with(record):
            book.sync.doubt()
            self._ask(book)

    # ---- one connection takes over from another (see `standby`)

    def links(self, output: Trade | TradeSnapshot | BookUpdate) -> bool:
        """Whether what begins with this leaves no hole after what is on the tape. A book that is not true has nothing to link to."""
        if isinstance(output, BookUpdate):
            book = self._books.get(output.instrument)
            return book is None or book.sync.links(output)
        line = self._lines.get(output.instrument)
        trades = output.trades if isinstance(output, TradeSnapshot) else (output,)
        return line is None or line.next < 0 or not trades or min(int(trade.trade_id) for trade in trades) <= line.next

    def has_book(self, instrument: str) -> bool:
        """Whether its book is true now."""
        book = self._books.get(instrument)
        return book is not None and book.sync.live

    def another_book(self, instrument: str) -> BookSync | None:
        """One that can be kept beside this instrument's, and `adopt`ed; None if it has none."""
        book = self._books.get(instrument)
        return None if book is None else BookSync(self.venue.book, book.sync.depth)

    def newest_ts(self, event: Quote | Ticker) -> int:
        """When the newest of this event's kind and instrument that is on the tape was received; 0: there is none."""
        record = (self._quotes if isinstance(event, Quote) else self._tickers).get(event.instrument)
        return 0 if record is None or record.last is None else record.last.received_ts

    def adopt(self, instrument: str, sync: BookSync, venue_ts: int | None, now: int) -> Sequence[Event]:
        """Go on with a book that another connection built: as it is, if it is true; else `recovering`, as after any break."""
        book = self._books.get(instrument)
        if book is None:
            return _NOTHING
        before, book.sync = book.sync, sync
        sync.proofs.add(before.proofs)
        if not sync.live:
            if before.live:
                sync.fault = Fault(GapCause.UNKNOWN, "its connection was replaced by one that has no proven book")
                return self._broken(book, before.applied_ts, None, now)
            self._ask(book)
            return _NOTHING
        events: list[Event] = []
        for record in book.records:
            events += [*record.live(now), *record.resumed(now)]
            record.received_ts = max(record.received_ts, sync.applied_ts)
            record.count += 1
        return self._changed(book, BookSnapshot(instrument, venue_ts, sync.applied_ts, (), (), sync.sequence), now, events)

    def _of(self, topic: Topic) -> list[FeedRecord]:
        """The feeds that a topic serves."""
        name = self._names.get(topic.symbol, "")
        kinds = self._channels.get((topic.endpoint, topic.channel), ())
        return [self.feeds[feed] for feed in (Feed(kind, name) for kind in kinds) if feed in self.feeds]

    # ---- data

    def take(self, output: Output) -> Sequence[Event]:
        """What one output puts on the tape, in order. What belongs to the session (`Ack`, `Reply` …) gives nothing."""
        take = self.takers.get(type(output))
        return take(output) if take is not None else _NOTHING

    def _unwanted(self) -> Sequence[Event]:
        self.counts["unwanted"] += 1
        return _NOTHING

    def _trade(self, trade: Trade) -> Sequence[Event]:
        line = self._lines.get(trade.instrument)
        if line is None:
            return self._unwanted()
        number = int(trade.trade_id)
        if number == line.next and line.state is LIVE:
            line.next = number + 1
            line.gap_from = 0  # a replay of what was there makes a line live and leaves its gap open: nothing is missing now
            line.venue_ts = trade.venue_ts
            line.received_ts = trade.received_ts
            line.count += 1
            return (trade,)
        return line.accept(trade, number)

    def _trade_without_id(self, trade: Trade) -> Sequence[Event]:
        record = self._plain.get(trade.instrument)
        return [*self._arrived(record, trade), trade] if record is not None else self._unwanted()

    def _trade_snapshot(self, snapshot: TradeSnapshot) -> Sequence[Event]:
        line = self._lines.get(snapshot.instrument)
        return line.snapshot(snapshot) if line is not None else self._unwanted()

    def _last_trade(self, last: LastTrade) -> Sequence[Event]:
        line = self._lines.get(last.instrument)
        return line.told(last) if line is not None else self._unwanted()

    def _quote(self, quote: Quote) -> Sequence[Event]:
        record = self._quotes.get(quote.instrument)
        if record is None:
            return self._unwanted()
        record.last = quote
        if record.state is LIVE:
            record.received_ts = quote.received_ts
            record.venue_ts = quote.venue_ts
            record.count += 1
            return (quote,)
        return [*self._arrived(record, quote), quote]

    def _ticker(self, ticker: Ticker) -> Sequence[Event]:
        """Published when a field of its own has changed: some venues send it with every change of the quote."""
        record = self._tickers.get(ticker.instrument)
        if record is None:
            return self._unwanted()
        events = self._arrived(record, ticker)
        last = record.last
        if not events and isinstance(last, Ticker) and _figures(last) == _figures(ticker):
            return _NOTHING
        record.last = ticker
        return [*events, ticker]

    def _arrived(self, record: FeedRecord, event: Event) -> list[Event]:
        """Data are here: what must be said before them."""
        events: list[Event] = []
        if record.state is not LIVE:
            events = [*record.live(event.received_ts), *record.resumed(event.received_ts)]
        record.received_ts = event.received_ts
        record.venue_ts = event.venue_ts
        record.count += 1
        return events

    def _status(self, status: Status) -> Sequence[Event]:
        """The venue's own word, when it changes. An instrument is presumed well until it is said not to be."""
        if status.instrument != VENUE_WIDE and status.instrument not in self._instruments:
            return self._unwanted()
        key = status.kind, status.instrument
        before = self._said.get(key, None if status.instrument == VENUE_WIDE else (FeedState.LIVE, ""))
        if before == (status.state, status.reason):
            return _NOTHING
        self._said[key] = status.state, status.reason
        if key == (VENUE_WIDE, VENUE_WIDE):
            self.venue_state, self.venue_reason = status.state, status.reason
        return (status,)

    # ---- books

    def proofs(self) -> dict[str, Proofs]:
        """What was checked of each book, by instrument."""
        return {name: book.sync.proofs for name, book in self._books.items()}

    def duplicates(self) -> int:
        """Trades that were on the tape already, and were dropped."""
        return sum(line.duplicates for line in self._lines.values())

    def tick(self, now: int) -> Sequence[Event]:
        """Conflated books that are due; call about every book interval."""
        if not self._due:
            return _NOTHING
        events: list[Event] = []
        for name, book in [(name, book) for name, book in self._due.items() if now >= book.due or book.due - now > self._book_interval]:
            del self._due[name]
            events.append(self._book_event(book, now))
        return events

    def _update(self, update: BookUpdate) -> Sequence[Event]:
        book = self._books.get(update.instrument)
        if book is None:
            return self._unwanted()
        for record in book.records:
            record.received_ts = update.received_ts
            record.venue_ts = update.venue_ts
            record.count += 1
        good_ts = book.sync.applied_ts
        outcome = book.sync.update(update)
        if outcome is Outcome.APPLIED:
            events: list[Event] = []
            for record in book.records:
                if record.state is not LIVE:  # it was called stale
                    events += record.live(update.received_ts)
                    events += record.resumed(update.received_ts)
            return self._changed(book, update, update.received_ts, events)
        if outcome is Outcome.BROKEN:
            return self._broken(book, good_ts, update.venue_ts, update.received_ts)
        self._ask(book)
        return _NOTHING

    def _snapshot(self, snapshot: BookSnapshot) -> Sequence[Event]:
        book = self._books.get(snapshot.instrument)
        if book is None:
            return self._unwanted()
        good_ts = book.sync.applied_ts
        outcome = book.sync.snapshot(snapshot)
        if outcome is Outcome.SYNCED:
            now = max(snapshot.received_ts, book.sync.applied_ts)
            in_stream = self.venue.book.snapshot == "stream"
            events: list[Event] = []
            for record in book.records:
                if in_stream:
                    record.received_ts = now
                    record.count += 1
                else:
                    record.fetched_ts = snapshot.received_ts
                record.venue_ts = snapshot.venue_ts
                if in_stream or not record.silent:  # else it is not followed: only its stream can show that it lives
                    events += record.live(now)
                    events += record.resumed(now)
            return self._changed(book, snapshot, now, events)
        if outcome is Outcome.QUIET:
            return self._quiet(book, snapshot.received_ts)
        if outcome is Outcome.BROKEN:
            return self._broken(book, good_ts, snapshot.venue_ts, snapshot.received_ts)
        self._ask(book)
        return _NOTHING

    def _quiet(self, book: _BookFeed, now: int) -> list[Event]:
        """The venue's book has not changed since ours: nobody has traded or quoted either."""
        events: list[Event] = []
        for kind in sorted(self.kinds):
            record = self.feeds.get(Feed(kind, book.instrument))
            if record is not None and book.silent_with(record):
                record.proven_ts = now
                if record.state is FeedState.STALE:
                    events += record.live(now)
        return events

    def _connection_break(self, broken: ConnectionBreak) -> Sequence[Event]:
        """Which frame was lost is not known, so neither is how many of a book's changes: every book is resynced, `missed` is null."""
        events: list[Event] = []
        reason = "the connection's sequence skipped" + (f" {broken.missed}" if broken.missed else "")
        for name in broken.instruments:
            book = self._books.get(name)
            if book is not None:
                good_ts = book.sync.applied_ts
                if book.sync.fail(broken.cause, reason):
                    events += self._broken(book, good_ts, None, broken.received_ts)
        return events

    def _changed(self, book: _BookFeed, change: BookUpdate | BookSnapshot, now: int, events: list[Event]) -> list[Event]:
        """A book moved on and is true: `events`, and what follows from that."""
        sync = book.sync
        book.venue_ts = change.venue_ts
        if book.delta is not None:
            events.append(self._delta(book, change, now))
        quote = book.quote
        if quote is not None:
            bid, ask = sync.bids.best() or (None, None), sync.asks.best() or (None, None)
            last = quote.last
            if not isinstance(last, Quote) or (
                last.bid_price != bid[0]
                or last.ask_price != ask[0]
                or last.bid_size != bid[1]
                or last.ask_size != ask[1]
                or last.state is not LIVE
            ):
                quote.last = Quote(quote.venue, book.instrument, change.venue_ts, now, bid[0], bid[1], ask[0], ask[1])
                events.append(quote.last)
        if book.book is not None:
            if now >= book.due or book.due - now > self._book_interval:
                self._due.pop(book.instrument, None)
                events.append(self._book_event(book, now))
            else:
                self._due[book.instrument] = book
        return events

    def _delta(self, book: _BookFeed, change: BookUpdate | BookSnapshot, now: int) -> Delta:
        sync = book.sync
        if isinstance(change, BookSnapshot):  # and whatever was held until it came
            bids, asks = sync.bids.top(len(sync.bids.prices)), sync.asks.top(len(sync.asks.prices))
            return Delta(self.venue.id, book.instrument, change.venue_ts, now, tuple(bids), tuple(asks), sync.sequence, snapshot=True)
        cut_bids, cut_asks = sync.cut
        return Delta(
            self.venue.id, book.instrument, change.venue_ts, now, (*change.bids, *cut_bids), (*change.asks, *cut_asks), sync.sequence
        )

    def _book_event(self, book: _BookFeed, now: int) -> Book:
        record, sync = book.book, book.sync
        assert record is not None  # else it is never due
        bids, asks = sync.bids.top(self._book_depth), sync.asks.top(self._book_depth)
        sync.reaches(bids, asks)
        self._ask(book)
        book.due = now + self._book_interval
        record.last = Book(
            record.venue,
            book.instrument,
            book.venue_ts,
            sync.applied_ts,
            tuple(bids),
            tuple(asks),
            self._book_depth,
            record.state,
            sync.sequence,
        )
        return record.last

    def _broken(self, book: _BookFeed, good_ts: int, venue_ts: int | None, now: int) -> list[Event]:
        """Say at once that what was published is not true any more, and ask for a resync."""
        self._due.pop(book.instrument, None)
        book.due = 0
        fault = book.sync.fault
        events: list[Event] = []
        for record in book.records:
            events += record.turn(FeedState.RECOVERING, fault.reason, now)
            events.append(Gap(record.venue, record.instrument, venue_ts, now, record.kind, good_ts or now, now, fault.missed, fault.cause))
        self._ask(book)
        return events

    def _ask(self, book: _BookFeed) -> None:
        sync = book.sync
        cause = sync.wanted
        if cause is None:
            return
        sync.asked()
        how: Literal["rest", "resubscribe"] = "rest" if self.venue.book.snapshot == "rest" else "resubscribe"
        attempt = 1 if cause == DOUBT else sync.attempt
        self.requests.append(Resync(book.instrument, book.symbol, how, cause, attempt, book.topic))


def _figures(ticker: Ticker) -> tuple[object, ...]:
    return ticker.last, ticker.open, ticker.high, ticker.low, ticker.base_volume, ticker.quote_volume, ticker.change
