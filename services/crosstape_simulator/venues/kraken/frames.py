"""Kraken spot v2: how its frames and requests are read, for recordings and faults."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from crosstape_simulator.formats import iso_us, ns_of
from crosstape_simulator.market.history import Top, Traded, level
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import strings
from crosstape_simulator.venues.kraken.protocol import DEPTHS, TRIGGERS
from crosstape_simulator.venues.rewriting import iso_times
from crosstape_simulator.venues.spec import FrameInfo, Levels, Request, Role


class _Row(msgspec.Struct):
    symbol: str = ""
    interval: int = 0


class _Result(msgspec.Struct):
    channel: str = ""
    symbol: str = ""
    depth: int = 0
    interval: int = 0


class _Frame(msgspec.Struct):
    channel: str = ""
    method: str = ""
    success: bool = False
    data: msgspec.Raw = msgspec.Raw(b"")
    result: _Result | None = None


class _Trade(msgspec.Struct):
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    timestamp: str


class _Trades(msgspec.Struct):
    data: list[_Trade]


class _Ticker(msgspec.Struct):
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal


class _Tickers(msgspec.Struct):
    data: list[_Ticker]


class _Level(msgspec.Struct):
    price: Decimal
    qty: Decimal


class _Book(msgspec.Struct):
    symbol: str
    bids: list[_Level]
    asks: list[_Level]


class _Books(msgspec.Struct):
    type: str
    data: list[_Book]


_frame = msgspec.json.Decoder(_Frame).decode
_rows = msgspec.json.Decoder(list[_Row]).decode
_trades = msgspec.json.Decoder(_Trades).decode
_tickers = msgspec.json.Decoder(_Tickers).decode
_books = msgspec.json.Decoder(_Books).decode


def classify(payload: bytes) -> FrameInfo:
    """What a frame is. A book's depth and a ticker's trigger are not in it: all that they may be are named."""
    frame = _frame(payload)
    match frame.channel:
        case "":
            if frame.method == "subscribe" and frame.success and frame.result and frame.result.channel:
                result = frame.result
                depth = (result.symbol, result.depth) if result.channel == "book" else None
                return FrameInfo(Role.REPLY, _topics(result.channel, result.symbol, result.interval), None, depth)
            return FrameInfo(Role.REPLY)
        case "book" | "trade" | "ticker" | "ohlc" as channel:
            topics = (topic for row in _rows(frame.data) for topic in _topics(channel, row.symbol, row.interval))
            return FrameInfo(Role.DATA, tuple(dict.fromkeys(topics)))
        case "instrument":
            return FrameInfo(Role.FREE, (("instrument",),))
        case _:
            return FrameInfo(Role.FREE)


def _topics(channel: str, symbol: str, interval: int) -> tuple[Topic, ...]:
    match channel:
        case "ohlc":
            return ((channel, symbol, str(interval)),)
        case "book":
            return tuple((channel, symbol, str(depth)) for depth in DEPTHS)
        case "ticker":
            return tuple((channel, symbol, trigger) for trigger in TRIGGERS)
        case "instrument":
            return ((channel,),)
        case _:
            return ((channel, symbol),)


def shift(payload: bytes, ns: int) -> bytes:
    """The frame with its times later by `ns`. Candles begin and end when they do, whatever the venue's clock says."""
    head, data, rows = payload.partition(b'"data":') if payload.startswith(b'{"channel":"ohlc"') else (payload, b"", b"")
    return iso_times(head, ns) + data + rows


def is_greeting(payload: bytes) -> bool:
    """Whether this is the state of Kraken's engine, which greets every client."""
    return b'"channel":"status"' in payload


def repeat(payload: bytes) -> bytes | None:
    """A recorded acknowledgement without the id of a request that this client has not made; None for other replies."""
    if b'"result"' not in payload:
        return None
    if b'"req_id"' not in payload:
        return payload
    return msgspec.json.encode({name: value for name, value in msgspec.json.decode(payload).items() if name != "req_id"})


def asked(request: dict[str, Any]) -> Request | None:
    """What a request asks for."""
    params, method = request.get("params"), request.get("method")
    if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
        return None
    channel = str(params.get("channel"))
    own = {"book": ("depth", 10), "ticker": ("event_trigger", "trades"), "ohlc": ("interval", 1)}.get(channel)
    suffix = () if own is None else (str(params.get(*own)),)
    topics = [(channel, name, *suffix) for name in strings(params.get("symbol", [])) or []] or [(channel,)]
    return Request(method == "subscribe", tuple(topics), request)


def refuse(request: Request, bad: Collection[Topic]) -> tuple[list[bytes], Request | None]:
    """One answer a symbol; the other symbols are left."""
    left = tuple(topic for topic in request.topics if topic not in bad)
    replies = [_refusal(request, topic) for topic in bad]
    if not left:
        return replies, None
    params = request.body["params"] | {"symbol": [topic[1] for topic in left]}
    return replies, Request(request.subscribe, left, request.body | {"params": params})


def _refusal(request: Request, topic: Topic) -> bytes:
    known = len(topic) > 1
    reply: dict[str, object] = {"error": f"Currency pair not supported {topic[1]}" if known else "Unsupported channel"}
    reply |= {"method": "subscribe", "success": False}
    if known:
        reply["symbol"] = topic[1]
    if request.body.get("req_id") is not None:
        reply["req_id"] = request.body["req_id"]
    now = time.time_ns()
    return msgspec.json.encode(reply | {"time_in": iso_us(now), "time_out": iso_us(now + 35_000)})


def trades(payload: bytes) -> Iterable[tuple[str, Traded]]:
    """All trades of a frame, with their symbols."""
    return [
        (raw.symbol, Traded(raw.trade_id, ns_of(raw.timestamp), f"{raw.price:f}", f"{raw.qty:f}", raw.side == "buy"))
        for raw in _trades(payload).data
    ]


def books(payload: bytes) -> Iterator[Levels]:
    """All books of a frame, or their changes."""
    frame = _books(payload)
    for raw in frame.data:
        bids, asks = ([(one.price, f"{one.qty:f}") for one in side] for side in (raw.bids, raw.asks))
        yield Levels(raw.symbol, frame.type == "snapshot", bids, asks)


def top(payload: bytes) -> Top:
    """The best prices of a frame's last row."""
    raw = _tickers(payload).data[-1]
    return Top(level(f"{raw.bid:f}", f"{raw.bid_qty:f}"), level(f"{raw.ask:f}", f"{raw.ask_qty:f}"))
