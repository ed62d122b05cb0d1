"""Coinbase: how the frames and requests of its two feeds are read, for recordings and faults."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import ns_of
from crosstape_simulator.market.history import Traded
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import strings
from crosstape_simulator.venues.spec import FrameInfo, Levels, Request, Role

_EXCHANGE_CHANNELS: Final = {
    "snapshot": ("level2_batch",),
    "l2update": ("level2_batch",),
    "match": ("matches",),
    "last_match": ("matches",),
    "ticker": ("ticker", "ticker_batch"),
}


class _Named(msgspec.Struct):
    product_id: str = ""
    id: str = ""


class _Event(msgspec.Struct):
    product_id: str = ""
    trades: list[_Named] = []
    tickers: list[_Named] = []
    products: list[_Named] = []
    candles: list[_Named] = []


class _Frame(msgspec.Struct):
    channel: str = ""
    sequence_num: int | None = None
    events: list[msgspec.Raw] = []


class _ExchangeFrame(msgspec.Struct):
    type: str = ""
    product_id: str = ""


class _Match(msgspec.Struct):
    product_id: str
    trade_id: int | str
    price: str
    size: str
    side: str
    time: str


class _Update(msgspec.Struct):
    side: str
    price_level: str
    new_quantity: str


class _DataEvent(msgspec.Struct):
    type: str = ""
    product_id: str = ""
    updates: list[_Update] = []
    trades: list[_Match] = []


class _DataFrame(msgspec.Struct):
    events: list[_DataEvent]


class _ExchangeBook(msgspec.Struct):
    type: str
    product_id: str
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []
    changes: list[tuple[str, str, str]] = []


_frame = msgspec.json.Decoder(_Frame).decode
_event = msgspec.json.Decoder(_Event).decode
_data_frame = msgspec.json.Decoder(_DataFrame).decode
_exchange_frame = msgspec.json.Decoder(_ExchangeFrame).decode
_match = msgspec.json.Decoder(_Match).decode
_exchange_book = msgspec.json.Decoder(_ExchangeBook).decode


def classify_advanced(payload: bytes) -> FrameInfo:
    """What a frame of Advanced is. It may be about several products."""
    frame = _frame(payload)
    match frame.channel:
        case "":
            return FrameInfo(Role.REPLY)
        case "subscriptions":
            return FrameInfo(Role.REPLY, (), frame.sequence_num)
        case "heartbeats":
            return FrameInfo(Role.FREE, (("heartbeats", ""),), frame.sequence_num)
        case "l2_data":
            channel = "level2"
        case other:
            channel = other
    products: dict[str, None] = {}
    for raw in frame.events:
        event = _event(raw)
        rows = (*event.trades, *event.tickers, *event.products, *event.candles)
        for name in (event.product_id, *(row.product_id or row.id for row in rows)):
            if name:
                products[name] = None
    return FrameInfo(Role.DATA, tuple((channel, product) for product in products), frame.sequence_num)


def classify_exchange(payload: bytes) -> FrameInfo:
    """What a frame of Exchange is."""
    frame = _exchange_frame(payload)
    if channels := _EXCHANGE_CHANNELS.get(frame.type):
        return FrameInfo(Role.DATA, tuple((channel, frame.product_id) for channel in channels))
    match frame.type:
        case "heartbeat":
            return FrameInfo(Role.FREE, (("heartbeat", frame.product_id),))
        case "status":
            return FrameInfo(Role.FREE, (("status", ""),))
        case _:
            return FrameInfo(Role.REPLY)


def endpoint(name: str, url: str) -> str:
    """Which of the two endpoints a recorded connection was to."""
    return "exchange" if name == "coinbase_exchange" or "/exchange" in url or "ws-feed" in url else "advanced"


def asked_advanced(request: dict[str, Any]) -> Request | None:
    """What a request to Advanced asks for: one channel."""
    products = strings(request.get("product_ids", [])) or [""]
    return _asked(request, [(str(request.get("channel")), product) for product in products])


def asked_exchange(request: dict[str, Any]) -> Request | None:
    """What a request to Exchange asks for: several channels, with products of their own or shared ones."""
    shared = strings(request.get("product_ids", [])) or []
    channels = request.get("channels")
    topics: list[Topic] = []
    for channel in channels if isinstance(channels, list) else []:
        own = channel if isinstance(channel, dict) else {"name": channel}
        products = strings(own.get("product_ids", [])) or shared or [""]
        topics += [(str(own.get("name")), product) for product in products]
    return _asked(request, topics)


def _asked(request: dict[str, Any], topics: list[Topic]) -> Request | None:
    kind = request.get("type")
    return Request(kind == "subscribe", tuple(topics), request) if kind in ("subscribe", "unsubscribe") else None


def refuse_advanced(request: Request, bad: Collection[Topic]) -> tuple[list[bytes], Request | None]:
    """All of it: one bad product fails the request."""
    return [msgspec.json.encode({"type": "error", "message": "failure to subscribe: invalid product ids"})], None


def refuse_exchange(request: Request, bad: Collection[Topic]) -> tuple[list[bytes], Request | None]:
    """All of it: one bad product fails the request."""
    reason = f"{next(iter(bad))[1]} is not a valid product"
    return [msgspec.json.encode({"type": "error", "message": "Failed to subscribe", "reason": reason})], None


def advanced_trades(payload: bytes) -> Iterable[tuple[str, Traded]]:
    """All trades of a frame of Advanced, with their products."""
    return [_traded(raw) for event in _data_frame(payload).events for raw in event.trades]


def exchange_trades(payload: bytes) -> Iterable[tuple[str, Traded]]:
    """The trade of a frame of Exchange, with its product."""
    return (_traded(_match(payload)),)


def _traded(raw: _Match) -> tuple[str, Traded]:
    return raw.product_id, Traded(int(raw.trade_id), ns_of(raw.time), raw.price, raw.size, raw.side.lower() == "sell")


def advanced_books(payload: bytes) -> Iterator[Levels]:
    """All books of a frame of Advanced, or their changes."""
    for event in _data_frame(payload).events:
        rows = [(raw.side, raw.price_level, raw.new_quantity) for raw in event.updates]
        yield _levels(event.product_id, event.type == "snapshot", rows, "bid")


def exchange_books(payload: bytes) -> Iterator[Levels]:
    """The book of a frame of Exchange, or its changes."""
    raw = _exchange_book(payload)
    changed = [(side, price, size) for side, price, size in raw.changes]
    rows = changed or [*(("buy", *row) for row in raw.bids), *(("sell", *row) for row in raw.asks)]
    yield _levels(raw.product_id, raw.type == "snapshot", rows, "buy")


def _levels(symbol: str, snapshot: bool, rows: Iterable[tuple[str, str, str]], bid: str) -> Levels:
    """Rows that cannot be read are left out: recordings hold frames that were broken when they were made."""
    found = Levels(symbol, snapshot, [], [])
    for side, price, size in rows:
        try:
            usable = Decimal(price) > 0 and Decimal(size) >= 0
        except InvalidOperation:
            continue
        if usable:
            (found.bids if side == bid else found.asks).append((Decimal(price), size))
    return found
