"""Holds one venue's part of a consolidated quote (its leg): its newest prices, its state, and whether it counts.

A leg is excluded, in this order of reasons, when
- `state`: its feed is not live, or its venue has halted the instrument. While a venue says that it is down, all of its legs are down. After
  a restart of the connector (an event of a newer epoch arrived on any stream) the leg is connecting until its feed has data of the new
  epoch. Events of an older epoch are ignored;
- `stale`: its quote is `stale_s` old and its venue, in the same epoch, has given no sign of life for `stale_s`. The sign of life is the
  venue-wide status, as long as its state is live;
- `empty`: it has neither a usable bid nor a usable ask (`decimals.usable`);
- `crossed`: its own bid is not below its own ask;
- `outlier`: see `best.outliers`;
- `suspect`: it crossed other legs that count while its feed had been silent for longer than usual (see `suspects`), and nothing of its feed
  has been received since: neither a quote nor a status;
- `settling`: it was excluded for one of the other reasons, except `empty`, and has been without a fault for less than `settle_s` since. A
  leg that was suspect for less than `settle_s` does not have to settle.

So a new leg counts at once, and so does a leg whose venue was restarted so quickly that it was never excluded. A fault is noted when its
event arrives, even if it is over before the next quote is computed. Ages are computed with each quote: our clock less `received_ts`.

A quote with text is in order (see `quote_text`). Its decimals are made when a consolidated quote is computed, once: most quotes are
replaced before that.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from crosstape_aggregator.consolidation.liveness import VenueLiveness
from crosstape_aggregator.consolidation.pace import Pace
from crosstape_aggregator.decimals import usable, well_formed
from crosstape_schemas import Book, Exclusion, FeedState, Leg, Quote, Status
from crosstape_schemas.amounts import AnyNumber

LIVE: Final = FeedState.LIVE
_Side = tuple[Decimal | None, Decimal | None]
_NO_LEVEL: Final[_Side] = (None, None)


class VenueLeg:
    """One venue's leg in one instrument. Its events must be of the venue's present epoch; the instrument checks that."""

    __slots__ = (
        "_book_state", "_book_ts", "_epoch", "_from_quotes", "_good_since", "_judged_state", "_listing_state", "_must_settle", "_pace",
        "_quote_state", "_quote_ts", "_shown", "_suspected_at", "_suspected_ts", "_unread", "ask_price", "ask_size", "bid_price",
        "bid_size", "crossed", "excluded", "input", "last_book", "liveness", "venue",
    )  # fmt: skip

    def __init__(self, liveness: VenueLiveness) -> None:
        self.venue = liveness.venue
        self.liveness = liveness
        self.input: Quote[AnyNumber] | Book | None = None
        self.last_book: Book | None = None
        """The newest book, also while the prices come from quotes. The instrument sets it, if consolidated books or edges need it."""
        self.bid_price: Decimal | None = None
        """This price and the next three numbers are those of the `input` at the last `fault`."""
        self.bid_size: Decimal | None = None
        self.ask_price: Decimal | None = None
        self.ask_size: Decimal | None = None
        self.crossed = False
        self.excluded: Exclusion | None = Exclusion.STATE
        """Why the leg does not count, as last judged; None: it counts."""
        self._unread: Quote[AnyNumber] | None = None  # the input, until decimals of its text are needed
        self._judged_state = FeedState.CONNECTING
        self._from_quotes = False
        self._listing_state = LIVE
        self._quote_state = self._book_state = FeedState.CONNECTING
        self._quote_ts = self._book_ts = 0  # `received_ts` of the newest event or status that gave the state
        self._epoch = 0
        self._must_settle = False
        self._good_since: int | None = None
        self._shown: Leg | None = None
        self._pace = Pace()
        self._suspected_ts = 0  # `heard_ts` when it became suspect; 0: it is not
        self._suspected_at = 0

    def quote(self, quote: Quote[AnyNumber]) -> None:
        """Apply the venue's best prices. A quote with text must be in order."""
        if quote.epoch != self._epoch:
            self._new_epoch(quote.epoch)
        self._from_quotes = True
        received_ts = quote.received_ts
        if received_ts >= self._quote_ts:  # else a newer status arrived first, on its own stream
            self._quote_ts = received_ts
            self._quote_state = quote.state
        if isinstance(quote.bid_price, str):
            self.input = self._unread = quote
            self.crossed = False
            self._shown = None
            if self._quote_state is not LIVE or self._listing_state is not LIVE:
                self.note_fault()
            return
        bid = _decimal(quote.bid_price), _decimal(quote.bid_size)
        ask = _decimal(quote.ask_price), _decimal(quote.ask_size)
        self._set(quote, bid, ask, self._quote_state)

    def book(self, book: Book) -> bool:
        """Apply the venue's book. Its best prices are used while the venue has sent no quotes in this epoch. False: it was not used."""
        if book.epoch != self._epoch:
            self._new_epoch(book.epoch)
        if book.received_ts >= self._book_ts:
            self._book_ts = book.received_ts
            self._book_state = book.state
        if self._from_quotes:
            return False
        self._set(book, book.bids[0] if book.bids else _NO_LEVEL, book.asks[0] if book.asks else _NO_LEVEL, self._book_state)
        return True

    def status(self, status: Status) -> None:
        """Apply the state of the quote feed, the book feed, or the instrument at this venue. Data of a feed do not end a halt."""
        if status.epoch != self._epoch:
            self._new_epoch(status.epoch)
        match status.kind:
            case "quote":
                if status.received_ts >= self._quote_ts:
                    self._quote_ts = status.received_ts
                    self._quote_state = status.state
            case "book":
                if status.received_ts >= self._book_ts:
                    self._book_ts = status.received_ts
                    self._book_state = status.state
            case _:
                self._listing_state = status.state
        if self.state is not LIVE:
            self.note_fault()

    def _new_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._from_quotes = False
        self._listing_state = LIVE
        self._quote_state = self._book_state = FeedState.CONNECTING
        self._quote_ts = self._book_ts = 0

    def _set(self, event: Quote[AnyNumber] | Book, bid: _Side, ask: _Side, state: FeedState) -> None:
        self.input, self._unread = event, None
        self.bid_price, self.bid_size = bid
        self.ask_price, self.ask_size = ask
        self.crossed = False
        self._shown = None
        if not well_formed(bid, ask):
            self._set_odd(bid, ask)
        if self.crossed or state is not LIVE or self._listing_state is not LIVE:
            self.note_fault()
        elif self.bid_price is None and self.ask_price is None:
            self._good_since = None

    def _set_odd(self, bid: _Side, ask: _Side) -> None:
        """Set prices that are not well-formed: a side is missing or not usable, or the two sides cross."""
        if not usable(*bid):
            self.bid_price = self.bid_size = None
        if not usable(*ask):
            self.ask_price = self.ask_size = None
        self.crossed = self.bid_price is not None and self.ask_price is not None and self.bid_price >= self.ask_price

    @property
    def state(self) -> FeedState:
        """The state of the feed that this leg's prices come from."""
        liveness = self.liveness
        if liveness.state is FeedState.DOWN:
            return FeedState.DOWN
        if self._epoch != liveness.epoch:
            return FeedState.CONNECTING
        if self._listing_state is not LIVE:
            return self._listing_state
        state = self._quote_state if self._from_quotes or self._book_state is FeedState.CONNECTING else self._book_state
        if state is LIVE and (self.input is None or self.input.epoch != liveness.epoch):
            return FeedState.CONNECTING
        return state

    @property
    def book_state(self) -> FeedState:
        """The state of the feed of `last_book`, which is not always the one that the prices come from."""
        liveness = self.liveness
        if liveness.state is FeedState.DOWN:
            return FeedState.DOWN
        if self._epoch != liveness.epoch:
            return FeedState.CONNECTING
        if self._listing_state is not LIVE:
            return self._listing_state
        if self._book_state is LIVE and (self.last_book is None or self.last_book.epoch != liveness.epoch):
            return FeedState.CONNECTING
        return self._book_state

    def note_fault(self) -> None:
        """Note a fault: a leg that has prices must settle before it counts again."""
        self._good_since = None
        self._must_settle = self._must_settle or self.input is not None

    def stale_ts(self, stale_ns: int) -> int:
        """Return when (ns) the leg goes stale if nothing more is received from its venue."""
        event, alive_ts = self.input, self.liveness.alive_ts
        if event is None or event.received_ts < alive_ts:  # `max` costs three times as much, several times per quote
            return alive_ts + stale_ns
        return event.received_ts + stale_ns

    def fault(self, now: int, stale_ns: int) -> Exclusion | None:
        """Return the fault of the leg, without comparison with other legs; None: it has none. Call it before its prices are read."""
        quote = self._unread
        if quote is not None:
            self._unread = None
            assert quote.bid_price is not None  # it is in order
            assert quote.bid_size is not None
            assert quote.ask_price is not None
            assert quote.ask_size is not None
            self.bid_price, self.bid_size = Decimal(quote.bid_price), Decimal(quote.bid_size)
            self.ask_price, self.ask_size = Decimal(quote.ask_price), Decimal(quote.ask_size)
        state = self._judged_state = self.state
        if state is not LIVE:
            return Exclusion.STATE
        if now >= self.stale_ts(stale_ns):
            return Exclusion.STALE
        if self.bid_price is None and self.ask_price is None:
            return Exclusion.EMPTY
        return Exclusion.CROSSED if self.crossed else None

    @property
    def heard_ts(self) -> int:
        """`received_ts` of the newest event or status of its feed."""
        return self._quote_ts if self._from_quotes else self._book_ts

    def sample(self, now: int) -> None:
        """Measure how long its feed is silent. Call it at a steady pace, and only when all streams have been read up to now."""
        if self.input is not None:
            self._pace.sample(self.heard_ts, now - self.liveness.transit_ns)

    def silence(self, now: int) -> tuple[int, float] | None:
        """Return how long its feed has been silent, and how long it usually is (ns); None: its pace is not known."""
        event = self.input
        usual_ns = None if event is None else self._pace.usual_ns(event.epoch, event.seq, event.received_ts)
        return None if usual_ns is None else (now - self.liveness.transit_ns - self.heard_ts, usual_ns)

    def suspect(self, now: int) -> None:
        """Exclude the leg, which counted until now, until an event or status of its feed arrives."""
        self._suspected_ts, self._suspected_at = self.heard_ts, now
        self.excluded = Exclusion.SUSPECT
        self._shown = None

    def _is_suspect(self, now: int, settle_ns: int) -> bool:
        if self._suspected_ts == self.heard_ts:
            return True
        self._suspected_ts = 0
        if now - self._suspected_at >= settle_ns:
            self.note_fault()
        return False

    def judge(self, fault: Exclusion | None, now: int, settle_ns: int) -> None:
        """Set `excluded` to this fault or, without one, to suspect or settling if that is not over."""
        if self._suspected_ts and self._is_suspect(now, settle_ns) and fault is None:
            fault = Exclusion.SUSPECT
        elif fault is None and self._must_settle:
            if self._good_since is None:
                self._good_since = now
            if now - self._good_since < settle_ns:
                fault = Exclusion.SETTLING
            else:
                self._must_settle = False
        elif fault is Exclusion.EMPTY:
            self._good_since = None
        elif fault is not None and fault is not Exclusion.SUSPECT:
            self.note_fault()
        if fault is not self.excluded:
            self.excluded = fault
            self._shown = None

    def next_ts(self, stale_ns: int, settle_ns: int) -> int | None:
        """Return when (ns) the leg must be judged again if no event arrives; None: never."""
        if self.excluded is Exclusion.STATE or self.excluded is Exclusion.STALE:
            return None
        stale_ts = self.stale_ts(stale_ns)
        if self.excluded is Exclusion.SETTLING and self._good_since is not None:
            return min(stale_ts, self._good_since + settle_ns)
        return stale_ts

    def show(self) -> Leg:
        """Return the leg as it was judged last, as it is published; the same object as long as nothing in it changes."""
        state = self._judged_state
        if self._shown is None or self._shown.state is not state:
            event = self.input
            self._shown = Leg(
                self.venue, self.bid_price, self.bid_size, self.ask_price, self.ask_size,
                event.received_ts if event is not None else None, state, self.excluded,
                event.epoch if event is not None else 0, event.seq if event is not None else 0,
                "book" if type(event) is Book else "quote",
            )  # fmt: skip
        return self._shown


def _decimal(number: AnyNumber | None) -> Decimal | None:
    return Decimal(number) if isinstance(number, str) else number
