"""Gate's connections, of spot and of futures: frames with data, answers to requests, and the requests.

Wire    {"time", "time_ms", "channel", "event", "result"}, in any order; `event` is `update`, `all`, or the verb of an answered request
Quirks  `result` is one row or a list of rows, whatever the channel; old ticker frames have a list in a list. `time` is in s and old frames
        have no `time_ms`. An answer repeats the request's `id`, and new ones its `payload`; old ones name nothing but their channel.
        A request for a book that the connection has already is refused with "Alert sub", and the book goes on
Speed   a frame whose rows are as documented is decoded in one step; any other is read row by row, so that one bad row harms no other
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.gateio.values import MS, SECOND
from crosstape_connector.venues.messages import Ack, Heartbeat, Odd, Output, Rejected, Rotate, Unreadable, unread
from crosstape_connector.venues.parsing.numbers import BACKSLASH
from crosstape_connector.venues.parsing.rows import cause, rows_decoder
from crosstape_connector.venues.parsing.unreadable import named_in
from crosstape_connector.venues.parsing.wire import Stamp
from crosstape_connector.venues.spec import Request, Symbols, Verb

NOTHING: Final = msgspec.Raw(b"null")
CANDLES: Final = ".candlesticks_"
"""Stands in our names of candle channels, before the timeframe."""
DATA: Final = frozenset({"update", "all"})
VERBS: Final = frozenset({"subscribe", "unsubscribe"})
ALREADY: Final = "Alert sub"
FORCED: Final = "liquidation"
NO_NUMBER: Final = "no number in a level"
REASON: Final = 200
"""Characters of a reason that are shown."""
READ_ERRORS: Final = (*FRAME_ERRORS, ArithmeticError)


class Head(msgspec.Struct, frozen=True, gc=False, tag_field="channel"):
    """What all frames with data have, but for their time, which few rows need."""

    event: str


class RawError(msgspec.Struct, frozen=True):
    code: int | str | None = None
    message: str = ""


class Envelope(msgspec.Struct, frozen=True):
    channel: str = ""
    event: str = ""
    id: int | str | None = None
    time: Stamp = 0
    time_ms: Stamp = 0
    error: RawError | None = None
    payload: list[Any] | None = None
    result: msgspec.Raw = NOTHING


class Timed(Head, frozen=True, gc=False):
    time: Stamp = 0
    time_ms: Stamp = 0


def sent_ts(frame: Timed | Envelope) -> int | None:
    """Return when the venue sent a frame, ns; None: it does not say."""
    return frame.time_ms * MS or frame.time * SECOND or None


Read = Callable[[Any, Any, int], Sequence[Output]]
"""(row, its frame, received_ts) → outputs. Raises one of `READ_ERRORS`."""


class Channel(NamedTuple):
    """How the rows of one channel are read."""

    decode: Callable[[msgspec.Raw], Any]
    read: Read
    kinds: Callable[[bytes], Iterable[str]]
    """Text of a row that cannot be read → the kinds of the feeds that are out of date with it."""


def always(*kinds: str) -> Callable[[bytes], Iterable[str]]:
    """Return `Channel.kinds` of a channel whose rows are all of the same kinds."""
    return lambda row: kinds


_envelope = rows_decoder(Envelope, 2)
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.encode


class Parser:
    """Frames of one connection."""

    __slots__ = ("_channels", "_decode", "_readers", "symbols")
    ignored: ClassVar[frozenset[str]] = frozenset()
    """Channels that the documents name and that hold nothing for the tape."""

    def __init__(
        self, symbols: Symbols, decode: Callable[[bytes], Any], channels: Mapping[str, Channel], readers: Mapping[Any, Read]
    ) -> None:
        """`decode`: of a frame of a busy channel; `readers`: type of such a frame → what reads its rows."""
        self.symbols = symbols
        self._decode = decode
        self._channels = channels
        self._readers = readers

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        if data.isascii() and BACKSLASH not in data:  # `is_plain`, without its call
            try:
                frame = self._decode(data)
                if frame.event == "update":
                    rows, read = frame.result, self._readers[type(frame)]
                    if type(rows) is not list:
                        return read(rows, frame, received_ts)
                    return [output for row in rows for output in read(row, frame, received_ts)]
            except READ_ERRORS:
                pass  # read row by row, it shows what is wrong
        return self._row_by_row(_envelope(data), received_ts)

    def _row_by_row(self, frame: Envelope, received_ts: int) -> Sequence[Output]:
        name = frame.channel
        if frame.event in VERBS or frame.error is not None:
            return (_reply(frame),)
        if name.endswith(".pong"):
            return (Heartbeat(),)
        if name.endswith(".system"):
            return (Rotate("the venue announced an upgrade"),)
        channel = self._channels.get(name)
        if frame.event not in DATA or (channel is None and name not in self.ignored):
            raise UnknownFrame(f"channel {name[:80]!r}, event {frame.event[:40]!r}")
        if channel is None:
            return ()
        outputs: list[Output] = []
        unknown: UnknownSymbol | None = None
        for raw in _rows_of(frame.result):
            try:
                outputs += channel.read(channel.decode(raw), frame, received_ts)
            except UnknownSymbol as exc:
                unknown = exc
            except READ_ERRORS as exc:
                outputs += self._refused(channel, raw, cause(raw, exc), received_ts)
        if unknown is not None:
            if not outputs:
                raise unknown
            outputs.append(Odd(unknown.kind, str(unknown)))
        return outputs

    def _refused(self, channel: Channel, raw: msgspec.Raw, error: Exception, received_ts: int) -> Iterable[Output]:
        """Return the outputs for a row that cannot be read: its feeds are out of date, its book lacks a change. A forced order is lost."""
        names, kinds = named_in(bytes(raw), self.symbols), tuple(channel.kinds(bytes(raw)))
        if kinds:
            why = NO_NUMBER if isinstance(error, ArithmeticError) else str(error)[:REASON]
            yield Odd(kinds[0].partition(":")[0], f"{kinds[0]} of {', '.join(names[:3])}: {why}")
        for name in names:
            for kind in kinds:
                if kind != FORCED:
                    yield unread(name, received_ts) if kind == "book" else Unreadable(kind, name, received_ts)


def _rows_of(result: msgspec.Raw) -> Sequence[msgspec.Raw]:
    """Return the rows: one, those of a list, or those of the lists in a list. Raises `FrameError` if there is nothing."""
    first = bytes(result)[:1]
    if first == b"[":
        return [row for part in _rows(result) for row in (_rows_of(part) if bytes(part)[:1] == b"[" else (part,))]
    if first != b"{":
        raise FrameError(f"no rows: {bytes(result)[:40]!r}")
    return (result,)


def _reply(frame: Envelope) -> Ack | Rejected:
    """The answer to a request. A refusal is about all its symbols: which of them are wrong, smaller requests show."""
    request_id = frame.id if isinstance(frame.id, int) else None
    channel, symbols = _named(frame.channel, frame.payload or ())
    if frame.error is None:
        return Ack(request_id, channel, symbols, unsubscribed=frame.event == "unsubscribe")
    message, code = frame.error.message or "refused without a reason", frame.error.code
    if message.startswith(ALREADY):
        return Ack(request_id, *_named(frame.channel, message.split()[-1:]))
    reason = message if code is None else f"{code} {message}"
    return Rejected(reason, request_id, channel or None, symbols if len(symbols) == 1 else ())


def _named(channel: str, payload: Iterable[Any]) -> tuple[str, tuple[str, ...]]:
    """Return the channel, as our requests call it, and the symbols that an answer names."""
    words = tuple(word for word in payload if isinstance(word, str))
    market, _, name = channel.partition(".")
    match name:
        case "candlesticks":
            return (f"{market}{CANDLES}{words[0]}" if words else channel), words[1:2]
        case "obu":
            return channel, tuple(parts[1] for word in words if len(parts := word.split(".")) == 3)
        case "order_book" | "order_book_update" | "contract_stats":
            return channel, words[:1]
    return channel, words


def request(verb: Verb, request: Request) -> bytes:
    """Write one request; `time` is set when it is sent."""
    channel, _, timeframe = request.channel.partition("_") if CANDLES in request.channel else (request.channel, "", "")
    if timeframe:
        payload = [timeframe, *request.symbols]
    elif channel.endswith(".obu"):
        payload = [f"ob.{symbol}.{request.depth}" for symbol in request.symbols]
    else:
        payload = [*request.symbols]
    return _encode({"time": 0, "id": request.request_id, "channel": channel, "event": verb, "payload": payload})


def ping(market: str) -> Callable[[int], bytes]:
    """Return what writes a ping of `spot` or `futures`; the answer has no id."""
    return lambda number: _encode({"time": 0, "channel": f"{market}.ping"})
