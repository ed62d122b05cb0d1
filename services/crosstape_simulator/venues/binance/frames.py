"""Binance spot: how its frames and requests are read, for recordings and faults."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec

from crosstape_simulator.market.history import Top, Traded, level
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import strings
from crosstape_simulator.venues.spec import FrameInfo, Request, Role

MICROSECONDS: Final = 10**14
"""Times above are µs, others ms."""

_STREAM: Final = re.compile(rb'\{"stream":"([^"]+)"')
_BARE: Final = re.compile(rb'\{"e":"([A-Za-z0-9]+)",.{0,40}?"s":"([^"]+)"', re.DOTALL)
_BARE_TOP: Final = re.compile(rb'\{"u":\d+,"s":"([^"]+)"')
_BARE_CHANNELS: Final = {
    b"trade": ("trade",),
    b"aggTrade": ("aggTrade",),
    b"depthUpdate": ("depth", "depth@100ms"),
    b"24hrTicker": ("ticker",),
}


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


class _Depth(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


_trade_frame = msgspec.json.Decoder(_TradeFrame).decode
_book_ticker_frame = msgspec.json.Decoder(_BookTickerFrame).decode


def named(topic: Topic) -> tuple[str, str]:
    """(channel, symbol) of a stream; a diff stream's channel is `depth` at any speed, a candle's `kline` in any timeframe."""
    symbol, _, channel = topic[0].partition("@")
    return channel.partition("@")[0].partition("_")[0], symbol.upper()


def classify(payload: bytes) -> FrameInfo:
    """What a frame is whose stream is named."""
    if found := _STREAM.match(payload):
        stream = found.group(1).decode()
        return FrameInfo(Role.FREE) if stream.startswith("!") else FrameInfo(Role.DATA, ((stream,),))
    return FrameInfo(Role.REPLY)


def classify_sent(payload: bytes) -> FrameInfo:
    """The same, also for a frame of `/ws`, which does not name its stream."""
    if (seen := classify(payload)).role is not Role.REPLY:
        return seen
    if found := _BARE.match(payload):
        channels = _BARE_CHANNELS.get(found.group(1), ())
        low = found.group(2).decode().lower()
        return FrameInfo(Role.DATA, tuple((f"{low}@{channel}",) for channel in channels)) if channels else seen
    if found := _BARE_TOP.match(payload):
        return FrameInfo(Role.DATA, ((f"{found.group(1).decode().lower()}@bookTicker",),))
    return seen


def asked(request: dict[str, Any]) -> Request | None:
    """What a request asks for."""
    streams, method = strings(request.get("params")), request.get("method")
    if streams is None or method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
        return None
    return Request(method == "SUBSCRIBE", tuple((stream,) for stream in streams), request)


def refuse(request: Request, bad: Collection[Topic]) -> tuple[list[bytes], Request | None]:
    """All of it. Binance acknowledges even what it does not know: the refusal that it has is for too many subscriptions."""
    error = {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": request.body.get("id")}
    return [msgspec.json.encode(error)], None


def trades(payload: bytes) -> Iterable[tuple[str, Traded]]:
    """The trade of a frame, with its symbol."""
    raw = _trade_frame(payload).data
    ts = raw.T * (1_000_000 if raw.T < MICROSECONDS else 1_000)
    return ((raw.s, Traded(raw.t, ts, raw.p, raw.q, not raw.m)),)


def top(payload: bytes) -> Top:
    """The best prices of a frame."""
    raw = _book_ticker_frame(payload).data
    return Top(level(raw.b, raw.B), level(raw.a, raw.A))


def cut(body: bytes, limit: int) -> bytes:
    """A REST snapshot with `limit` levels a side."""
    depth = msgspec.json.decode(body, type=_Depth)
    return msgspec.json.encode(_Depth(depth.last_update_id, depth.bids[:limit], depth.asks[:limit]))
