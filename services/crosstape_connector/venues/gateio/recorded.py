"""Gate's other books, as recordings have them: changes that begin with a snapshot by REST, and complete books.

Docs    "Order book" of both WebSocket pages
Quirks  changes (`order_book_update`) are numbered `U` … `u` without a hole; the first one used spans the number after the snapshot's. Rows
        of futures are objects. Complete books (`order_book`) have a number of their own; on futures, old ones are sent once (`all`), and
        then each changed level: a negative size is an ask's, zero removes, and each has the next number
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError, NotANumber
from crosstape_connector.venues.gateio import books, futures, spot
from crosstape_connector.venues.gateio.connection import NO_NUMBER, NOTHING, Channel, Envelope, always, sent_ts
from crosstape_connector.venues.gateio.values import MS, contracts_of, moment, text_of
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Output
from crosstape_connector.venues.parsing.numbers import is_plain
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp
from crosstape_connector.venues.spec import Verdict, lookup
from crosstape_schemas import Instrument

PATHS = ("/spot/order_book", "/futures/usdt/order_book", "/futures/btc/order_book")
NOT_ASCII = "digits that are not ASCII"


class RawLevel(msgspec.Struct, frozen=True, gc=False):
    p: str
    s: int | str


Rows = list[tuple[str, str]] | list[RawLevel]


class RawChanges(msgspec.Struct, frozen=True, gc=False):
    t: Stamp
    s: str
    U: Serial
    u: Serial
    b: msgspec.Raw
    a: msgspec.Raw


class RawChange(msgspec.Struct, frozen=True, gc=False):
    p: str
    s: int | str
    c: str
    id: Serial


class RawComplete(msgspec.Struct, frozen=True, gc=False):
    bids: msgspec.Raw
    asks: msgspec.Raw
    t: Stamp = 0
    s: str = ""
    contract: str = ""
    id: Serial = 0
    last: Serial = msgspec.field(name="lastUpdateId", default=0)


class RestBook(msgspec.Struct, frozen=True):
    id: Serial
    bids: msgspec.Raw
    asks: msgspec.Raw
    update: msgspec.Raw = NOTHING


_pairs = msgspec.json.Decoder(list[tuple[str, str]]).decode
_objects = msgspec.json.Decoder(list[RawLevel]).decode
_changes = msgspec.json.Decoder(RawChanges).decode
_change = msgspec.json.Decoder(RawChange).decode
_complete = msgspec.json.Decoder(RawComplete).decode
_rest = msgspec.json.Decoder(RestBook).decode


def rows_of(raw: msgspec.Raw) -> list[tuple[str, str]]:
    """Return price and size of each level, whose row is a list or an object; none for null. Raises `FrameError` and msgspec's errors."""
    text = bytes(raw)
    if text == b"null":
        return []
    if not is_plain(text):
        raise NotANumber(NOT_ASCII)
    return [(row.p, str(row.s)) for row in _objects(text)] if b"{" in text else _pairs(text)


class Reader:
    """Reads the rows of the channels of either market."""

    def __init__(self, parser: spot.SpotParser | futures.FuturesParser) -> None:
        self._parser = parser

    def changes(self, raw: RawChanges, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """`order_book_update`: changed levels."""
        instrument = lookup(self._parser.symbols, raw.s)
        bids, asks = books.levels(instrument, rows_of(raw.b)), books.levels(instrument, rows_of(raw.a))
        return (BookUpdate(instrument.name, raw.t * MS, received_ts, bids, asks, raw.U, raw.u),)

    def complete(self, raw: RawComplete | RawChange, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """`order_book`: a complete book, or one changed level. A book that was emptied has neither number nor time."""
        if isinstance(raw, RawChange):
            return self._changed(raw, frame, received_ts)
        instrument = lookup(self._parser.symbols, raw.s or raw.contract)
        bids, asks = books.levels(instrument, rows_of(raw.bids)), books.levels(instrument, rows_of(raw.asks))
        venue_ts = raw.t * MS or sent_ts(frame)
        return (BookSnapshot(instrument.name, venue_ts, received_ts, bids, asks, raw.id or raw.last or None),)

    def _changed(self, raw: RawChange, frame: Envelope, received_ts: int) -> Sequence[Output]:
        instrument = lookup(self._parser.symbols, raw.c)
        contracts = contracts_of(raw.s)
        level = books.levels(instrument, [(raw.p, str(abs(contracts)))])
        if not raw.p.isascii():
            raise NotANumber(NOT_ASCII)
        bids, asks = level if contracts >= ZERO else [], level if contracts <= ZERO else []
        return (BookUpdate(instrument.name, sent_ts(frame), received_ts, bids, asks, raw.id, raw.id),)


def _book_row(raw: msgspec.Raw) -> RawComplete | RawChange:
    return _complete(raw) if b'"bids"' in bytes(raw) else _change(raw)


def _channels(market: str, reader: Reader) -> dict[str, Channel]:
    return {
        f"{market}.order_book_update": Channel(_changes, reader.changes, always("book")),
        f"{market}.order_book": Channel(_book_row, reader.complete, always("book")),
    }


class SpotParser(spot.SpotParser):
    """Frames of a recording of spot whose books are not the stream's own."""

    __slots__ = ()

    def channels(self, obu: Any) -> dict[str, Channel]:
        """See `spot.SpotParser.channels`."""
        return {**super().channels(obu), **_channels("spot", Reader(self))}


class FuturesParser(futures.FuturesParser):
    """Frames of a recording of futures whose books are not the stream's own."""

    __slots__ = ()

    def channels(self, obu: Any) -> dict[str, Channel]:
        """See `futures.FuturesParser.channels`."""
        return {**super().channels(obu), **_channels("futures", Reader(self))}


def chain(update: BookUpdate, sequence: int) -> Verdict:
    """Whether changes follow that number, be it a snapshot's or that of the changes before: they may begin before it."""
    if update.first is None or update.last is None or update.first > sequence + 1:
        return Verdict.BREAK
    return Verdict.APPLY if update.last > sequence else Verdict.SKIP


def depth_symbol(url: str) -> str | None:
    """Return the symbol if the URL requests a book with its number, else None."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if not parts.path.endswith(PATHS) or query.get("with_id") != ["true"]:
        return None
    return next(iter(query.get("currency_pair", query.get("contract", []))), None)


def depth_path(symbol: str, levels: int) -> str:
    """Return the path of a book of spot; that of a contract has `contract` in place of `currency_pair`."""
    return f"/api/v4{PATHS[0]}?currency_pair={quoted(symbol)}&limit=100&with_id=true"


def parse_depth(body: bytes, instrument: Instrument, received_ts: int) -> BookSnapshot:
    """Return a book: the best levels, as many as were asked for."""
    book = _rest(body)
    try:
        bids, asks = books.levels(instrument, rows_of(book.bids)), books.levels(instrument, rows_of(book.asks))
    except ArithmeticError as exc:
        raise FrameError(f"book of {instrument.name}: {NO_NUMBER}") from exc
    limit = max(len(bids), len(asks)) or None
    venue_ts = None if book.update == NOTHING else moment(text_of(book.update))  # answers of 2021 have no time
    return BookSnapshot(instrument.name, venue_ts, received_ts, bids, asks, book.id, limit=limit)
