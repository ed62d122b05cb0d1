"""Bitget's trades, best prices and books on its sockets: what reads the frames of one topic, of both generations.

Quirks  numbers and times are texts, times ms; trades come newest first, after a subscription those before it; v3 has shorter names
Book    `books` begins with up to 500 levels a side, v3 with 1,000. An update names in `pseq` the `seq` of the frame before; 0 there says
        that the venue began again. `seq` may exceed 2^53. `checksum` was a CRC, then 0, and is gone: it is neither wanted nor trusted
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, Literal, Protocol, TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, NotANumber
from crosstape_connector.venues.messages import (
    BookSnapshot,
    BookUpdate,
    Odd,
    Output,
    Unreadable,
    replay,
    unread,
    unreadable,
)
from crosstape_connector.venues.parsing.numbers import Unchecked, are_amounts, is_plain, known_price, number
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.text_books import TextBooks
from crosstape_connector.venues.parsing.wire import Serial, Stamp, amounts_of_side, epoch_ns, trade_amounts
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import Amount, Instrument, Level, Quote, Side, Trade

BUY, SELL = Side.BUY, Side.SELL
BOOK: Final = "books"
COMPLETE: Final = frozenset({"books5", "books15", "books50"})
"""Channels whose books are complete in each frame: recordings may have them."""

R = TypeVar("R")
T = TypeVar("T")
Reader = Callable[[bytes, int], Sequence[Output]]
"""(frame, received_ts) → its outputs."""
Rows = list[tuple[str, str]]


class MakeReader(Protocol):
    """Makes the reader of a topic: `is_first`, of its snapshots or its updates; `is_new`, of v3 or v2."""

    def __call__(self, instrument: Instrument, *, is_first: bool, is_new: bool) -> Reader:
        """Return the reader."""
        ...


class Data(msgspec.Struct, Generic[R], frozen=True, gc=False):
    data: list[R]
    ts: Stamp | None = None


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    id: Serial = msgspec.field(name="tradeId")
    price: Unchecked
    size: Unchecked
    side: Literal["buy", "sell"]
    ts: Stamp


class NewTrade(RawTrade, frozen=True, gc=False):
    id: Serial = msgspec.field(name="i")
    price: Unchecked = msgspec.field(name="p")
    size: Unchecked = msgspec.field(name="v")
    side: Literal["buy", "sell"] = msgspec.field(name="S")
    ts: Stamp = msgspec.field(name="T")


class RawBook(msgspec.Struct, frozen=True, gc=False):
    bids: Rows
    asks: Rows
    ts: Stamp
    seq: Serial | None = None
    before: Serial | None = msgspec.field(name="pseq", default=None)


class NewBook(RawBook, frozen=True, gc=False):
    bids: Rows = msgspec.field(name="b")
    asks: Rows = msgspec.field(name="a")


class Decoders(Generic[R]):
    """Decodes frames whose rows have one form: all rows at once, or, if one cannot be read, each apart."""

    def __init__(self, row: type[R]) -> None:
        self.all: Callable[[bytes], Data[R]] = msgspec.json.Decoder(Data[row], strict=False).decode  # type: ignore[valid-type]
        self._one: Callable[[msgspec.Raw], R] = msgspec.json.Decoder(row, strict=False).decode
        self._raws = rows_decoder(Data[msgspec.Raw], 2)

    def apart(self, data: bytes, read: Callable[[R], T], what: str) -> tuple[list[T], list[Odd]]:
        """Return what `read` makes of the rows, and those that cannot be read. Raises one of `FRAME_ERRORS` if there are no rows."""
        odd: list[Odd] = []
        return readable(self._raws(data).data, lambda raw: read(self._one(raw)), what, odd), odd


TRADES: Final = Decoders(RawTrade), Decoders(NewTrade)
BOOKS: Final = Decoders(RawBook), Decoders(NewBook)


def ignored(data: bytes, received_ts: int) -> Sequence[Output]:
    """Read what holds nothing for the tape."""
    return ()


def trade_reader(instrument: Instrument, *, is_first: bool, is_new: bool) -> Reader:
    """`trade`, `publicTrade`: executions, newest first. The first frame after a subscription has recent ones."""
    venue, name, rows = instrument.venue, instrument.name, TRADES[is_new]
    what, decode = f"trade of {name}", TRADES[is_new].all

    def made(t: RawTrade, received_ts: int) -> Trade[Amount]:
        price, size = t.price, t.size
        if not are_amounts(f"{price} {size}"):  # `trade_amounts`, without its calls
            price, size = trade_amounts(price, size, str(t.id))
        return Trade(venue, name, epoch_ns(t.ts), received_ts, price, size, BUY if t.side == "buy" else SELL, str(t.id))

    def read(data: bytes, received_ts: int) -> Sequence[Output]:
        lost: list[Output] = []
        try:
            trades = [made(t, received_ts) for t in decode(data).data]
        except FRAME_ERRORS:
            trades, odd = rows.apart(data, lambda t: made(t, received_ts), what)
            lost = [*odd, Unreadable("trade", name, received_ts)]  # ids are not contiguous, so that none shows the loss
        trades.reverse()
        if is_first:
            return [*lost, *replay(trades, received_ts)]
        return [*lost, *trades] if lost else trades

    return read


def quote_reader(instrument: Instrument, *, is_first: bool, is_new: bool) -> Reader:
    """`books1`: the best level of each side, none for an empty one."""
    venue, name, decode = instrument.venue, instrument.name, BOOKS[is_new].all

    def read(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            (top,) = decode(data).data
            bid = amounts_of_side(*top.bids[0]) if top.bids else (None, None)
            ask = amounts_of_side(*top.asks[0]) if top.asks else (None, None)
        except (*FRAME_ERRORS, ValueError) as exc:
            return unreadable("quote", name, received_ts, exc)
        return (Quote(venue, name, epoch_ns(top.ts), received_ts, *bid, *ask),)

    return read


def book_reader(instrument: Instrument, *, is_first: bool, is_new: bool, numbered: bool = True) -> Reader:
    """`books`: a snapshot, then changes; size zero removes. `numbered`: a frame without a number cannot be used."""
    name, decode = instrument.name, BOOKS[is_new].all

    def levels(rows: Rows) -> list[Level]:
        return [(known_price(price), number(size)) for price, size in rows]

    def read(data: bytes, received_ts: int) -> Sequence[Output]:
        found: list[Output] = []
        try:
            for book in decode(data).data:
                bids, asks, made_ts = levels(book.bids), levels(book.asks), epoch_ns(book.ts)
                if numbered and book.seq is None:
                    raise FrameError("a book without a number")
                if is_first:
                    found.append(BookSnapshot(name, made_ts, received_ts, bids, asks, book.seq))
                else:
                    found.append(BookUpdate(name, made_ts, received_ts, bids, asks, None, book.seq, book.before))
            if not is_plain(data):
                raise NotANumber("digits that are not ASCII")
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            return _lost(name, exc, received_ts)
        return found

    return read


def _lost(name: str, error: Exception, received_ts: int) -> Sequence[Output]:
    """Return the outputs for a frame of a book that cannot be read."""
    reason = "no number in a level" if isinstance(error, ArithmeticError) else error
    return Odd("book", f"book of {name}: {reason}"), unread(name, received_ts)


def complete_reader(instrument: Instrument, *, is_new: bool) -> Reader:
    """`books5`, `books15`, `books50`: complete in each frame, so that none depends on another."""
    name, decode = instrument.name, BOOKS[is_new].all
    books = TextBooks()
    newest: int | None = None

    def read(data: bytes, received_ts: int) -> Sequence[Output]:
        nonlocal newest
        found: list[Output] = []
        try:
            if not is_plain(data):
                raise NotANumber("digits that are not ASCII")
            for book in decode(data).data:
                made = books.changed(name, book.bids, book.asks, number=book.seq, venue_ts=epoch_ns(book.ts), received_ts=received_ts)
                if isinstance(made, BookUpdate):
                    made = msgspec.structs.replace(made, previous=newest)
                if made is not None:
                    newest = book.seq
                    found.append(made)
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            books.forget(name)
            return _lost(name, exc, received_ts)
        return found

    return read


def follows(update: BookUpdate, sequence: int) -> Verdict:
    """Whether an update follows the frame with that number: it names it. Zero there says that the venue's numbers began again."""
    if update.last is None or not update.previous:
        return Verdict.BREAK
    if update.previous == sequence:
        return Verdict.APPLY
    return Verdict.SKIP if update.last <= sequence else Verdict.BREAK
