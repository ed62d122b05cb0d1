"""What the sockets of HTX share: the frame around data, keepalive, requests and their answers.

Quirks  frames begin with their topic (`{"ch":"market.btcusdt.bbo",…`) in nearly all cases: the topic says how to read the rest, so that a
        frame is decoded once. Markets and notifications (`op`) have a dialect each, for pings too. A ping is answered with its number; who
        does not answer is closed after 20 s. One topic a request; an answer repeats the id of its request as it was sent, number or text
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from crosstape_connector.errors import UnknownFrame
from crosstape_connector.venues.messages import Ack, Heartbeat, Odd, Output, Rejected, Reply, Rotate
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial
from crosstape_connector.venues.spec import Request, Symbols, Verb, lookup
from crosstape_schemas import Instrument

HEAD: Final = b'{"ch":"'
VERBS: Final[dict[Verb, str]] = {"subscribe": "sub", "unsubscribe": "unsub"}
NO_DATA: Final = msgspec.Raw(b"null")
ROW: Final = 2
"""Brackets around a row of a notification."""


class Envelope(msgspec.Struct, frozen=True):
    """Any frame, as far as it is not data of a market."""

    ch: str = ""
    ping: Serial | None = None
    op: str = ""
    topic: str = ""
    event: str = ""
    ts: Serial | str | None = None
    id: str | int | None = None
    cid: str | int | None = None
    status: str = ""
    subbed: str = ""
    unsubbed: str = ""
    rep: str = ""
    data: msgspec.Raw = NO_DATA
    code: str | int | None = msgspec.field(name="err-code", default=None)
    message: str = msgspec.field(name="err-msg", default="")


_envelope = rows_decoder(Envelope, ROW)
encode: Final = msgspec.json.encode
_topic = msgspec.json.Decoder(str).decode

Route = Callable[[bytes, int], Sequence[Output]]
"""(frame, received_ts) → the outputs of a frame of one topic. Raises one of `FRAME_ERRORS`."""
MakeRoute = Callable[[Any, Instrument, str], Route]
"""(parser, instrument, topic) → the route of the topic."""


def silent(data: bytes, received_ts: int) -> Sequence[Output]:
    """Return nothing: the topic is known, and holds nothing for the tape."""
    return ()


class Parser:
    """Frames of one connection. It learns the route of each topic with its first frame; a route has the memory of one subscription."""

    __slots__ = ("_routes", "_symbols", "books")
    channels: ClassVar[Mapping[str, MakeRoute]]
    """Channel → what makes the route of one of its topics."""
    others: ClassVar[re.Pattern[str]]
    """Channels that the documents name and that hold nothing for the tape."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._routes: dict[bytes, Route] = {}
        self.books: dict[str, str] = {}
        """Instrument → the topic that its book is taken from: a recording may have several."""

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        if data.startswith(HEAD):
            end = data.find(b'"', 7)
            if end > 0:
                topic = data[7:end]
                return (self._routes.get(topic) or self._route(topic))(data, received_ts)
        frame = _envelope(data)
        if frame.ch:
            topic = frame.ch.encode()
            return (self._routes.get(topic) or self._route(topic))(data, received_ts)
        if frame.ping is not None:
            return (Reply(b'{"pong":%d}' % frame.ping),)
        return self._notified(frame, received_ts) if frame.op else self._answered(frame, received_ts)

    def _route(self, topic: bytes) -> Route:
        text = _topic(b'"%s"' % topic)
        _, _, rest = text.partition(".")
        symbol, _, channel = rest.partition(".")
        make = self.channels.get(channel)
        if make is None:
            if self.others.fullmatch(channel) is None:
                raise UnknownFrame(f"topic {text!r}")
            return silent
        route = self._routes[topic] = make(self, lookup(self._symbols, symbol), text)
        return route

    def _answered(self, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """The answer to a request: of a subscription, or for a book."""
        if frame.rep:
            return self.replied(frame, received_ts)
        if frame.status == "error":
            return self.refused(frame, received_ts)
        number = number_of(frame.id)
        if frame.unsubbed:
            self._routes.pop(frame.unsubbed.encode(), None)
            return *self.unsubscribed(frame.unsubbed), *acknowledged(number, unsubscribed=True)
        if frame.subbed:
            return *self.subscribed(frame.subbed, received_ts), *acknowledged(number)
        raise UnknownFrame("neither data nor an answer")

    def replied(self, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """Return the outputs of what was asked for with `req`: past trades and candles hold nothing for the tape."""
        return ()

    def refused(self, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """Return the outputs of a refusal. One with an id that is no number of ours answers a request of the parser."""
        number = number_of(frame.id)
        if number is None and frame.id:
            return (Odd("refused", f"{frame.id}: {reason(frame)}"),)
        return (Rejected(reason(frame), number),)

    def subscribed(self, topic: str, received_ts: int) -> Sequence[Output]:
        """Note that a topic is subscribed. Returns what that leads to."""
        return ()

    def unsubscribed(self, topic: str) -> Sequence[Output]:
        """Note that a topic is not subscribed any more. Returns what that leads to."""
        return ()

    def _notified(self, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """A frame of the dialect of notifications."""
        match frame.op:
            case "ping":
                return (Reply(encode({"op": "pong", "ts": frame.ts})),)
            case "notify":
                return self.notified(frame, received_ts)
            case "sub" | "unsub":
                number = number_of(frame.cid)
                if frame.code not in (0, "0", None):
                    return (
                        (Rejected(reason(frame), number),) if number is not None else (Odd("refused", f"{frame.topic}: {reason(frame)}"),)
                    )
                return acknowledged(number, unsubscribed=frame.op == "unsub")
            case "close":
                return (Rotate("the venue closes the connection"),)
            case "error":
                return (Rejected(reason(frame), number_of(frame.cid)),)
            case _:
                raise UnknownFrame(f"op {frame.op!r}")

    def notified(self, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """Return the outputs of data in a notification."""
        raise UnknownFrame(f"topic {frame.topic!r}")


def acknowledged(number: int | None, *, unsubscribed: bool = False) -> Sequence[Output]:
    """Return the acknowledgement of our request with this number; of a request of the parser's own none is wanted."""
    return (Heartbeat(),) if number is None else (Ack(number, unsubscribed=unsubscribed),)


def number_of(text: str | int | None) -> int | None:
    """Return the number of our request; None for an id that is not ours."""
    found = str(text)
    return int(found) if found.isdecimal() and found.isascii() and len(found) <= 18 else None


def reason(frame: Envelope) -> str:
    """Return why a request was refused."""
    return f"{'' if frame.code is None else frame.code} {frame.message}".strip() or "refused without a reason"


def market_request(topic: Callable[[str, Request], str], more: Callable[[Request], Mapping[str, str]]) -> Callable[[Verb, Request], bytes]:
    """Return what writes requests to a socket of markets. `topic`: (symbol, request) → the topic; `more`: further fields."""

    def request(verb: Verb, request: Request) -> bytes:
        (symbol,) = request.symbols
        return encode({VERBS[verb]: topic(symbol, request), "id": str(request.request_id), **more(request)})

    return request


def notification_request(verb: Verb, request: Request) -> bytes:
    """Return the request for one topic of notifications."""
    (symbol,) = request.symbols
    return encode({"op": VERBS[verb], "cid": str(request.request_id), "topic": f"public.{symbol}.{request.channel}"})
