"""What the sockets of BingX share: the frame around data, keepalive, requests and their answers.

Quirks  the *server* asks for a sign of life, in one of two dialects: the text `Ping`, which is no JSON, or `{"ping": …, "time": …}`.
        An answer repeats the id of its request and not the topic; an error may have no id. One topic a request. `dataType` of a frame is
        the topic exactly as it was asked for
Ids     the id of a request has its number, and a hash of its topic: so an answer shows which data are the first of a new subscription
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from binascii import crc32
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame
from crosstape_connector.venues.messages import Ack, Odd, Output, Rejected, Reply
from crosstape_connector.venues.parsing.wire import Stamp
from crosstape_connector.venues.spec import Request, Symbols, Verb, lookup
from crosstape_schemas import Instrument

PING, PONG = b"Ping", b"Pong"
FULL: Final = 80403
""""your topic num over max 200": the connection has no room."""
VERBS: Final[dict[Verb, str]] = {"subscribe": "sub", "unsubscribe": "unsub"}
BY_DEPTH: Final = "depth"
"""The channel whose topics end in the number of levels: complete books."""
BY_CHANGES: Final = "incrDepth"
"""The channel of deeper books, which are sent by their changes."""
COMPLETE: Final = (5, 10, 20, 50, 100)
"""Levels a side of complete books."""
IGNORED: Final = frozenset({"lastPrice"})
"""Channels that hold nothing for the tape: the trades have it."""
NO_DATA: Final = msgspec.Raw(b"null")


class Frame(msgspec.Struct, frozen=True, gc=False):
    topic: str = msgspec.field(name="dataType", default="")
    data: msgspec.Raw = NO_DATA
    timestamp: Stamp | None = None
    ts: Stamp | None = None
    code: int = 0
    id: str | int | None = None
    msg: str = ""
    ping: str | None = None
    time: str | None = None


_frame = msgspec.json.Decoder(Frame).decode
_encode = msgspec.json.encode

Route = Callable[[Frame, int], Sequence[Output]]
"""(frame, received_ts) → the outputs of a frame of one topic."""


class TopicRoute:
    """Parses the frames of one topic, with the memory that this needs."""

    def __call__(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        raise NotImplementedError

    def restart(self) -> None:
        """Note that the venue has answered a request for this topic: the next frame may be the first of a new subscription."""

    def lost(self, received_ts: int) -> Sequence[Output]:
        """Note that a frame of this topic could not be read at all. Returns what that means."""
        return ()


class Parser:
    """Frames of one connection. It learns the route of each topic with its first frame."""

    __slots__ = ("_routes", "_symbols")
    channels: ClassVar[Mapping[str, Callable[[Instrument], Route]]]
    """Channel → what makes the route of one of its topics."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._routes: dict[str, Route] = {}

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        if data == PING:
            return (Reply(PONG),)
        try:
            frame = _frame(data)
        except FRAME_ERRORS as exc:
            lost = [output for topic, route in self._routes.items() for output in self._lost(topic, route, data, received_ts)]
            if not lost:
                raise
            return Odd("book", f"a frame that cannot be read: {exc}"), *lost
        route = self._routes.get(frame.topic)
        if route is not None and not frame.code:
            return route(frame, received_ts)
        if not frame.topic or frame.code:
            return self._about_connection(frame)
        symbol, _, channel = frame.topic.partition("@")
        make = self.channels.get(channel)
        if make is None:
            if channel in IGNORED:
                return ()
            raise UnknownFrame(f"topic {frame.topic!r}")
        route = self._routes[frame.topic] = make(lookup(self._symbols, symbol))
        return route(frame, received_ts)

    @staticmethod
    def _lost(topic: str, route: Route, data: bytes, received_ts: int) -> Sequence[Output]:
        """What it means for a topic that this frame cannot be read: it may be of any topic, unless it names another."""
        others = b'"dataType"' in data and topic.encode() not in data
        return route.lost(received_ts) if isinstance(route, TopicRoute) and not others else ()

    def _about_connection(self, frame: Frame) -> Sequence[Output]:
        """A sign of life that is asked for, or the answer to a request."""
        if frame.ping is not None:
            return (Reply(_encode({"pong": frame.ping} | ({} if frame.time is None else {"time": frame.time}))),)
        number, about = _request_of(frame.id)
        if frame.code:
            return (Rejected(f"{frame.code} {frame.msg}".strip(), number, full=frame.code == FULL),)
        if frame.id is None:
            raise UnknownFrame("neither data nor an answer")
        for topic, route in self._routes.items():
            if isinstance(route, TopicRoute) and _hash(topic) == about:
                route.restart()
        return (Ack(number),)


def topic_of(channel: str, symbol: str, depth: int) -> str:
    """Return the venue's name of a subscription. A book with more levels than a complete one has is `incrDepth`."""
    if channel != BY_DEPTH:
        return f"{symbol}@{channel}"
    return f"{symbol}@{BY_DEPTH}{depth}" if depth in COMPLETE else f"{symbol}@{BY_CHANGES}"


def request(verb: Verb, request: Request) -> bytes:
    """Return the request for one topic: the venue's table allows no more per request."""
    (symbol,) = request.symbols
    topic = topic_of(request.channel, symbol, request.depth)
    return _encode({"id": f"{request.request_id}-{_hash(topic)}", "reqType": VERBS[verb], "dataType": topic})


def _hash(topic: str) -> str:
    return f"{crc32(topic.encode()):08x}"


def _request_of(text: str | int | None) -> tuple[int | None, str]:
    """Return the number of our request and the hash of its topic; None for an id that is not ours."""
    number, _, about = str(text).partition("-")
    if not (number.isdecimal() and number.isascii() and len(number) <= 18 and len(about) in (0, 8)):
        return None, ""
    return int(number), about
