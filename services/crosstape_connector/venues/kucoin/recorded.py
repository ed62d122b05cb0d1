"""KuCoin spot in old recordings: quotes, candles and books of the older protocol, whose books begin with a snapshot by REST.

Quirks  candles are `[start in s, open, close, high, low, base volume, quote volume]`. An interval without trades comes late, just before
        the next candle, as an `add` with volume 0
Book    rows are `[price, size, sequence]`, in any order. `sequenceStart` … `sequenceEnd` counts the changes; a third of the rows have
        price 0 and change nothing but the sequence. The snapshot by REST needs a key, so the connector does not live on these books
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import ClassVar, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, NotANumber
from crosstape_connector.venues.kucoin import spot
from crosstape_connector.venues.kucoin.classic import Route, ignored
from crosstape_connector.venues.kucoin.values import OURS, SPOT, Figures, candle, serial
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Odd, Output, unread, unreadable
from crosstape_connector.venues.parsing.numbers import is_plain, known_price, number
from crosstape_connector.venues.parsing.wire import Serial, Stamp, amounts_of_side, epoch_ns
from crosstape_connector.venues.spec import lookup
from crosstape_schemas import Instrument, Level, Quote

BOOK, TICKER, CANDLES = "/market/level2", "/market/ticker", "/market/candles"
DEPTHS: Final = ("/api/v3/market/orderbook/level2", "/api/v2/market/orderbook/level2", "/api/v1/market/orderbook/level2_100")


NOT_ASCII: Final = "digits that are not ASCII"


class RawChanges(msgspec.Struct, frozen=True, gc=False):
    asks: list[tuple[str, str, Serial]] = []
    bids: list[tuple[str, str, Serial]] = []


class RawUpdate(msgspec.Struct, frozen=True, gc=False):
    changes: RawChanges
    first: Serial = msgspec.field(name="sequenceStart")
    last: Serial = msgspec.field(name="sequenceEnd")
    time: Stamp | None = None


class RawCandles(msgspec.Struct, frozen=True, gc=False):
    candles: tuple[str, str, str, str, str, str, str]
    time: Serial


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    time: Stamp
    bid: str = msgspec.field(name="bestBid")
    bid_size: str = msgspec.field(name="bestBidSize")
    ask: str = msgspec.field(name="bestAsk")
    ask_size: str = msgspec.field(name="bestAskSize")


class RestBook(msgspec.Struct, frozen=True):
    time: Stamp
    sequence: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class RestDepth(msgspec.Struct, frozen=True):
    data: RestBook


_update = msgspec.json.Decoder(RawUpdate, strict=False).decode  # sequences of rows are text
_candles = msgspec.json.Decoder(RawCandles).decode
_ticker = msgspec.json.Decoder(RawTicker).decode
_depth = msgspec.json.Decoder(RestDepth).decode


def book_route(instrument: Instrument) -> Route:
    """`level2`: changed levels, in the order of their sequences."""
    name = instrument.name

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            u = _update(raw)
            bids, asks = _changes(u.changes.bids), _changes(u.changes.asks)
            if not is_plain(bytes(raw)) and not all(f"{row[0]}{row[1]}".isascii() for row in (*u.changes.bids, *u.changes.asks)):
                raise NotANumber(NOT_ASCII)
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            return Odd("book", f"{name}: {exc}"), unread(name, received_ts)
        venue_ts = None if u.time is None else epoch_ns(u.time)
        return (BookUpdate(name, venue_ts, received_ts, bids, asks, u.first, u.last),)

    return route


def _changes(rows: list[tuple[str, str, int]]) -> list[Level]:
    """Return the rows in the order of their sequences, without those of price zero."""
    if len(rows) > 1:
        rows.sort(key=itemgetter(2))
    return [level for price, size, _ in rows if (level := (known_price(price), number(size)))[0]]


def _level(row: Sequence[str]) -> Level:
    price, size = row[0], row[1]
    if not (price.isascii() and size.isascii()):
        raise NotANumber(NOT_ASCII)
    return known_price(price), number(size)


def quote_route(instrument: Instrument) -> Route:
    """`ticker`: the last trade, and the best bid and ask."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            t = _ticker(raw)
            bid, ask = amounts_of_side(t.bid, t.bid_size), amounts_of_side(t.ask, t.ask_size)
        except FRAME_ERRORS as exc:
            return unreadable("quote", instrument.name, received_ts, exc)
        return (Quote(SPOT, instrument.name, epoch_ns(t.time), received_ts, *bid, *ask),)

    return route


def candle_route(instrument: Instrument, timeframe: str) -> Route:
    """`candles`: the candle that changed. None is marked as closed."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            frame = _candles(raw)
            start, opened, close, high, low, volume, turnover = frame.candles
            figures = Figures(serial(start), opened, high, low, close, volume, turnover)
            return (candle(SPOT, instrument, timeframe, figures, venue_ts=frame.time, received_ts=received_ts),)
        except FRAME_ERRORS as exc:
            return unreadable(f"candle:{timeframe}", instrument.name, received_ts, exc)

    return route


class Parser(spot.Parser):
    """Frames of one connection, recorded ones too."""

    __slots__ = ()
    topics: ClassVar = {**spot.Parser.topics, BOOK: book_route, TICKER: quote_route}

    def route(self, topic: str) -> Route:
        """See `classic.Parser.route`."""
        path, _, tail = topic.partition(":")
        if path != CANDLES:
            return super().route(topic)
        symbol, _, interval = tail.rpartition("_")
        timeframe = OURS.get(interval)
        if timeframe is None:
            return ignored
        route = self._routes[topic] = candle_route(lookup(self._symbols, symbol), timeframe)
        return route


def depth_path(symbol: str, levels: int) -> str:
    """Return the path of the complete book."""
    return f"{DEPTHS[0]}?symbol={symbol}"


def depth_symbol(url: str) -> str | None:
    """Return the symbol if the URL requests a book, else None."""
    parts = urlsplit(url)
    return parse_qs(parts.query).get("symbol", [None])[0] if parts.path in DEPTHS else None


def parse_depth(body: bytes, instrument: Instrument, received_ts: int) -> BookSnapshot:
    """Return a book."""
    book = _depth(body).data
    try:
        bids, asks = [_level(row) for row in book.bids], [_level(row) for row in book.asks]
    except ArithmeticError as exc:
        raise FrameError(f"book of {instrument.name}: no number in a level") from exc
    return BookSnapshot(instrument.name, epoch_ns(book.time), received_ts, bids, asks, serial(book.sequence))
