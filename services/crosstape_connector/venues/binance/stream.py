"""Binance's streams: frames and requests of a WebSocket connection, and how the numbers of a book's updates link.

Quirks  `bookTicker` has neither a type nor a time, and `b` is a number's text in one frame and a list in the other: decode by stream name;
        `m` true: the buyer was the maker, so the taker sold; times are ms, or µs if the URL asks for it
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame
from crosstape_connector.venues.messages import Ack, BookUpdate, Heartbeat, Odd, Output, Rejected, Rotate, unread, unreadable
from crosstape_connector.venues.parsing.numbers import BACKSLASH, LIMIT, figure, number
from crosstape_connector.venues.parsing.wire import MICROSECONDS, ZERO, Serial, Stamp, epoch_ns, shown, side_of
from crosstape_connector.venues.spec import Request, Symbols, Verb, Verdict, lookup
from crosstape_schemas import Quote, Side, Ticker, Trade

ID: Final = "binance"
BUY: Final = Side.BUY
SELL: Final = Side.SELL
"""Names of this module: looking them up in their class takes as long as one and a half dict look-ups."""
KNOWN: Final = re.compile(
    r"kline_\w+(@[+]\d\d:\d\d)?|miniTicker|avgPrice|referencePrice|blockTrade|ticker_\w+|depth(5|10|20)(@100ms|@1000ms)?|arr"
)
"""Streams that the documents name and that hold nothing for the tape (a partial depth frame does not even name its symbol)."""

Route = Callable[[msgspec.Raw, int], Sequence[Output]]


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The wrapper of every frame of a combined stream; both fields are empty in any other frame."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    t: Serial
    p: str
    q: str
    T: Stamp
    m: bool


class RawBookTicker(msgspec.Struct, frozen=True, gc=False):
    b: str
    B: str
    a: str
    A: str


class RawDepth(msgspec.Struct, frozen=True, gc=False):
    E: Stamp
    U: Serial
    u: Serial
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    E: Stamp
    c: str
    o: str
    h: str
    l: str  # noqa: E741
    v: str
    q: str
    p: str


class RawError(msgspec.Struct, frozen=True):
    msg: str = ""


class Reply(msgspec.Struct, frozen=True):
    """A frame outside a stream's wrapper."""

    e: str = ""
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: RawError | None = None
    code: int | None = None
    msg: str = ""


_envelope = msgspec.json.Decoder(Envelope).decode
_trade = msgspec.json.Decoder(RawTrade).decode
_book_ticker = msgspec.json.Decoder(RawBookTicker).decode
_depth = msgspec.json.Decoder(RawDepth).decode
_ticker = msgspec.json.Decoder(RawTicker).decode
_reply = msgspec.json.Decoder(Reply).decode
_encode = msgspec.json.encode


def trade_route(instrument: str) -> Route:
    """`trade`: one execution a frame."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        t = _trade(raw)
        p, q, made_ts = t.p, t.q, t.T
        try:
            price, size = number(p), number(q)
            if ZERO < price < LIMIT and ZERO < size < LIMIT and p.isascii() and q.isascii():  # `trade_numbers`, without its call
                made_ts *= 1_000_000 if made_ts < MICROSECONDS else 1_000  # `epoch_ns`, the same
                return (Trade(ID, instrument, made_ts, received_ts, price, size, SELL if t.m else BUY, str(t.t)),)
        except ArithmeticError:
            pass
        raise FrameError(f"trade {t.t} of {instrument}: {shown(q)} at {shown(p)}")

    return route


def quote_route(instrument: str) -> Route:
    """`bookTicker`: best bid and ask at each change, without a time."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            q = _book_ticker(raw)
            bid, bid_size, ask, ask_size = number(q.b), number(q.B), number(q.a), number(q.A)
            if ZERO < bid <= ask < LIMIT and ZERO < bid_size < LIMIT and ZERO < ask_size < LIMIT and f"{q.b}{q.B}{q.a}{q.A}".isascii():
                return (Quote(ID, instrument, None, received_ts, bid, bid_size, ask, ask_size),)
            return (Quote(ID, instrument, None, received_ts, *side_of(q.b, q.B), *side_of(q.a, q.A)),)
        except ArithmeticError:
            return unreadable("quote", instrument, received_ts, f"{shown(q.b)}, {shown(q.B)}, {shown(q.a)}, {shown(q.A)}")
        except FRAME_ERRORS as exc:
            return unreadable("quote", instrument, received_ts, exc)

    return route


