"""A WebSocket connection to OKX: requests, their answers, and the way of a frame to what reads its channel.

Wire    {"op": "subscribe", "id": "1", "args": [{"channel": …, "instId": …}, …]}; one answer for each argument; a refusal names none, but
        the id, and in its text often the channel. Data: {"arg": {"channel": …, "instId": …}, "action": …, "data": [row, …]}
Quirks  our ping is the text `ping`, and the answer `pong` is no JSON. A notice 60 s before the venue closes a connection asks for another
Speed   the venue writes the head of a frame always alike: of a topic that was met before it is cut off, and only the data are decoded
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame
from crosstape_connector.venues.messages import Ack, Heartbeat, Odd, Output, Rejected, Rotate
from crosstape_connector.venues.parsing.wire import request_number
from crosstape_connector.venues.spec import Request, Symbols, Verb, lookup
from crosstape_schemas import Instrument

T = TypeVar("T")
PING, PONG = b"ping", b"pong"
UPGRADE: Final = "64008"
BUSY: Final = frozenset({"60014", "50011"})
"""Too many requests: the same may be asked for again."""
INDEX: Final = "index-tickers"
LIQUIDATIONS: Final = "liquidation-orders"
TYPES: Final = ("SWAP", "FUTURES")
"""Whose liquidations are asked for."""
OTHERS: Final = re.compile(
    r"price-limit|estimated-price|opt-summary|adl-warning|(mark-price-|index-)?candle\w+|call-auction-details|economic-calendar"
    r"|(public|block|option|sprd|grid|copytrading|rfqs?|algo|orders|deposit|withdrawal|account|liquidation)\b[\w-]*"
    r"|positions|balance_and_position|fills|quotes|struc-block-trades"
)
"""Channels that the documents name and that hold nothing for the tape."""
_WRONG: Final = re.compile(r"channel:\s*([\w-]+)(?:,\s*instId:\s*([\w.-]+))?")
_BETWEEN: Final = b',"data":'
"""What the venue writes between the head of a frame and its data."""
_CLOSING: Final = ord("}")
_HEADS: Final = 20_000
"""Heads that a connection remembers at most."""
NO_DATA: Final = msgspec.Raw(b"")


class Arg(msgspec.Struct, frozen=True, gc=False):
    channel: str = ""
    symbol: str = msgspec.field(name="instId", default="")


class Frame(msgspec.Struct, frozen=True, gc=False):
    arg: Arg = Arg()
    action: str = ""
    data: msgspec.Raw = NO_DATA
    event: str = ""
    id: str = ""
    code: str = ""
    msg: str = ""


_frame = msgspec.json.Decoder(Frame).decode
_encode = msgspec.json.encode


def _refuse(error: Exception, text: bytes, received_ts: int) -> Sequence[Output]:
    raise error


class Route(NamedTuple, Generic[T]):
    """Turns the data of one topic's frames into outputs."""

    decode: Callable[[bytes | msgspec.Raw], T]
    """Decodes the data. It accepts nothing but complete JSON, and raises one of `FRAME_ERRORS`."""
    outputs: Callable[[T, bytes, int], Sequence[Output]]
    """(decoded data, their text, received_ts) → outputs."""
    refused: Callable[[Exception, bytes, int], Sequence[Output]] = _refuse
    """(error of `decode`, the text, received_ts) → outputs for data that are JSON, but not of this form; or raises the error."""

    def read(self, data: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        """Return the outputs of the data of one frame, which are JSON."""
        text = bytes(data)
        try:
            decoded = self.decode(text)
        except FRAME_ERRORS as exc:
            return self.refused(exc, text, received_ts)
        return self.outputs(decoded, text, received_ts)


MakeRoute = Callable[[Instrument], Route[Any]]


def _nothing(data: object, text: bytes, received_ts: int) -> Sequence[Output]:
    return ()


IGNORED: Final = Route(msgspec.json.Decoder(msgspec.Raw).decode, _nothing, _nothing)
"""The route of data that hold nothing for the tape."""


class Parser:
    """Frames of one connection. It learns the route of each topic with its first frame."""

    __slots__ = ("_heads", "_routes", "_symbols")
    channels: ClassVar[Mapping[str, MakeRoute]] = {}
    """Channel → what makes the route of one of its instruments."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._routes: dict[tuple[str, str, str], Route[Any]] = {}
        self._heads: dict[bytes, Route[Any]] = {}  # the text of a frame up to its data → the route

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`.

        A frame that is head + `,"data":` + JSON + `}`, with the head of a topic that we know, is that JSON as the topic's data, whatever
        the JSON is. Any other frame, and one whose data are not as they should be, is read part by part.
        """
        head, _, rest = data.partition(_BETWEEN)
        route = self._heads.get(head)
        if route is not None and rest and rest[-1] == _CLOSING:
            decode, outputs, _ = route
            text = rest[:-1]
            try:
                decoded = decode(text)
            except FRAME_ERRORS:
                pass  # read part by part, it shows what is wrong
            else:
                return outputs(decoded, text, received_ts)
        if data == PONG:
            return (Heartbeat(),)
        return self.parts(data, head, rest, received_ts)

    def parts(self, data: bytes, head: bytes, rest: bytes, received_ts: int) -> Sequence[Output]:
        """Return the outputs of a frame that is read part by part. `head`, `rest`: its text before and after `,"data":`."""
        frame = _frame(data)
        if frame.event:
            return _answer(frame)
        if not frame.arg.channel or frame.data == NO_DATA:
            raise UnknownFrame("neither data nor an answer")
        key = frame.arg.channel, frame.arg.symbol, frame.action
        route = self._routes.get(key) or self._keep(key)
        if len(self._heads) < _HEADS and rest == bytes(frame.data) + b"}":
            self._heads[head] = route
        return route.read(frame.data, received_ts)

    def _keep(self, key: tuple[str, str, str]) -> Route[Any]:
        route = self._routes[key] = self.route(*key)
        return route

    def route(self, channel: str, symbol: str, action: str) -> Route[Any]:
        """Return the route of a topic that is met for the first time. Raises `UnknownFrame` and `UnknownSymbol`."""
        make = self.channels.get(channel)
        if make is not None:
            return IGNORED if self.is_elsewhere(symbol) else make(lookup(self._symbols, symbol))
        if OTHERS.fullmatch(channel):
            return IGNORED
        raise UnknownFrame(f"channel {channel[:80]!r}")

    def is_elsewhere(self, symbol: str) -> bool:
        """Whether this symbol, which is not ours, is one of a market that is another venue here."""
        raise NotImplementedError


def _answer(frame: Frame) -> Sequence[Output]:
    match frame.event:
        case "subscribe" | "unsubscribe":
            symbols = (frame.arg.symbol,) if frame.arg.symbol else ()
            return (Ack(request_number(frame.id), frame.arg.channel, symbols, unsubscribed=frame.event == "unsubscribe"),)
        case "error":
            return (_refusal(frame),)
        case "notice":
            if frame.code == UPGRADE:
                return (Rotate("the venue upgrades its service"),)
            return (Odd("notice", f"{frame.code} {frame.msg}"[:200]),)
        case "login" | "channel-conn-count" | "channel-conn-count-error":
            return ()
        case _:
            raise UnknownFrame(f"event {frame.event[:80]!r}")


def _refusal(frame: Frame) -> Output:
    """A refusal of one topic names it in its text, or else the request, which then is asked for again in two halves."""
    reason = f"{frame.code} {frame.msg}".strip() or "refused without a reason"
    if frame.code in BUSY:
        return Odd("busy", reason[:200])
    named = _WRONG.search(frame.msg)
    if named is None:
        return Rejected(reason, request_number(frame.id))
    if named[1] == INDEX:
        return Odd("index", reason[:200])  # the mark price comes all the same
    return Rejected(reason, request_number(frame.id), named[1], (named[2],) if named[2] else ())


def index_of(symbol: str) -> str:
    """Return the index that a contract follows: `BTC-USD` of `BTC-USD_UM-SWAP`."""
    base, _, rest = symbol.partition("-")
    return f"{base}-{rest.partition('-')[0].partition('_')[0]}"


def _args(verb: Verb, request: Request) -> Iterator[dict[str, str]]:
    if request.channel == LIQUIDATIONS:
        yield from ({"channel": LIQUIDATIONS, "instType": kind} for kind in TYPES)
        return
    yield from ({"channel": request.channel, "instId": symbol} for symbol in request.symbols)
    if request.channel == "mark-price" and verb == "subscribe":
        # last, so that their refusal comes after the answers for marks; an index that others need stays subscribed
        yield from ({"channel": INDEX, "instId": index} for index in dict.fromkeys(map(index_of, request.symbols)))


def request(verb: Verb, request: Request) -> bytes:
    """Write one message for all symbols. With mark prices, those of the indices are asked for."""
    return _encode({"id": str(request.request_id), "op": verb, "args": list(_args(verb, request))})


def ping(request_id: int) -> bytes:
    """Write the ping, which is text and has no id."""
    return PING
