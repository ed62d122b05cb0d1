"""Routes that BingX's spot and swap sockets share: quotes, tickers, complete books and changes of books.

Quirks  asks come worst first in most frames and best first in some: no place in a list means anything. In `bookTicker` the upper case
        letter is a size, in `ticker` a price. The ticker's `o` and `p` span `O` … `C`, which was 171 s in a frame of the swap, while high,
        low and volume are the day's: they are null unless the span is about a day. Numbers of the spot ticker are binary floats, and are
        published with the digits that they have
Stale   a `bookTicker` of the swap with a fresh `E` had the prices of 22 minutes before, `T`: one whose `T` is more than `STALE_MS` behind
        is unreadable
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.bingx.frames import Frame, Route, TopicRoute
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, ConnectionBreak, Odd, Output, unread, unreadable
from crosstape_connector.venues.parsing.numbers import check, doubtful, is_plain, known_price, number
from crosstape_connector.venues.parsing.text_books import TextBooks
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, finite, shown, side_of
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import GapCause, Instrument, Level, Quote, Side, Ticker

LEVELS: Final = 1_024
"""Levels a side of a book that is sent by its changes."""
STALE_MS: Final = 10_000
DAY_MS: Final = 86_400_000
SLACK_MS: Final = 60_000
"""By how much a span may differ from a day."""
TAKER: Final = {True: Side.SELL, False: Side.BUY}
"""By whether the buyer is the maker."""
NOTHING: Final = msgspec.Raw(b"[]")
SPEEDS: Final = ("", "@100ms", "@200ms", "@500ms")
"""What may follow the number of levels in a topic of the swap. The true pace is the venue's choice."""


class RawQuote(msgspec.Struct, frozen=True, gc=False):
    b: str
    B: str
    a: str
    A: str
    E: Stamp | None = None
    T: Stamp | None = None


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    c: Decimal
    E: Stamp
    o: Decimal | None = None
    h: Decimal | None = None
    l: Decimal | None = None  # noqa: E741 (the venue's name)
    v: Decimal | None = None
    q: Decimal | None = None
    p: Decimal | None = None
    O: Stamp | None = None  # noqa: E741 (the venue's name)
    C: Stamp | None = None


class RawBook(msgspec.Struct, frozen=True, gc=False):
    bids: list[tuple[str, str]] | None
    asks: list[tuple[str, str]] | None
    number: Serial | None = msgspec.field(name="lastUpdateId", default=None)


class RawChange(msgspec.Struct, frozen=True, gc=False):
    action: str
    number: Serial = msgspec.field(name="lastUpdateId")
    time: Stamp | None = None
    bids: msgspec.Raw = NOTHING
    asks: msgspec.Raw = NOTHING


_quote = msgspec.json.Decoder(RawQuote).decode
_ticker = msgspec.json.Decoder(RawTicker).decode
_book = msgspec.json.Decoder(RawBook).decode
_change = msgspec.json.Decoder(RawChange).decode
_rows = msgspec.json.Decoder(list[tuple[str, str]]).decode
_table = msgspec.json.Decoder(dict[str, str]).decode


def quote_route(instrument: Instrument) -> Route:
    """`bookTicker`: best bid and ask."""
    venue, name = instrument.venue, instrument.name

    def route(frame: Frame, received_ts: int) -> Sequence[Output]:
        try:
            raw = _quote(frame.data)
            behind = 0 if raw.E is None or raw.T is None else raw.E - raw.T
            if behind > STALE_MS:
                return unreadable("quote", name, received_ts, f"its prices are {behind // 1_000} s old")
            made = raw.E if raw.T is None else raw.T
            venue_ts = None if made is None else epoch_ns(made)
            return (Quote(venue, name, venue_ts, received_ts, *side_of(raw.b, raw.B), *side_of(raw.a, raw.A)),)
        except FRAME_ERRORS as exc:
            return unreadable("quote", name, received_ts, exc)

    return route


