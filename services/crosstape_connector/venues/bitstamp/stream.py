"""Bitstamp's WebSocket: the frames of a connection, and its requests.

Quirks  the order of keys differs between servers; `type` 0 is a taker who bought, 1 one who sold; the texts of price and size have every
        digit (`1E-8`, too), the numbers beside them do not; times are µs in a text; an answer names its channel, an error does not
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame
from crosstape_connector.venues.messages import Ack, Heartbeat, Odd, Output, Rejected, Rotate, unread
from crosstape_connector.venues.parsing.complete_books import CompleteBooks
from crosstape_connector.venues.parsing.numbers import LIMIT, number
from crosstape_connector.venues.parsing.wire import ZERO, Serial, trade_numbers
from crosstape_connector.venues.spec import Request, Symbols, Verb, lookup
from crosstape_schemas import Level, Side, Trade

ID: Final = "bitstamp"
SIDES: Final = {0: Side.BUY, 1: Side.SELL}
TRADES, BOOK = "live_trades", "order_book"
OTHERS: Final = frozenset({"diff_order_book", "detail_order_book", "live_orders", "funding_rate"})
"""Channels that the documents name and that hold nothing for the tape."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    event: str
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    id: Serial
    price_str: str
    amount_str: str
    type: int
    microtimestamp: str


class RawBook(msgspec.Struct, frozen=True, gc=False):
    microtimestamp: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class RawError(msgspec.Struct, frozen=True):
    message: str = ""
    code: int | str | None = None


_frame = msgspec.json.Decoder(Frame).decode
_trade = msgspec.json.Decoder(RawTrade).decode
_book = msgspec.json.Decoder(RawBook).decode
_error = msgspec.json.Decoder(RawError).decode
_encode = msgspec.json.encode


class Parser:
    """Frames of one connection. It remembers the book of each instrument."""

    __slots__ = ("_books", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._books = CompleteBooks()

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        frame = _frame(data)
        channel, _, market = frame.channel.rpartition("_")
        match frame.event:
            case "trade" if channel == TRADES:
                return (_trade_of(frame.data, lookup(self._symbols, market).name, received_ts),)
            case "data" if channel == BOOK:
                return self._book(frame.data, lookup(self._symbols, market).name, received_ts)
            case "bts:subscription_succeeded":
                if channel == BOOK and market in self._symbols:
                    self._books.forget(self._symbols[market].name)
                return (Ack(channel=channel, symbols=(market,)),)
            case "bts:unsubscription_succeeded":
                return (Ack(channel=channel, symbols=(market,), unsubscribed=True),)
            case "bts:heartbeat":
                return (Heartbeat(),)
            case "bts:request_reconnect":
                return (Rotate("the venue asks its clients to reconnect"),)
            case "bts:error":
                return (_refusal(frame, channel, market),)
            case _ if channel in OTHERS:
                return ()
            case _:
                raise UnknownFrame(f"event {frame.event!r} of {frame.channel!r}")

    def _book(self, raw: msgspec.Raw, instrument: str, received_ts: int) -> Sequence[Output]:
        """The complete book. One that cannot be read leaves the book before out of date: it is subscribed again."""
        try:
            book = _book(raw)
            bids, asks, venue_ts = _levels(book.bids), _levels(book.asks), micros_ns(book.microtimestamp)
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            self._books.forget(instrument)
            return Odd("book", f"{instrument}: {exc}"), unread(instrument, received_ts)
        found = self._books.changed(instrument, bids, asks, venue_ts=venue_ts, received_ts=received_ts)
        return (Odd("late", f"{instrument}: a book that is not newer than the one before"),) if found is None else (found,)


def micros_ns(text: str) -> int:
    """Convert a text of µs since the epoch to ns. Raises `FrameError`."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 16):
        raise FrameError(f"not a time in µs: {text[:40]!r}")
    return int(text) * 1_000


def _levels(rows: list[tuple[str, str]]) -> list[Level]:
    """Return the levels of a side without those of price zero, which were seen. Raises `FrameError` for any other impossible level."""
    levels = [(number(price), number(size)) for price, size in rows]
    if not all(ZERO <= price < LIMIT and ZERO <= size < LIMIT for price, size in levels):
        raise FrameError("an impossible level")
    if not all(price.isascii() and size.isascii() for price, size in rows):
        raise FrameError("digits that are not ASCII")
    return [level for level in levels if level[0] and level[1]]


def _trade_of(raw: msgspec.Raw, instrument: str, received_ts: int) -> Trade:
    t = _trade(raw)
    price, size = trade_numbers(t.price_str, t.amount_str, f"trade {t.id}")
    return Trade(ID, instrument, micros_ns(t.microtimestamp), received_ts, price, size, SIDES.get(t.type), str(t.id))


def _refusal(frame: Frame, channel: str, market: str) -> Rejected:
    error = _error(frame.data)
    reason = " ".join(str(part) for part in (error.code, error.message) if part) or "refused without a reason"
    return Rejected(reason, channel=channel or None, symbols=(market,) if channel else ())


def request(verb: Verb, request: Request) -> bytes:
    """Return the request for one channel of one market: the venue's table allows no more per request."""
    (market,) = request.symbols
    return _encode({"event": f"bts:{verb}", "data": {"channel": f"{request.channel}_{market}"}})


def ping(request_id: int) -> bytes:
    """Return the client's own heartbeat; the answer has no id."""
    return _encode({"event": "bts:heartbeat"})
