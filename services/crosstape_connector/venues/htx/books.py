"""HTX's books: changes that are joined to a book on request, changes after a book on the stream, and complete books.

Joined, on spot (`mbp`). The documents say, step by step:

1. Subscribe, and keep the changes.
2. After the first change, ask for the book with `req` on the same connection: at most one request in 100 ms.
3. Drop the changes whose `seqNum` is not above the book's. The first one that is left must have a `prevSeqNum` that is not above it. If
   what was kept begins later than that, the answer is too old: ask again. An answer without a book is no answer: ask again.
4. From then on `prevSeqNum` is the `seqNum` before; if not, begin again.

`OrderBook` keeps the changes and checks the links (steps 1, 3 and 4), as it does for all venues; here is what only the connection knows:
when to ask (2), and whether an answer reaches (3). An answer was seen that was half a second older than the newest change.
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS
from crosstape_connector.venues.htx.frames import MakeRoute, Parser, Route, encode, silent
from crosstape_connector.venues.htx.values import Frame, TimedFrame, checked
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Odd, Output, Reply, unread
from crosstape_connector.venues.parsing.complete_books import CompleteBooks
from crosstape_connector.venues.parsing.contracts import base_size, is_in_base_units
from crosstape_connector.venues.parsing.numbers import PER_LEVEL
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import Instrument, Level

APART_NS: Final = 110_000_000
"""Between two requests for books: the venue allows one in 100 ms."""
QUIET_NS: Final = 2_000_000_000
"""After so long the book is asked for, though no change has come: the market is quiet."""
LOST_NS: Final = 3_000_000_000
"""After so long without an answer the book is asked for again …"""
AGAIN_NS: Final = 300_000_000
"""… and after so long, if the answer was of no use."""
BAD: Final = (*FRAME_ERRORS, ArithmeticError)
"""What a level that cannot be read raises."""
Levels = list[tuple[Decimal, Decimal]]


class RawBook(msgspec.Struct, frozen=True, gc=False):
    bids: Levels = []
    asks: Levels = []


class RawChange(RawBook, frozen=True, gc=False, kw_only=True):
    last: Serial = msgspec.field(name="seqNum")
    previous: Serial | None = msgspec.field(name="prevSeqNum", default=None)


class RawNumbered(RawBook, frozen=True, gc=False, kw_only=True):
    event: str
    version: Serial
    ts: Stamp


_change = msgspec.json.Decoder(TimedFrame[RawChange]).decode
_numbered = msgspec.json.Decoder(Frame[RawNumbered]).decode
_complete = msgspec.json.Decoder(TimedFrame[RawBook]).decode
_book = msgspec.json.Decoder(RawChange | None).decode


def follows(update: BookUpdate, sequence: int) -> Verdict:
    """Whether a change continues the book that ends at this number. It may begin before: its sizes are absolute."""
    if update.last is None or update.previous is None:
        return Verdict.BREAK
    if update.last <= sequence:
        return Verdict.SKIP
    return Verdict.APPLY if update.previous <= sequence else Verdict.BREAK


def of_books(read: MakeRoute) -> MakeRoute:
    """Return what makes the route of a book's topic: a change that cannot be read breaks the book; a second topic of a book is ignored."""

    def make(parser: Parser, instrument: Instrument, topic: str) -> Route:
        name = instrument.name
        if parser.books.setdefault(name, topic) != topic:
            return silent
        inner = read(parser, instrument, topic)

        def route(data: bytes, received_ts: int) -> Sequence[Output]:
            try:
                return inner(data, received_ts)
            except BAD as exc:
                if isinstance(exc, JSON_ERRORS) and not isinstance(exc, msgspec.ValidationError):
                    raise  # the frame is torn: the next number shows that it is missing
                return Odd("book", f"{name}: {exc}"), unread(name, received_ts)

        return route

    return make


def in_base_units(instrument: Instrument) -> Callable[[Levels], list[Level]]:
    """Return what turns levels of contracts into levels of base units; a size of zero stays one."""
    if is_in_base_units(instrument):
        return list
    return lambda rows: [(price, base_size(instrument, size, price) if size else size) for price, size in rows]


class Asking:
    """When to ask for the books of one connection."""

    __slots__ = ("_due", "_next_ts", "_sent_ts")

    def __init__(self) -> None:
        self._due: dict[str, int] = {}  # topic → when it may be asked for
        self._next_ts = 0
        self._sent_ts = 0

    def want(self, topic: str, due_ts: int) -> None:
        """Ask for this book from that time on."""
        self._due[topic] = due_ts
        self._plan()

    def has(self, topic: str) -> None:
        """Note that a book need not be asked for."""
        if self._due.pop(topic, None) is not None:
            self._plan()

    def wants(self, topic: str) -> bool:
        """Whether it is to be asked for."""
        return topic in self._due

    def due(self, now: int) -> list[Output]:
        """Return the next request, if it is time for one."""
        if not self._due:
            return []
        if now < self._sent_ts:  # our clock was set back
            self._sent_ts = now
            self._due = dict.fromkeys(self._due, now)
            self._plan()
        if now < self._next_ts:
            return []
        topic = min(self._due, key=self._due.__getitem__)
        self._sent_ts = now
        self.want(topic, now + LOST_NS)
        return [Reply(encode({"req": topic, "id": f"req {topic}"}))]

    def _plan(self) -> None:
        self._next_ts = max(min(self._due.values(), default=0), self._sent_ts + APART_NS)


