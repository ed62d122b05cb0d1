"""A WebSocket connection to any of Binance's markets: wrapped frames, requests and their replies.

Wire    {"stream": name, "data": frame}; {"method": "SUBSCRIBE", "params": [stream, …], "id": n} and {"result": null, "id": n}
Quirks  what a frame is stands in the stream's name, not always in the frame; a request for an unknown stream is acknowledged like any other
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import UnknownFrame
from crosstape_connector.venues.messages import Ack, Heartbeat, Output, Rejected, Rotate
from crosstape_connector.venues.spec import Request, Symbols, Verb, lookup
from crosstape_schemas import Instrument

Route = Callable[[msgspec.Raw, int], Sequence[Output]]
"""(data of a frame, received_ts) → its outputs."""
MakeRoute = Callable[[Instrument], Route]
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

    __slots__ = ("_routes", "_symbols")
    channels: ClassVar[Mapping[str, MakeRoute]] = {}
    """Channel → what makes the route of one of its streams."""
    known: ClassVar[re.Pattern[str]]
    """Channels, and streams without a symbol, that the documents name and that hold nothing for the tape."""

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
            if self.known.fullmatch(channel or symbol):
                return ()
            raise UnknownFrame(f"stream {frame.stream!r}")
        return self.route(frame.stream, symbol.upper(), channel)(frame.data, received_ts)

    def route(self, stream: str, symbol: str, channel: str) -> Route:
        """Return the route of a stream that is met for the first time. Raises `UnknownSymbol`."""
        route = self._routes[stream] = self.channels[channel](lookup(self._symbols, symbol))
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
