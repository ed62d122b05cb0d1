"""Coinbase's Advanced Trade dialect: a head with `channel` and `sequence_num`, and `events` whose form depends on the channel.

Quirks  `level2` is delivered as `l2_data`, with `offer` for the asks; an engine's time may be 1970; an error has no `channel`
Book    `sequence_num` counts all frames of the connection: a missing one, or a book frame that cannot be read, makes all its books suspect
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.coinbase import candles
from crosstape_connector.venues.coinbase.products import Products
from crosstape_connector.venues.coinbase.values import ID, by_side, hides_best, level, moment, number, refused
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, Heartbeat, Odd, Output, unread, unreadable
from crosstape_connector.venues.parsing.numbers import BACKSLASH
from crosstape_connector.venues.parsing.numbers import number as exact
from crosstape_connector.venues.parsing.rows import UNREADABLE, mended
from crosstape_connector.venues.parsing.sequence_break import Breaks
from crosstape_connector.venues.spec import Request, Symbols, Verb
from crosstape_schemas import Level, Ticker

ASK_WORDS: Final = ("offer", "ask")
SIDES: Final = ("bid", ASK_WORDS)
_ROW_DEPTH: Final = 4
"""Brackets around a trade, a ticker, a product or a level: they are in a list of one of the events, which are in a list too."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """What all frames share; the events are decoded by channel, after the sequence was noted."""

    channel: str | None = None
    type: str = ""
    timestamp: str = ""
    sequence_num: int | None = None
    events: msgspec.Raw = msgspec.Raw(b"[]")
    message: str = ""
    reason: str = ""


class RawLevel(msgspec.Struct, frozen=True, gc=False):
    side: str
    event_time: str
    price_level: str
    new_quantity: str


class RawBook(msgspec.Struct, frozen=True, gc=False):
    type: str
    product_id: str
    updates: list[RawLevel]


class NamedBook(msgspec.Struct, frozen=True, gc=False):
    """The product of a book that cannot be read."""

    product_id: str


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    price: str | None = None
    volume_24_h: str | None = None
    low_24_h: str | None = None
    high_24_h: str | None = None


class RawTickers(msgspec.Struct, frozen=True):
    tickers: list[RawTicker]


class TickerRows(msgspec.Struct, frozen=True):
    tickers: list[msgspec.Raw]


class RawStatus(msgspec.Struct, frozen=True):
    products: list[msgspec.Raw]


class RawSubscriptions(msgspec.Struct, frozen=True):
    subscriptions: dict[str, list[str]]


_head = msgspec.json.Decoder(Head).decode
_books = msgspec.json.Decoder(list[RawBook]).decode
_raw_books = msgspec.json.Decoder(list[msgspec.Raw]).decode
_book = msgspec.json.Decoder(RawBook).decode
_named_book = msgspec.json.Decoder(NamedBook).decode
_ticker = msgspec.json.Decoder(RawTicker).decode
_ticker_rows = msgspec.json.Decoder(list[TickerRows]).decode
_tickers = msgspec.json.Decoder(list[RawTickers]).decode
_statuses = msgspec.json.Decoder(list[RawStatus]).decode
_subscriptions = msgspec.json.Decoder(list[RawSubscriptions]).decode
_encode = msgspec.json.encode


class Parser:
    """Frames of one connection. It holds the connection's sequence, and whose books are on it."""

    __slots__ = ("_breaks", "_channels", "_expected", "_products")

    def __init__(self, symbols: Symbols) -> None:
        self._products = Products(symbols)
        self._breaks = Breaks()
        self._expected: int | None = None
        self._channels: dict[str, Callable[[Head, int], list[Output]]] = {
            "l2_data": self._l2,
            "ticker": self._ticker,
            "ticker_batch": self._ticker,
            "heartbeats": lambda head, received_ts: [Heartbeat()],
            "subscriptions": self._acknowledged,
            "status": self._status,
            candles.CHANNEL: self._candles,
            "user": lambda head, received_ts: [],
            "futures_balance_summary": lambda head, received_ts: [],
        }

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`. A gap in the sequence is reported before the frame that showed it, or the next one that is good.

        Books of a frame with an old number are left out: it was overtaken, or came twice.
        """
        try:
            head = _head(data)
        except msgspec.ValidationError:
            raise
        except JSON_ERRORS:
            head = _head(mended(data, _ROW_DEPTH))
        sequence = head.sequence_num
        is_late = False
        if sequence is not None:
            expected, self._expected = self._expected, sequence + 1
            if expected is not None and sequence != expected:
                is_late = sequence < expected
                self._breaks.found(received_ts, None if is_late else sequence - expected)
        if head.channel is None:
            if head.type != "error":
                raise UnknownFrame(f"type {head.type!r}")
            return (refused(head.message, head.reason),)
        channel = self._channels.get(head.channel)
        if channel is None:
            raise UnknownFrame(f"channel {head.channel!r}")
        outputs = self._breaks.with_break(channel(head, received_ts))
        return [one for one in outputs if not isinstance(one, BookSnapshot | BookUpdate)] if is_late else outputs

    def _l2(self, head: Head, received_ts: int) -> list[Output]:
        try:
            return self._changes(head, received_ts)
        except FRAME_ERRORS:
            self._expected = head.sequence_num  # its changes are lost: the next frame shows the gap
            raise

    def _changes(self, head: Head, received_ts: int) -> list[Output]:
        outputs: list[Output] = []
        strange: UnknownSymbol | None = None
        try:
            books: Sequence[RawBook | NamedBook] = _books(head.events)
        except FRAME_ERRORS:
            books = [_readable(raw) for raw in _raw_books(head.events)]
        text = bytes(head.events)
        plain = text.isascii() and BACKSLASH not in text
        for book in books:
            try:
                instrument = self._products[book.product_id]
            except UnknownSymbol as exc:
                strange = exc
                if UNREADABLE in book.product_id:
                    self._breaks.found(received_ts, None)  # it may be any book's
                continue
            self._breaks.book(instrument)
            if isinstance(book, NamedBook):
                outputs += Odd("book"), unread(instrument, received_ts)
                continue
            try:
                bids, asks, is_all = _sides(book, outputs, plain=plain)
            except FrameError:
                if book.type != "update":
                    raise
                outputs += Odd("side"), unread(instrument, received_ts)
                continue
            venue_ts = self._time(book.updates[-1].event_time if book.updates else head.timestamp, head, outputs)
            if book.type == "update":
                outputs.append(BookUpdate(instrument, venue_ts, received_ts, bids, asks) if is_all else unread(instrument, received_ts))
            elif book.type == "snapshot" and not is_all and hides_best(_texts(book), SIDES, bids, asks):
                outputs.append(unread(instrument, received_ts))
            elif book.type == "snapshot":
                outputs.append(BookSnapshot(instrument, venue_ts, received_ts, bids, asks))
            else:
                raise UnknownFrame(f"book of type {book.type!r}")
        if strange is not None and not outputs:
            raise strange
        return outputs

    def _time(self, text: str, head: Head, outputs: list[Output]) -> int | None:
        """The engine's time; where it is missing (1970 in snapshots) the sender's."""
        found = moment(text, outputs, epoch_is_odd=False)
        return found if found is not None else moment(head.timestamp, outputs)

    def _ticker(self, head: Head, received_ts: int) -> list[Output]:
        try:
            rows = [row for event in _tickers(head.events) for row in event.tickers]
            return [output for row in rows for output in self._figures(row, head, received_ts)]
        except FRAME_ERRORS:
            outputs: list[Output] = []
            for raw in [raw for event in _ticker_rows(head.events) for raw in event.tickers]:
                try:
                    outputs += self._figures(_ticker(raw), head, received_ts)
                except FRAME_ERRORS as exc:
                    outputs += self._unread_ticker(raw, received_ts, exc)
            if all(isinstance(output, Odd) for output in outputs):
                raise
            return outputs

    def _unread_ticker(self, raw: msgspec.Raw, received_ts: int, error: Exception) -> Sequence[Output]:
        """The outputs of a row that cannot be read: its ticker is out of date, if it names its product."""
        try:
            instrument = self._products[_named_book(raw).product_id]
        except FRAME_ERRORS:
            return (Odd("row", f"ticker: {error}"),)
        return unreadable("ticker", instrument, received_ts, error)

    def _figures(self, raw: RawTicker, head: Head, received_ts: int) -> list[Output]:
        outputs: list[Output] = []
        instrument = self._products[raw.product_id]
        venue_ts = moment(head.timestamp, outputs)
        volume, low, high = number(raw.volume_24_h), number(raw.low_24_h), number(raw.high_24_h)
        outputs.append(Ticker(ID, instrument, venue_ts, received_ts, number(raw.price), None, high, low, volume))
        return outputs

    def _candles(self, head: Head, received_ts: int) -> list[Output]:
        odd: list[Output] = []
        venue_ts = moment(head.timestamp, odd)
        return [*odd, *candles.outputs(head.events, self._products, venue_ts, received_ts)]

    def _acknowledged(self, head: Head, received_ts: int) -> list[Output]:
        """What is subscribed now; `heartbeats` has no products."""
        return [
            Ack(channel=channel, symbols=self._products.asked(products))
            for event in _subscriptions(head.events)
            for channel, products in event.subscriptions.items()
            if channel != "heartbeats"
        ]

    def _status(self, head: Head, received_ts: int) -> list[Output]:
        rows = [row for event in _statuses(head.events) for row in event.products]
        return self._products.statuses(rows, received_ts)


def _readable(raw: msgspec.Raw) -> RawBook | NamedBook:
    """One of several books, as far as it can be read: what is wrong with it is nothing to its neighbours."""
    try:
        return _book(raw)
    except FRAME_ERRORS:
        return _named_book(raw)


def _sides(book: RawBook, outputs: list[Output], *, plain: bool) -> tuple[list[Level], list[Level], bool]:
    """As `by_side`. `plain`: all of its text is ASCII, so that no digit can be another script's."""
    if plain:
        bids: list[Level] = []
        asks: list[Level] = []
        try:
            for change in book.updates:
                found, side = (exact(change.price_level), exact(change.new_quantity)), change.side
                if side == "bid":
                    bids.append(found)
                elif side in ASK_WORDS:
                    asks.append(found)
                else:
                    break
            else:
                return bids, asks, True
        except ArithmeticError:
            pass
    return by_side([(change.side, level(change.price_level, change.new_quantity)) for change in book.updates], SIDES, outputs)


def _texts(book: RawBook) -> Sequence[tuple[str, str, str]]:
    return [(change.side, change.price_level, change.new_quantity) for change in book.updates]


def request(verb: Verb, request: Request) -> bytes:
    """One channel a message."""
    return _encode({"type": verb, "product_ids": request.symbols, "channel": request.channel})


GREETING: Final = _encode({"type": "subscribe", "channel": "heartbeats"})
"""Heartbeats are the connection's, not a product's."""
