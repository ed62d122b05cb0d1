"""A WebSocket connection to any of Binance's markets: wrapped frames, requests and their replies.

Wire    {"stream": name, "data": frame}; {"method": "SUBSCRIBE", "params": [stream, …], "id": n} and {"result": null, "id": n}
Quirks  what a frame is stands in the stream's name, not always in the frame; a request for an unknown stream is acknowledged like any other
Speed   the venue writes the wrapper always alike: of a stream that was met before it is cut off as text, and only the data are decoded
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame
from crosstape_connector.venues.messages import Ack, Heartbeat, Output, Rejected, Rotate
from crosstape_connector.venues.spec import Request, Symbols, Verb, lookup
from crosstape_schemas import Instrument

T = TypeVar("T")
_BETWEEN: Final = b'","data":'
"""What the venue writes between a stream's name and its data."""
_CLOSING: Final = ord("}")


def _refuse(error: Exception, received_ts: int) -> Sequence[Output]:
    raise error


class Route(NamedTuple, Generic[T]):
    """Turns the data of one stream's frames into outputs."""

    decode: Callable[[bytes | msgspec.Raw], T]
    """Decodes the data. It accepts nothing but complete JSON, and raises one of `FRAME_ERRORS`."""
    outputs: Callable[[T, int], Sequence[Output]]
    """(decoded data, received_ts) → outputs."""
    refused: Callable[[Exception, int], Sequence[Output]] = _refuse
    """(error of `decode`, received_ts) → outputs for data that are JSON, but not of this form; or raises the error."""

    def read(self, data: bytes | msgspec.Raw, received_ts: int) -> Sequence[Output]:
        """Return the outputs of the data of one frame, which are JSON."""
        try:
            decoded = self.decode(data)
        except FRAME_ERRORS as exc:
            return self.refused(exc, received_ts)
        return self.outputs(decoded, received_ts)


MakeRoute = Callable[[Instrument], Route[Any]]
"""Makes the route of one of a channel's streams; its events are of `Instrument.venue`."""
SHUTDOWN: Final = Rotate("the venue announced a shutdown")


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The wrapper of every frame of a combined stream; both fields are empty in any other frame."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


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
_reply = msgspec.json.Decoder(Reply).decode
_encode = msgspec.json.encode


class Parser:
    """Parses the frames of one connection. It keeps the route of each stream that it has met: the next frame costs one look-up."""

    __slots__ = ("_heads", "_routes", "_symbols")
    channels: ClassVar[Mapping[str, MakeRoute]] = {}
    """Channel → what makes the route of one of its streams."""
    known: ClassVar[re.Pattern[str]]
    """Channels, and streams without a symbol, that the documents name and that hold nothing for the tape."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._routes: dict[str, Route[Any]] = {}
        self._heads: dict[bytes, Route[Any]] = {}  # the text of a frame up to the end of its stream's name → the route

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`.

        A frame that is head + `","data":` + JSON + `}`, with the head of a stream that we know, is that JSON in its wrapper, whatever the
        JSON is. Any other frame, and one whose data are not as they should be, is read part by part.
        """
        head, _, rest = data.partition(_BETWEEN)
        route = self._heads.get(head)
        if route is not None and rest and rest[-1] == _CLOSING:
            decode, outputs, _ = route
            try:
                decoded = decode(rest[:-1])
            except FRAME_ERRORS:
                pass  # read part by part, it shows what is wrong
            else:
                return outputs(decoded, received_ts)
        frame = _envelope(data)
        route = self._routes.get(frame.stream)
        if route is not None:
            return route.read(frame.data, received_ts)
        if not frame.stream:
            return self.unwrapped(data, received_ts)
        if frame.stream == "!serverShutdown":
            return (SHUTDOWN,)
        symbol, _, channel = frame.stream.partition("@")
        if channel not in self.channels:
            if self.known.fullmatch(channel or symbol):
                return ()
            raise UnknownFrame(f"stream {frame.stream!r}")
        return self.route(frame.stream, symbol.upper(), channel).read(frame.data, received_ts)

    def route(self, stream: str, symbol: str, channel: str) -> Route[Any]:
        """Return the route of a stream that is met for the first time. Raises `UnknownSymbol`."""
        return self.keep(stream, self.channels[channel](lookup(self._symbols, symbol)))

    def keep(self, stream: str, route: Route[Any]) -> Route[Any]:
        """Read the stream by this route from now on."""
        self._routes[stream] = self._heads[b'{"stream":' + _encode(stream)[:-1]] = route
        return route

    def unwrapped(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """Parse a reply to a request. Any result but null answers our ping."""
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
    """Write one message for all symbols; unknown ones are acknowledged all the same."""
    params = [f"{symbol.lower()}@{request.channel}" for symbol in request.symbols]
    return _encode({"method": verb.upper(), "params": params, "id": request.request_id})


def ping(request_id: int) -> bytes:
    """Write a question with a short answer, which shows that the session lives while a thin market is silent (43 s were seen)."""
    return _encode({"method": "GET_PROPERTY", "params": ["combined"], "id": request_id})
