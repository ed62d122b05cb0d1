"""Bitfinex's WebSocket v2: what the frames of a connection become.

Numbers  with the flag SEQ_ALL every array has the connection's next number, from 1, heartbeats and checksums too; a jump is a lost frame.
         With TIMESTAMP the server's time in ms stands after it. Neither is needed: the shape of a frame shows which of the two it has
Channels data carry only a number that the acknowledgement gave, for this connection and subscription alone. Data that come after an
         unsubscribe are left out
Quirks   `subId` of a request comes back in its answer, so that answers find their requests; a subscription that exists already is refused
         with its number, which is as good as an acknowledgement; maintenance ends with the advice to subscribe everything again
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.bitfinex.channels import (
    BookChannel,
    CandleChannel,
    Channel,
    DerivativeChannel,
    LiquidationChannel,
    OtherChannel,
    TickerChannel,
    TradeChannel,
)
from crosstape_connector.venues.bitfinex.frames import (
    ROW_DEPTH,
    DataFrame,
    EventFrame,
    decode_change,
    decode_data,
    decode_event,
    decode_number,
)
from crosstape_connector.venues.bitfinex.requests import CANDLES, DERIVATIVES, LIQUIDATIONS
from crosstape_connector.venues.bitfinex.values import ID, MS, Moment
from crosstape_connector.venues.messages import Ack, BookUpdate, Heartbeat, Odd, Output, Rejected, Rotate
from crosstape_connector.venues.parsing.rows import mended
from crosstape_connector.venues.parsing.sequence_break import Breaks
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import VENUE_WIDE, FeedState, Status

VERSION: Final = 2
STOPPING, PAUSED, RESUMED = 20051, 20060, 20061
"""Codes of `info`: the server stops, maintenance begins, maintenance is over."""
DUPLICATE, FULL = 10301, 10305
"""Codes of errors: subscribed already; no room on this connection."""
NOT_SUBSCRIBED: Final = frozenset({10400, 10401})
"""Codes of errors that answer an unsubscribe."""
FUNDING: Final = "f"
"""How the symbols of the lending market begin, which is not ours."""
_HEARTBEAT, _CHECKSUM = b'"hb"', b'"cs"'
_MEMORY: Final = 1_000
"""How many numbers of channels that are no more, or not known, are remembered."""
_MILLISECONDS: Final = 10**12
"""A number from here on is a time in ms (2001), not a number of a frame."""
_TYPES: Final[dict[str, Callable[[str], Channel]]] = {"trades": TradeChannel, "ticker": TickerChannel}


class Parser:
    """Frames of one connection. It knows the channels by their numbers, and counts the frames."""

    __slots__ = ("_books", "_breaks", "_channels", "_expected", "_gone", "_refused", "_strangers", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._channels: dict[int, Channel] = {}
        self._books: dict[bytes, BookChannel] = {}  # by what their frames begin with
        self._gone: dict[int, None] = {}  # numbers of channels that were unsubscribed
        self._strangers: dict[int, None] = {}  # numbers of channels that brought data before any acknowledgement
        self._expected = 1
        self._breaks = Breaks()
        self._refused = ""

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`. A jump of the numbers is reported before the frame that showed it, or the next one that is good."""
        if data[:1] != b"[":
            return self._event(decode_event(data), received_ts)
        if self._refused:
            raise UnknownFrame(self._refused)
        head, _, tail = data.partition(b",")
        book = self._books.get(head)
        if book is not None and tail[:1] == b"[" and tail[1:2] != b"[" and (change := self._change(book, data, received_ts)) is not None:
            return self._breaks.with_break([change])
        return self._data(data, received_ts)

    def _change(self, book: BookChannel, data: bytes, received_ts: int) -> BookUpdate | None:
        """Decode a frame with one changed level, which most are, in one step; None if anything of it is unusual."""
        try:
            frame = decode_change(data)
        except (*FRAME_ERRORS, ArithmeticError):
            return None
        number, mts = frame.number, frame.mts
        if number is not None and number != self._expected:
            return None
        change = book.change(frame.level, None if mts is None else mts * MS, received_ts, self._symbols)
        if change is not None and number is not None:
            self._expected = number + 1
        return change

    def _data(self, data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            frame = decode_data(data)
        except msgspec.ValidationError:
            raise
        except JSON_ERRORS:
            frame = decode_data(data := mended(data, ROW_DEPTH))
        what, first, second = bytes(frame.what), bytes(frame.first), bytes(frame.second)
        is_plain = what[:1] == b"["
        if is_plain or what == _HEARTBEAT:
            moment = self._note(first, second, received_ts)
        else:
            moment = self._note(second, bytes(frame.third), received_ts)
        if what == _HEARTBEAT:
            return self._breaks.with_break([Heartbeat()])
        channel = self._channels.get(frame.chan)
        if channel is None:
            return self._without_channel(frame)
        if is_plain:
            outputs = channel.data(what, moment, self._symbols)
        elif what == _CHECKSUM:
            outputs = channel.checksum(first, moment, self._symbols)
        else:
            outputs = channel.named(what, first, moment, self._symbols)
        return self._breaks.with_break(list(channel.late(outputs) if moment.is_late else outputs))

    def _note(self, number: bytes, time: bytes, received_ts: int) -> Moment:
        """Read what stands after a frame's data: the connection's number, the server's time in ms, both, or neither."""
        sequence = decode_number(number) if number else None
        mts = decode_number(time) if time else None
        if sequence is not None and mts is None and sequence >= _MILLISECONDS:
            sequence, mts = None, sequence
        is_late = False
        if sequence is not None:
            expected, self._expected = self._expected, sequence + 1
            if sequence != expected:
                is_late = sequence < expected
                self._jumped(received_ts, None if is_late else sequence - expected)
        return Moment(received_ts, None if mts is None else mts * MS, is_late)

    def _jumped(self, received_ts: int, missed: int | None) -> None:
        """Any channel may have lost a frame. A book that has not begun may have lost its snapshot: what looks like one is then a change."""
        for channel in self._channels.values():
            channel.may_have_missed()
        self._breaks.found(received_ts, missed)

    def _without_channel(self, frame: DataFrame) -> Sequence[Output]:
        if frame.chan in self._gone:
            return ()
        _remember(self._strangers, frame.chan)
        raise UnknownSymbol(f"channel {frame.chan}")

    def _event(self, frame: EventFrame, received_ts: int) -> Sequence[Output]:
        """An object: an answer, or a message about the connection."""
        match frame.event:
            case "subscribed":
                return (self._subscribed(frame),)
            case "unsubscribed":
                return (self._unsubscribed(frame),)
            case "error":
                return (self._error(frame),)
            case "info":
                return self._info(frame, received_ts)
            case "pong":
                return (Heartbeat(),)
            case "conf":
                return self._configured(frame)
            case _:
                raise UnknownFrame(f"event {frame.event[:40]!r}")

    @staticmethod
    def _configured(frame: EventFrame) -> Sequence[Output]:
        """The answer to our flags. Without them, nothing shows that a frame is missing."""
        if frame.status != "OK":
            return (Odd("conf", f"the flags were refused: {frame.status[:40]} {frame.msg[:40]}"),)
        return (Heartbeat(),)

    def _info(self, frame: EventFrame, received_ts: int) -> Sequence[Output]:
        if frame.version is not None and frame.version != VERSION:
            self._refused = f"version {frame.version} of the venue's protocol, not {VERSION}"
            raise UnknownFrame(self._refused)
        match frame.code:
            case None if frame.platform is not None:
                return (_status(received_ts, is_open=frame.platform.status == 1),)
            case None:
                return (Heartbeat(),)
            case code if code == STOPPING:
                return (Rotate("the venue's server stops"),)
            case code if code == PAUSED:
                return (_status(received_ts, is_open=False),)
            case code if code == RESUMED:
                return _status(received_ts, is_open=True), Rotate("maintenance is over: everything must be subscribed again")
            case _:
                return (Odd("info", f"{frame.code} {frame.msg[:100]}"),)

    def _subscribed(self, frame: EventFrame) -> Ack:
        channel, symbol = _named(frame)
        if frame.chan_id is not None:
            self._add(frame.chan_id, frame, channel, symbol)
        return Ack(frame.request_id, channel, _symbols(symbol), handle=frame.handle)

    def _add(self, number: int, frame: EventFrame, channel: str, symbol: str) -> None:
        """Know a channel by its number from now on. If data came before its acknowledgement, they may have been the snapshot."""
        if number in self._channels:
            return
        for other in [one for one, held in self._channels.items() if held.name == channel and held.symbol == symbol]:
            del self._channels[other]
            self._books.pop(_head(other), None)
            _remember(self._gone, other)
        self._gone.pop(number, None)
        found = self._channels[number] = _made(frame, channel, symbol)
        if isinstance(found, BookChannel):
            self._books[_head(number)] = found
        if number in self._strangers:
            del self._strangers[number]
            found.may_have_missed()
        if isinstance(found, BookChannel | TradeChannel) and symbol in self._symbols:
            self._breaks.book(self._symbols[symbol].name)

    def _unsubscribed(self, frame: EventFrame) -> Ack:
        channel = self._channels.pop(frame.chan_id, None) if frame.chan_id is not None else None
        if frame.chan_id is not None:
            _remember(self._gone, frame.chan_id)
            self._books.pop(_head(frame.chan_id), None)
        if channel is None:
            return Ack(unsubscribed=True, handle=frame.handle)
        return Ack(None, channel.name, _symbols(channel.symbol), unsubscribed=True, handle=frame.handle)

    def _error(self, frame: EventFrame) -> Ack | Rejected:
        if frame.code in NOT_SUBSCRIBED:
            return self._unsubscribed(frame)
        reason = f"{frame.code or ''} {frame.msg}".strip()[:200] or "refused without a reason"
        if not frame.channel:
            return Rejected(reason, frame.request_id)
        try:
            channel, symbol = _named(frame)
        except FrameError:
            return Rejected(reason, frame.request_id)
        if frame.code != DUPLICATE:
            return Rejected(reason, frame.request_id, channel, _symbols(symbol), full=frame.code == FULL)
        if frame.chan_id is not None:
            self._add(frame.chan_id, frame, channel, symbol)
        return Ack(frame.request_id, channel, _symbols(symbol), handle=frame.handle)


def _head(channel: int) -> bytes:
    """Return what the frames of a channel begin with."""
    return b"[%d" % channel


def _remember(numbers: dict[int, None], number: int) -> None:
    numbers[number] = None
    if len(numbers) > _MEMORY:
        del numbers[next(iter(numbers))]


def _status(received_ts: int, *, is_open: bool) -> Status:
    state, reason = (FeedState.LIVE, "") if is_open else (FeedState.DOWN, "maintenance")
    return Status(ID, VENUE_WIDE, None, received_ts, VENUE_WIDE, state, reason)


def _named(frame: EventFrame) -> tuple[str, str]:
    """Return our channel and their symbol. Raises `FrameError` for a key of another form."""
    key = frame.key
    match frame.channel:
        case "candles":
            kind, timeframe, symbol = (*key.split(":", 2), "", "")[:3]
            return f"{kind}:{timeframe}", symbol
        case "status" if key == LIQUIDATIONS:
            return key, ""
        case "status":
            kind, colon, symbol = key.partition(":")
            if not colon:
                raise FrameError(f"a status with the key {key[:40]!r}")
            return kind, symbol
        case _:
            return frame.channel, frame.symbol


def _made(frame: EventFrame, channel: str, symbol: str) -> Channel:
    """Return the reader of a channel's data. The lending market, single orders, and aggregated books are known and not used."""
    if channel == LIQUIDATIONS:
        return LiquidationChannel(channel)
    if symbol.startswith(FUNDING):
        return OtherChannel(channel, symbol)
    if channel == "book" and frame.prec in ("", "P0"):
        return BookChannel(symbol)
    if channel.startswith(CANDLES):
        return CandleChannel(channel, symbol)
    if channel == DERIVATIVES:
        return DerivativeChannel(channel, symbol)
    made = _TYPES.get(channel)
    return made(symbol) if made is not None else OtherChannel(channel, symbol)


def _symbols(symbol: str) -> tuple[str, ...]:
    return (symbol,) if symbol else ()
