"""KuCoin's older WebSocket protocol: its replies, and the way of a frame to what reads its topic.

Quirks  frames name a topic `/market/match:BTC-USDT`; some carry the symbol nowhere else. Ids are text, and are answered as text if they
        were sent as numbers. A token that is too old is refused on the open connection, by an error with an id of the venue's own
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FrameError, UnknownFrame
from crosstape_connector.venues.messages import Ack, Heartbeat, Output, Rejected, Rotate, Welcome
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Instrument

Route = Callable[[msgspec.Raw, int], Sequence[Output]]
"""(data of a frame, received_ts) → its outputs."""
MakeRoute = Callable[[Instrument], Route]
LEAVING: Final = {"401": "the token is too old", "400": "a ping was missed"}
"""Errors after which the venue closes the connection, if their text is one of `GOODBYES`."""
GOODBYES: Final = ("token", "ping timeout")
_LONGEST_ID: Final = 15


class Frame(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    topic: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    id: str | int | None = None
    code: str | int | None = None


_frame = msgspec.json.Decoder(Frame).decode
_text = msgspec.json.Decoder(str).decode


class Parser:
    """Frames of one connection. It learns each topic's route with its first frame."""

    __slots__ = ("_routes", "_symbols")
    topics: ClassVar[Mapping[str, MakeRoute]] = {}
    """Topic → what makes the route of one of its symbols."""
    others: ClassVar[frozenset[str]] = frozenset()
    """Topics that the documents name and that hold nothing for the tape."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._routes: dict[str, Route] = {}

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        frame = _frame(data)
        route = self._routes.get(frame.topic)
        if route is None:
            if not frame.topic:
                return _reply(frame)
            route = self.route(frame.topic)
        return route(frame.data, received_ts)

    def route(self, topic: str) -> Route:
        """Return the route of a topic that is met for the first time. Raises `UnknownFrame` and `UnknownSymbol`."""
        path, _, symbol = topic.partition(":")
        make = self.topics.get(path)
        if make is not None:
            route = self._routes[topic] = make(lookup(self._symbols, symbol))
            return route
        if path in self.others:
            return ignored
        raise UnknownFrame(f"topic {topic[:80]!r}")


def ignored(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
    """The route of a topic that holds nothing for the tape."""
    return ()


def _reply(frame: Frame) -> Sequence[Output]:
    match frame.type:
        case "pong":
            return (Heartbeat(),)
        case "ack":
            return (Ack(number_of(frame.id)),)
        case "welcome":
            return (Welcome(),)
        case "error":
            return (_refusal(frame),)
        case "message":
            raise FrameError("data without a topic")
        case _:
            raise UnknownFrame(f"type {frame.type[:80]!r}")


def _refusal(frame: Frame) -> Rejected | Rotate:
    """A refusal of a request concerns all its symbols. `per session`: the connection is full, and another has room."""
    code, text = str(frame.code or ""), _text(frame.data) if bytes(frame.data)[:1] == b'"' else bytes(frame.data).decode()
    if code in LEAVING and any(word in text for word in GOODBYES):
        return Rotate(LEAVING[code])
    reason = f"{code} {text}".strip() or "refused without a reason"
    return Rejected(reason, number_of(frame.id), full=code == "509" and "per session" in text)


def number_of(request_id: str | int | None) -> int | None:
    """Return the number of our request from the id of a reply; None for an id that is not ours."""
    text = str(request_id)
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= _LONGEST_ID else None