class JoinedBook:
    """The route of one `mbp` topic until its book is joined, and after."""

    __slots__ = ("_asking", "_begin", "_joined", "_last", "_name", "_topic")

    def __init__(self, asking: Asking, instrument: Instrument, topic: str) -> None:
        self._asking, self._name, self._topic = asking, instrument.name, topic
        self._begin: int | None = None  # the number before the first of the changes without a gap
        self._last: int | None = None
        self._joined = False

    def __call__(self, data: bytes, received_ts: int) -> list[Output]:
        """Return the change, whether the book is joined or not: `OrderBook` keeps it until then."""
        frame = _change(data)
        tick = frame.tick
        checked(data, len(tick.bids) + len(tick.asks), PER_LEVEL)
        if self._last is None or self._last != tick.previous:
            self._begin = tick.previous
            if self._last is None and not self._joined:
                self._asking.want(self._topic, received_ts)
        self._last = tick.last
        return [BookUpdate(self._name, epoch_ns(frame.ts), received_ts, tick.bids, tick.asks, None, tick.last, tick.previous)]

    def answered(self, raw: msgspec.Raw, ts: int | None, received_ts: int) -> list[Output]:
        """Return the book that was asked for, if the changes that were kept reach back to it.

        A recorder may have asked again where changes were missing, without a new subscription.
        """
        try:
            book = _book(raw)
            checked(bytes(raw), 0 if book is None else len(book.bids) + len(book.asks), PER_LEVEL)
        except FRAME_ERRORS as exc:
            self._ask_again(received_ts)
            return [Odd("book", f"the book of {self._name}: {exc}")]
        if book is None or (self._begin is not None and self._begin > book.last):
            self._ask_again(received_ts)
            return []
        self._joined = True
        self._asking.has(self._topic)
        made_ts = None if ts is None else epoch_ns(ts)
        depth = int(self._topic.rpartition(".")[2])
        return [BookSnapshot(self._name, made_ts, received_ts, book.bids, book.asks, book.last, depth=depth)]

    def _ask_again(self, received_ts: int) -> None:
        if not self._joined:
            self._asking.want(self._topic, received_ts + AGAIN_NS)


def numbered(parser: Parser, instrument: Instrument, topic: str) -> Route:
    """`depth.size_20.high_freq`: a book, then changes that are numbered one by one."""
    name, sized = instrument.name, in_base_units(instrument)

    def route(data: bytes, received_ts: int) -> list[Output]:
        tick = _numbered(data).tick
        checked(data.replace(b".size_", b"."), len(tick.bids) + len(tick.asks), PER_LEVEL)  # the topic looks like an odd number
        version, made_ts, bids, asks = tick.version, epoch_ns(tick.ts), sized(tick.bids), sized(tick.asks)
        if tick.event == "update":
            return [BookUpdate(name, made_ts, received_ts, bids, asks, version, version, version - 1)]
        if tick.event != "snapshot":
            return [Odd("book", f"{name}: an event {tick.event!r}"), unread(name, received_ts)]
        return [BookSnapshot(name, made_ts, received_ts, bids, asks, version)]

    return route


def complete(parser: Parser, instrument: Instrument, topic: str) -> Route:
    """`depth.step0`, `mbp.refresh.20` …: complete books, as recordings have them. Each is linked to the one before by its time."""
    name, sized, books = instrument.name, in_base_units(instrument), CompleteBooks()
    before = 0

    def route(data: bytes, received_ts: int) -> list[Output]:
        nonlocal before
        try:
            frame = _complete(data)
            tick = frame.tick
            checked(data, len(tick.bids) + len(tick.asks), PER_LEVEL)
            bids, asks = sized(tick.bids), sized(tick.asks)
        except BAD:
            books.forget(name)
            raise
        made = books.changed(name, bids, asks, venue_ts=epoch_ns(frame.ts), received_ts=received_ts)
        if made is None:
            return []
        number, before = before, frame.ts
        if isinstance(made, BookSnapshot):
            return [msgspec.structs.replace(made, sequence=frame.ts, depth=max(len(bids), len(asks), 150))]
        return [msgspec.structs.replace(made, last=frame.ts, previous=number)]

    return route
