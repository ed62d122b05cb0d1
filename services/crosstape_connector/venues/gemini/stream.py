"""Gemini's WebSocket: the frames of a connection, and its requests.

Quirks  a frame does not name its stream: it is known by its fields. Times are ns, beyond 2^53. `m` true: the buyer was the maker, so the
        taker sold. `bookTicker` may lack a side, or both; a reply's id may be a number or a text
Book    the complete book comes first, with `U` equal to `u`. Nothing else marks it, and the page on depth says of changes only that
        `U > u before + 1` is a gap. In frames of 2026-07 each change begins with the last id of the frame before: `Sequences` finds out
        whether a connection counts so, and reads it either way
Left out  books of some levels (`lastUpdateId`), which are not asked for; `contractStatus`, which is about event contracts
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, NotANumber, UnknownFrame
from crosstape_connector.venues.gemini.values import ID, moment
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, Heartbeat, Output, Rejected, unread_book, unreadable
from crosstape_connector.venues.parsing.numbers import BACKSLASH, Unchecked, are_amounts, are_four_amounts, known_price, number
from crosstape_connector.venues.parsing.wire import Serial, amounts_of_side, trade_amounts
from crosstape_connector.venues.spec import Request, Symbols, Verb, Verdict, lookup
from crosstape_schemas import Quote, Side, Trade

BUY: Final = Side.BUY
SELL: Final = Side.SELL
DEPTH: Final = "depthUpdate"
CONTRACTS: Final = "contractStatus"
PINGS: Final = 10**9
"""Ids of pings are above this, and those of requests below. They are numbers, because an answer may have a text as a number."""
Rows = list[tuple[str, str]]


class Failure(msgspec.Struct, frozen=True):
    code: int | str | None = None
    msg: str = ""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """Any frame: which it is, its fields show."""

    E: Serial = 0
    s: str = ""
    e: str = ""
    t: Serial | None = None
    p: Unchecked = Unchecked("")
    q: Unchecked = Unchecked("")
    m: bool | None = None
    U: Serial | None = None
    u: Serial | None = None
    b: str | Rows = ""
    B: str = ""
    a: str | Rows = ""
    A: str = ""
    id: int | str | None = None
    status: int = 200
    error: Failure | None = None
    partial: msgspec.Raw = msgspec.field(name="lastUpdateId", default=msgspec.Raw(b""))


class Shape(msgspec.Struct, frozen=True):
    """The parts that say what a frame is, of one in which a value cannot be read."""

    s: str
    e: str = ""
    U: msgspec.Raw = msgspec.Raw(b"")
    B: msgspec.Raw = msgspec.Raw(b"")
    A: msgspec.Raw = msgspec.Raw(b"")
    p: msgspec.Raw = msgspec.Raw(b"")


_frame = msgspec.json.Decoder(Frame).decode
_shape = msgspec.json.Decoder(Shape).decode
_encode = msgspec.json.encode


class Sequences:
    """How one connection counts the changes of its books, from what its frames show.

    If each change begins with the last id of the one before, its first new id is the next, and one that begins with a new id follows a
    lost frame. A frame with one id alone has no new one: it is a complete book. Until that is seen, or where it is not so, a change may
    begin with the first new id, and may have that alone. Then a complete book is only the first frame of a symbol, and one after a reply
    that does not go on from the frame before: the symbol was subscribed again.
    """

    __slots__ = ("_answered", "_last", "_overlaps")

    def __init__(self) -> None:
        self._last: dict[str, int] = {}  # symbol → the newest id
        self._answered: set[str] = set()  # symbols without a complete book since the newest reply
        self._overlaps = 0  # changes that began with the last id before, less those that began with the next one

    def note_reply(self) -> None:
        """Expect complete books: the reply does not name its symbols."""
        self._answered.update(self._last)

    def first_new(self, symbol: str, first: int, last: int) -> int | None:
        """Return the first new id of a frame that has these as `U` and `u`; None if the frame is a complete book."""
        before, overlaps = self._last.get(symbol), self._overlaps > 0
        if first == last:
            is_again = symbol in self._answered and first - 1 != before
            if before is None or overlaps or is_again:
                self._answered.discard(symbol)
                self._last[symbol] = last
                return None
        if before is None or last > before:
            self._overlaps += 1 if first == before else -1 if first - 1 == before else 0
            self._last[symbol] = last
        return first + 1 if overlaps else first


class Parser:
    """Frames of one connection. It remembers the ids of books; all else replaces what was before."""

    __slots__ = ("_sequences", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._sequences = Sequences()

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        try:
            frame = _frame(data)
        except JSON_ERRORS as exc:
            return self._unread(data, received_ts, exc)
        if frame.e == DEPTH:
            return self._book(frame, data, received_ts)
        if frame.t is not None:
            return self._trade(frame, received_ts)
        if frame.u is not None and frame.s:
            return self._quote(frame, received_ts)
        if frame.id is not None or frame.error is not None:
            answer = _reply(frame)
            if isinstance(answer, Ack):
                self._sequences.note_reply()
            return (answer,)
        if frame.e == CONTRACTS or frame.partial:
            return ()
        raise UnknownFrame(f"a frame of {frame.s[:40]!r} that is none of the documented")

    def _trade(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        name, price, size = lookup(self._symbols, frame.s).name, frame.p, frame.q
        if frame.m is None:
            raise UnknownFrame(f"trade {frame.t} of {name} without a side")
        taker = SELL if frame.m else BUY
        if are_amounts(f"{price} {size}"):  # `trade_amounts`, the same
            return (Trade(ID, name, moment(frame.E), received_ts, price, size, taker, str(frame.t)),)
        amounts = trade_amounts(price, size, f"trade {frame.t} of {name}")
        return (Trade(ID, name, moment(frame.E), received_ts, *amounts, taker, str(frame.t)),)

    def _quote(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """`bookTicker`. A side that is not there is null; a frame without any price says nothing."""
        name, bid, ask = lookup(self._symbols, frame.s).name, frame.b, frame.a
        if not isinstance(bid, str) or not isinstance(ask, str):
            return unreadable("quote", name, received_ts, "a price that is a list")
        if not bid and not ask:
            return ()
        venue_ts = moment(frame.E)
        if are_four_amounts(f"{bid} {frame.B} {ask} {frame.A}"):  # `amounts_of_side`, without its calls
            return (
                Quote(ID, name, venue_ts, received_ts, Unchecked(bid), Unchecked(frame.B), Unchecked(ask), Unchecked(frame.A)),
            )  # fmt: skip
        try:
            sides = [amounts_of_side(price or "0", size or "0") for price, size in ((bid, frame.B), (ask, frame.A))]
        except FRAME_ERRORS as exc:
            return unreadable("quote", name, received_ts, exc)
        return (Quote(ID, name, venue_ts, received_ts, *sides[0], *sides[1]),)

    def _book(self, frame: Frame, data: bytes, received_ts: int) -> Sequence[Output]:
        """`depthUpdate`: the complete book, or changed levels; a size of zero removes."""
        name, first, last, bids, asks = lookup(self._symbols, frame.s).name, frame.U, frame.u, frame.b, frame.a
        if first is None or last is None or isinstance(bids, str) or isinstance(asks, str):
            return unread_book(name, received_ts, "no ids, or no levels")
        try:
            levels = (
                [(known_price(price), number(size)) for price, size in bids],
                [(known_price(price), number(size)) for price, size in asks],
            )
            if (not data.isascii() or BACKSLASH in data) and not all(price.isascii() and size.isascii() for price, size in (*bids, *asks)):
                raise NotANumber("digits that are not ASCII")
        except (NotANumber, ArithmeticError) as exc:
            return unread_book(name, received_ts, exc or "a level that is no number")
        venue_ts, new = moment(frame.E), self._sequences.first_new(frame.s, first, last)
        if new is None:
            held = [[level for level in side if level[1]] for side in levels]
            return (BookSnapshot(name, venue_ts, received_ts, held[0], held[1], last),)
        return (BookUpdate(name, venue_ts, received_ts, *levels, new, last),)

    def _unread(self, data: bytes, received_ts: int, error: Exception) -> Sequence[Output]:
        """Return what a frame with a value of the wrong kind means for its feed. Raises the error for any other frame."""
        try:
            shape = _shape(data)
        except FRAME_ERRORS:
            raise error from None
        if shape.e == DEPTH or shape.U:
            return unread_book(lookup(self._symbols, shape.s).name, received_ts, error)
        if (shape.B or shape.A) and not shape.p:
            return unreadable("quote", lookup(self._symbols, shape.s).name, received_ts, error)
        raise error


def _reply(frame: Frame) -> Output:
    text = str(frame.id)
    request_id = int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else None
    if request_id is not None and request_id > PINGS:
        return Heartbeat()
    if frame.error is not None or frame.status >= 400:
        said = frame.error or Failure()
        return Rejected(" ".join(str(part) for part in (said.code, said.msg) if part) or f"status {frame.status}", request_id)
    return Heartbeat() if request_id is None else Ack(request_id)


def request(verb: Verb, request: Request) -> bytes:
    """Return the request for one channel of some symbols: one acknowledgement for all."""
    return _asking(str(request.request_id), verb, [f"{symbol}@{request.channel}" for symbol in request.symbols])


def ping(request_id: int) -> bytes:
    """Return a ping. Whatever the answer is, the connection lives."""
    return _asking(str(PINGS + request_id), "ping")


def _asking(request_id: str, method: str, params: Sequence[str] | None = None) -> bytes:
    made: dict[str, Any] = {"id": request_id, "method": method}
    return _encode(made if params is None else {**made, "params": params})


def follows(update: BookUpdate, sequence: int) -> Verdict:
    """Whether changes follow that id: their first new one is the next, or they reach back before it."""
    if update.first is None or update.last is None or update.first > sequence + 1:
        return Verdict.BREAK
    return Verdict.APPLY if update.last > sequence else Verdict.SKIP