def ticker_route(*, has_turnover: bool) -> Callable[[Instrument], Route]:
    """`ticker`: the day, once a second. `has_turnover`: the unit of `q` is the quote asset."""

    def of(instrument: Instrument) -> Route:
        venue, name = instrument.venue, instrument.name

        def route(frame: Frame, received_ts: int) -> Sequence[Output]:
            try:
                raw = _ticker(frame.data)
                if doubtful(bytes(frame.data)):
                    check(frame.data)
                day = raw.O is not None and raw.C is not None and abs(raw.C - raw.O - DAY_MS) <= SLACK_MS
                figures = raw.c, raw.o if day else None, raw.h, raw.l, raw.v, raw.q if has_turnover else None, raw.p if day else None
                finite(*figures)
            except FRAME_ERRORS as exc:
                return unreadable("ticker", name, received_ts, exc)
            return (Ticker(venue, name, epoch_ns(raw.E), received_ts, *figures),)

        return route

    return of


class CompleteBook(TopicRoute):
    """`depth5` … `depth100`: the best levels, complete in each frame."""

    __slots__ = ("_books", "_name")

    def __init__(self, instrument: Instrument) -> None:
        self._name = instrument.name
        self._books = TextBooks()

    def __call__(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """One that cannot be read leaves the book before out of date: it is subscribed again."""
        name, sent = self._name, frame.ts if frame.timestamp is None else frame.timestamp
        try:
            raw = _book(frame.data)
            bids, asks = raw.bids or (), raw.asks or ()
            if not is_plain(bytes(frame.data)):
                _check_digits((*bids, *asks))
            found = self._books.changed(
                name, bids, asks, number=raw.number, venue_ts=None if sent is None else epoch_ns(sent), received_ts=received_ts
            )
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            self._books.forget(name)
            return Odd("book", f"{name}: {shown(exc)}"), unread(name, received_ts)
        return (Odd("late", f"{name}: a book that is older than the one before"),) if found is None else (found,)

    def restart(self) -> None:
        """Begin with a snapshot."""
        self._books.forget(self._name)


class ChangedBook(TopicRoute):
    """`incrDepth`: `all` levels first, then each `update`; size zero removes."""

    __slots__ = ("_name", "_newest")

    def __init__(self, instrument: Instrument) -> None:
        self._name = instrument.name
        self._newest: int | None = None

    def __call__(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """`previous` of an update is the number of the frame before it, whatever came between them. Updates before `all` are dropped."""
        name = self._name
        try:
            raw = _change(frame.data)
            bids, asks = _levels(raw.bids), _levels(raw.asks)
            if raw.action == "all":
                bids, asks = sorted(bids, reverse=True), sorted(asks)
            elif raw.action != "update":
                raise FrameError(f"action {shown(raw.action)!r}")
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            self._newest = None
            return Odd("book", f"{name}: {shown(exc)}"), unread(name, received_ts)
        previous, self._newest = self._newest, raw.number
        venue_ts = None if raw.time is None else epoch_ns(raw.time)
        if raw.action == "update":
            if previous is None or raw.number <= previous:
                self._newest = None  # until `all` comes
                reason = f"the number {raw.number} came after {previous}"
                return () if previous is None else (ConnectionBreak(received_ts, None, GapCause.SEQUENCE, (name,), reason),)
            return (BookUpdate(name, venue_ts, received_ts, bids, asks, None, raw.number, previous),)
        limit = LEVELS if max(len(bids), len(asks)) >= LEVELS else None
        return (BookSnapshot(name, venue_ts, received_ts, bids, asks, raw.number, depth=LEVELS, limit=limit),)

    def restart(self) -> None:
        """Begin with `all`, whose number follows none."""
        self._newest = None

    def lost(self, received_ts: int) -> Sequence[Output]:
        """The book may lack a change from now on: the next number would not show it."""
        self._newest = None
        return (unread(self._name, received_ts),)


def increases(update: BookUpdate, sequence: int) -> Verdict:
    """Whether an update follows the frame before it: numbers jump by up to nine, but never stand still or go back."""
    newest = sequence if update.previous is None else update.previous
    return Verdict.APPLY if update.last is None or update.last > newest else Verdict.BREAK


def _levels(raw: msgspec.Raw) -> list[Level]:
    """Return the levels of a side, from a list of rows or from a table by price. The book refuses impossible ones."""
    text = bytes(raw)
    rows = list(_table(text).items()) if text[:1] == b"{" else _rows(text)
    if not is_plain(text):
        _check_digits(rows)
    return [(known_price(price), number(size)) for price, size in rows]


def _check_digits(rows: Sequence[tuple[str, str]]) -> None:
    """Raise `FrameError` for levels whose text is not ASCII."""
    if not all(price.isascii() and size.isascii() for price, size in rows):
        raise FrameError("digits that are not ASCII")
