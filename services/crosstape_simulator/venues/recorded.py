"""What recorded frames tell of trades, of books and of best prices: from their bytes, for REST to tell the same.

One function a dialect and matter. What cannot be read is left out: recordings hold frames that were broken when they were made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec

from crosstape_simulator.formats import NS
from crosstape_simulator.market.history import Best, Top, Traded

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS: Final = 10**14

Level = tuple[Decimal, str]
"""Price, and size as it was written."""


class Levels(NamedTuple):
    """A book, or what changed in it."""

    symbol: str
    snapshot: bool
    bids: list[Level]
    asks: list[Level]


class _Trade(msgspec.Struct):
    t: int
    p: str
    q: str
    T: int
    m: bool
    s: str


class _TradeFrame(msgspec.Struct):
    data: _Trade


class _BookTicker(msgspec.Struct):
    b: str
    B: str
    a: str
    A: str


class _BookTickerFrame(msgspec.Struct):
    data: _BookTicker


class _Match(msgspec.Struct):
    product_id: str
    trade_id: int | str
    price: str
    size: str
    side: str
    time: str


class _AdvancedUpdate(msgspec.Struct):
    side: str
    price_level: str
    new_quantity: str


class _AdvancedEvent(msgspec.Struct):
    type: str = ""
    product_id: str = ""
    updates: list[_AdvancedUpdate] = []
    trades: list[_Match] = []


class _AdvancedFrame(msgspec.Struct):
    events: list[_AdvancedEvent]


class _ExchangeBook(msgspec.Struct):
    type: str
    product_id: str
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []
    changes: list[tuple[str, str, str]] = []


class _KrakenTrade(msgspec.Struct):
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    timestamp: str


class _KrakenTrades(msgspec.Struct):
    data: list[_KrakenTrade]


class _KrakenTicker(msgspec.Struct):
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal


class _KrakenTickers(msgspec.Struct):
    data: list[_KrakenTicker]


class _KrakenLevel(msgspec.Struct):
    price: Decimal
    qty: Decimal


class _KrakenBook(msgspec.Struct):
    symbol: str
    bids: list[_KrakenLevel]
    asks: list[_KrakenLevel]


class _KrakenBooks(msgspec.Struct):
    type: str
    data: list[_KrakenBook]


_trade_frame = msgspec.json.Decoder(_TradeFrame).decode
_book_ticker_frame = msgspec.json.Decoder(_BookTickerFrame).decode
_match = msgspec.json.Decoder(_Match).decode
_advanced_frame = msgspec.json.Decoder(_AdvancedFrame).decode
_exchange_book = msgspec.json.Decoder(_ExchangeBook).decode
_kraken_trades = msgspec.json.Decoder(_KrakenTrades).decode
_kraken_tickers = msgspec.json.Decoder(_KrakenTickers).decode
_kraken_books = msgspec.json.Decoder(_KrakenBooks).decode

Found = Iterable[tuple[str, Traded]]


def _binance_trades(payload: bytes) -> Found:
    raw = _trade_frame(payload).data
    ts = raw.T * (1_000_000 if raw.T < _MICROSECONDS else 1_000)
    return ((raw.s, Traded(raw.t, ts, raw.p, raw.q, not raw.m)),)


def _exchange_trades(payload: bytes) -> Found:
    return (_matched(_match(payload)),)


def _advanced_trades(payload: bytes) -> Found:
    return [_matched(raw) for event in _advanced_frame(payload).events for raw in event.trades]


def _matched(raw: _Match) -> tuple[str, Traded]:
    return raw.product_id, Traded(int(raw.trade_id), _moment(raw.time), raw.price, raw.size, raw.side.lower() == "sell")


def _kraken_trade_rows(payload: bytes) -> Found:
    return [
        (raw.symbol, Traded(raw.trade_id, _moment(raw.timestamp), f"{raw.price:f}", f"{raw.qty:f}", raw.side == "buy"))
        for raw in _kraken_trades(payload).data
    ]


def _exchange_levels(payload: bytes) -> Iterator[Levels]:
    raw = _exchange_book(payload)
    changed = [(side, price, size) for side, price, size in raw.changes]
    rows = changed or [*(("buy", *row) for row in raw.bids), *(("sell", *row) for row in raw.asks)]
    yield _levels(raw.product_id, raw.type == "snapshot", rows, "buy")


def _advanced_levels(payload: bytes) -> Iterator[Levels]:
    for event in _advanced_frame(payload).events:
        rows = [(raw.side, raw.price_level, raw.new_quantity) for raw in event.updates]
        yield _levels(event.product_id, event.type == "snapshot", rows, "bid")


def _levels(symbol: str, snapshot: bool, rows: Iterable[tuple[str, str, str]], bid: str) -> Levels:
    found = Levels(symbol, snapshot, [], [])
    for side, price, size in rows:
        try:
            usable = Decimal(price) > 0 and Decimal(size) >= 0
        except InvalidOperation:
            continue
        if usable:
            (found.bids if side == bid else found.asks).append((Decimal(price), size))
    return found


def _kraken_levels(payload: bytes) -> Iterator[Levels]:
    frame = _kraken_books(payload)
    for raw in frame.data:
        bids, asks = ([(level.price, f"{level.qty:f}") for level in side] for side in (raw.bids, raw.asks))
        yield Levels(raw.symbol, frame.type == "snapshot", bids, asks)


def _binance_top(payload: bytes) -> Top:
    raw = _book_ticker_frame(payload).data
    return Top(_best(raw.b, raw.B), _best(raw.a, raw.A))


def _kraken_top(payload: bytes) -> Top:
    raw = _kraken_tickers(payload).data[-1]
    return Top(_best(f"{raw.bid:f}", f"{raw.bid_qty:f}"), _best(f"{raw.ask:f}", f"{raw.ask_qty:f}"))


def _best(price: str, size: str) -> Best:
    return (price, size) if size.strip("0.") else None


def _moment(text: str) -> int:
    """ns since the epoch, to the µs; 0 for no time."""
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except (ValueError, TypeError):
        return 0
    return max(0, (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1_000)


TRADES: Final[Mapping[tuple[str, str], Callable[[bytes], Found]]] = {
    ("binance", "trade"): _binance_trades,
    ("coinbase", "matches"): _exchange_trades,
    ("coinbase", "market_trades"): _advanced_trades,
    ("kraken", "trade"): _kraken_trade_rows,
}
"""(venue, channel) → all trades in a frame, with their symbols."""

BOOKS: Final[Mapping[tuple[str, str], Callable[[bytes], Iterator[Levels]]]] = {
    ("coinbase", "level2_batch"): _exchange_levels,
    ("coinbase", "level2"): _advanced_levels,
    ("kraken", "book"): _kraken_levels,
}
"""The same for books that are whole on the stream."""

TOPS: Final[Mapping[tuple[str, str], Callable[[bytes], Top]]] = {("binance", "bookTicker"): _binance_top, ("kraken", "ticker"): _kraken_top}
"""The same for best prices, of a frame's newest row."""