def depth_route(instrument: str) -> Route:
    """`depth`: changed levels, numbered."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            d = _depth(raw)
            bids, asks = [(number(price), number(size)) for price, size in d.b], [(number(price), number(size)) for price, size in d.a]
        except msgspec.ValidationError as exc:
            return Odd("book", f"{instrument}: {exc}"), unread(instrument, received_ts)
        except ArithmeticError:
            return Odd("book", f"{instrument}: a level that is no number"), unread(instrument, received_ts)
        text = bytes(raw)
        if (BACKSLASH in text or not text.isascii()) and not all(price.isascii() and size.isascii() for price, size in (*d.b, *d.a)):
            return Odd("book", f"{instrument}: digits that are not ASCII"), unread(instrument, received_ts)
        return (BookUpdate(instrument, epoch_ns(d.E), received_ts, bids, asks, d.U, d.u),)

    return route


def ticker_route(instrument: str) -> Route:
    """`ticker`: rolling 24 h, once a second."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        t = _ticker(raw)
        figures = map(figure, (t.c, t.o, t.h, t.l, t.v, t.q, t.p))
        return (Ticker(ID, instrument, epoch_ns(t.E), received_ts, *figures),)

    return route


ROUTES: Final[dict[str, Callable[[str], Route]]] = {
    "trade": trade_route,
    "bookTicker": quote_route,
    "depth": depth_route,
    "depth@100ms": depth_route,
    "ticker": ticker_route,
}
SHUTDOWN: Final = Rotate("the venue announced a shutdown")


class Parser:
    """Frames of one connection. It learns each stream's route with its first frame: the rest are one look-up away from their decoder."""

    __slots__ = ("_routes", "_symbols")
    channels: ClassVar[Mapping[str, Callable[[str], Route]]] = ROUTES
    """Channel → what makes the route of one of its streams, from our instrument."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._routes: dict[str, Route] = {}

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        frame = _envelope(data)
        route = self._routes.get(frame.stream)
        if route is not None:
            return route(frame.data, received_ts)
        if not frame.stream:
            return self.unwrapped(data, received_ts)
        if frame.stream == "!serverShutdown":
            return (SHUTDOWN,)
        symbol, _, channel = frame.stream.partition("@")
        if channel not in self.channels:
            if KNOWN.fullmatch(channel):
                return ()
            raise UnknownFrame(f"stream {frame.stream!r}")
        return self.route(frame.stream, symbol.upper(), channel)(frame.data, received_ts)

    def route(self, stream: str, symbol: str, channel: str) -> Route:
        """The route of a stream that is met for the first time. Raises `UnknownSymbol`."""
        route = self._routes[stream] = self.channels[channel](lookup(self._symbols, symbol).name)
        return route

    def unwrapped(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """A reply to a request. Any result but null answers our ping."""
        reply = _reply(data)
        request_id = reply.id if isinstance(reply.id, int) else None
        if reply.e == "serverShutdown":
            return (SHUTDOWN,)
        if reply.error is not None:
            return (Rejected(reply.error.msg, request_id),)
        if reply.code is not None:
            return (Rejected(reply.msg, request_id),)
        if reply.result is msgspec.UNSET:
            raise UnknownFrame("neither data nor a reply")
        return (Ack(request_id),) if bytes(reply.result) == b"null" else (Heartbeat(),)


def request(verb: Verb, request: Request) -> bytes:
    """One message for all symbols; unknown ones are acknowledged all the same."""
    params = [f"{symbol.lower()}@{request.channel}" for symbol in request.symbols]
    return _encode({"method": verb.upper(), "params": params, "id": request.request_id})


def ping(request_id: int) -> bytes:
    """A question with a short answer, which shows that the session lives while a thin market is silent (43 s were seen)."""
    return _encode({"method": "GET_PROPERTY", "params": ["combined"], "id": request_id})


def chain(update: BookUpdate, sequence: int) -> Verdict:
    """Whether an update follows that number: the same rule for the first after a snapshot and for all later ones."""
    if update.first is None or update.last is None or update.first > sequence + 1:
        return Verdict.BREAK
    return Verdict.APPLY if update.last > sequence else Verdict.SKIP
