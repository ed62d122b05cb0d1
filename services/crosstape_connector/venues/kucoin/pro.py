"""KuCoin's newer WebSocket protocol ("Pro", unified): books, candles, marks and funding of spot and futures.

Quirks  every frame is binary, and holds plain JSON; fields are single letters whose case matters (`o` open, `O` opening time); `P`, the
        time of the push, is ns, in one documented frame ms. Sizes of futures are contracts, in texts. `S` says that a candle is complete,
        as a bool or as the text "false"; but a documented frame has it true 16 s before the end, so it counts only from the end on
Book    `increment@10ms` begins with a snapshot of 500 levels a side, up to six seconds after the acknowledgement; then changes numbered
        `O` … `C`, several in one frame. A level that falls out of the best 500 is sent with size 0
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, NotANumber, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.kucoin.classic import number_of
from crosstape_connector.venues.kucoin.requests import DEPTH
from crosstape_connector.venues.kucoin.values import FUTURES, OURS, SPOT, Figures, candle, moment
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    Heartbeat,
    Odd,
    Output,
    Rejected,
    Welcome,
    unread,
    unreadable,
)
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import BACKSLASH, figure, known_price, number
from crosstape_connector.venues.parsing.unreadable import named_in
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, positive
from crosstape_connector.venues.spec import Symbols, Verdict, lookup
from crosstape_schemas import Funding, Instrument, Level, Mark, OpenInterest

PING: Final = 0.9
"""The share of the venue's interval after which the next ping is sent."""
OTHERS: Final = frozenset({"ticker", "trade", "funding-fee-all-symbols", "callAuctionInfo"})
"""Channels that the documents name and that hold nothing for the tape here."""
NO_DATA: Final = msgspec.Raw(b"null")
_MILLISECONDS: Final = 1_000


class Frame(msgspec.Struct, frozen=True, gc=False):
    T: str = ""
    t: str = ""
    dp: str = ""
    P: Serial = 0
    d: msgspec.Raw = NO_DATA
    type: str = ""
    id: str | int | None = None
    result: bool | None = None
    reason: str = ""
    message: str = ""
    session: str = msgspec.field(name="sessionId", default="")
    ping_interval: int = msgspec.field(name="pingInterval", default=0)


class RawBook(msgspec.Struct, frozen=True, gc=False):
    s: str
    O: Serial  # noqa: E741
    C: Serial
    M: Serial
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class RawCandle(msgspec.Struct, frozen=True, gc=False):
    O: Stamp  # noqa: E741
    C: Stamp
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: str
    a: str
    S: bool | str = False


class RawMark(msgspec.Struct, frozen=True, gc=False):
    ts: Stamp
    mp: str | None
    ip: str | None
    oi: str | None


class RawFunding(msgspec.Struct, frozen=True, gc=False):
    fr: str
    nt: Stamp | None
    gl: Stamp | None


class Named(msgspec.Struct, frozen=True):
    """The part of any data that says what they are of."""

    s: str
    i: str = ""


_frame = msgspec.json.Decoder(Frame).decode
_book = msgspec.json.Decoder(RawBook).decode
_candle = msgspec.json.Decoder(RawCandle).decode
_mark = msgspec.json.Decoder(RawMark).decode
_funding = msgspec.json.Decoder(RawFunding).decode
_named = msgspec.json.Decoder(Named).decode


class Parser:
    """Frames of one connection. It remembers nothing: books have numbers, and all else replaces what was before."""

    __slots__ = ("_readers", "_symbols")
    venue: ClassVar[str]
    market: ClassVar[str]

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._readers: dict[str, Callable[[Frame, int], Sequence[Output]]] = {
            f"obu.{self.market}": self._book,
            f"kline.{self.market}": self._candle,
            "mark-price": self._mark,
            "funding-fee": self._funding,
        }

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        frame = _frame(data)
        reader = self._readers.get(frame.T)
        if reader is not None:
            return reader(frame, received_ts)
        if not frame.T:
            return _reply(frame)
        if frame.T.partition(".")[0] in OTHERS:
            return ()
        raise UnknownFrame(f"topic {frame.T[:80]!r}")

    def _book(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """A snapshot or changes. Books of other depths are known, and not asked for."""
        if frame.dp != DEPTH:
            if frame.dp in ("1", "5", "50", "increment"):
                return ()
            raise UnknownFrame(f"a book of depth {frame.dp[:20]!r}")
        try:
            raw = _book(frame.d)
            instrument = lookup(self._symbols, raw.s)
            bids, asks = self._levels(raw.b, instrument), self._levels(raw.a, instrument)
            text = bytes(frame.d)
            if (BACKSLASH in text or not text.isascii()) and not all(p.isascii() and s.isascii() for p, s in (*raw.b, *raw.a)):
                raise NotANumber("digits that are not ASCII")
        except UnknownSymbol:
            raise
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            names = named_in(bytes(frame.d), self._symbols)
            return [Odd("book", f"{', '.join(names[:3])}: {exc}"), *(unread(name, received_ts) for name in names)]
        if frame.t == "snapshot":
            return (BookSnapshot(instrument.name, raw.M, received_ts, bids, asks, raw.C),)
        if frame.t == "delta":
            return (BookUpdate(instrument.name, raw.M, received_ts, bids, asks, raw.O, raw.C),)
        return Odd("book", f"{instrument.name}: neither snapshot nor delta: {frame.t[:20]!r}"), unread(instrument.name, received_ts)

    def _levels(self, rows: list[tuple[str, str]], instrument: Instrument) -> list[Level]:
        raise NotImplementedError

    def _candle(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        named = _named(frame.d)
        instrument, timeframe = lookup(self._symbols, named.s), OURS.get(named.i)
        if timeframe is None:
            return ()  # a timeframe that is not ours
        try:
            raw = _candle(frame.d)
            sent_ts = moment(frame.P)
            is_closed = raw.S in (True, "true") and sent_ts >= raw.C * 1_000_000_000
            figures = Figures(raw.O, raw.o, raw.h, raw.l, raw.c, raw.v, raw.a)
            made = candle(self.venue, instrument, timeframe, figures, venue_ts=sent_ts or None, received_ts=received_ts, closed=is_closed)
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            return unreadable(f"candle:{timeframe}", instrument.name, received_ts, exc)
        return (made,)

    def _mark(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """The mark, the index and the open interest, which the venue counts in contracts."""
        instrument = lookup(self._symbols, _named(frame.d).s)
        try:
            raw = _mark(frame.d)
            mark, index = _price(raw.mp), _price(raw.ip)
            found: list[Output] = [Mark(self.venue, instrument.name, epoch_ns(raw.ts), received_ts, mark, index)]
            if raw.oi is not None and (mark is not None or not instrument.inverse):
                contracts = figure(raw.oi)
                size = base_size(instrument, contracts, mark or Decimal(1))
                value = contracts * instrument.contract_size if instrument.inverse else None
                found.append(OpenInterest(self.venue, instrument.name, epoch_ns(raw.ts), received_ts, size, value))
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            marked = unreadable("mark", instrument.name, received_ts, exc)
            return *marked, *unreadable("open_interest", instrument.name, received_ts, exc)[1:]
        return found

    def _funding(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """The rate that will be paid next, as it stands now: it moves until then."""
        instrument = lookup(self._symbols, _named(frame.d).s)
        try:
            raw = _funding(frame.d)
            interval_s = None if raw.gl is None else raw.gl // _MILLISECONDS
            next_ts = None if raw.nt is None else epoch_ns(raw.nt)
            rate = figure(raw.fr)
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            return unreadable("funding", instrument.name, received_ts, exc)
        return (Funding(self.venue, instrument.name, moment(frame.P) or None, received_ts, rate, interval_s, next_ts),)


class SpotParser(Parser):
    """Frames of spot. Sizes are base units."""

    __slots__ = ()
    venue = SPOT
    market = "SPOT"

    def _levels(self, rows: list[tuple[str, str]], instrument: Instrument) -> list[Level]:
        return [(known_price(price), number(size)) for price, size in rows]


class FuturesParser(Parser):
    """Frames of futures. Sizes are contracts."""

    __slots__ = ()
    venue = FUTURES
    market = "FUTURES"

    def _levels(self, rows: list[tuple[str, str]], instrument: Instrument) -> list[Level]:
        return [(price, base_size(instrument, number(size), price)) for text, size in rows for price in (known_price(text),)]


def _price(text: str | None) -> Decimal | None:
    if text is None:
        return None
    found = figure(text)
    if not positive(found, found):
        raise FrameError(f"not a price: {text[:40]!r}")
    return found


def _reply(frame: Frame) -> Sequence[Output]:
    if frame.result is not None:
        if frame.result:
            return (Ack(number_of(frame.id)),)
        return (Rejected(frame.reason or frame.message or "refused without a reason", number_of(frame.id)),)
    if frame.session or frame.message == "welcome":
        return (Welcome(frame.ping_interval * PING / _MILLISECONDS if 0 < frame.ping_interval <= 600_000 else None),)
    if frame.type == "pong":
        return (Heartbeat(),)
    if frame.d != NO_DATA:
        raise FrameError("data without a topic")
    raise UnknownFrame("neither data nor a reply")


def chain(update: BookUpdate, sequence: int) -> Verdict:
    """Whether changes follow that number. They may begin before it: the documents allow an overlap."""
    if update.first is None or update.last is None or update.first > sequence + 1:
        return Verdict.BREAK
    return Verdict.APPLY if update.last > sequence else Verdict.SKIP


def speaks(data: bytes) -> bool:
    """Whether a frame is of this protocol."""
    return b'"T":' in data or b'"result":' in data or b'"sessionId":' in data or (b'"pong"' in data and b'"ts":' in data)
