"""Bybit's WebSocket: requests and their replies.

Wire    {"topic": "orderbook.50.BTCUSDT", "type": …, "ts": ms, "data": …}, keys in any order; {"op": "subscribe", "args": [topic, …]}
Quirks  the category is known from the address alone: spot and perpetuals have the same topics. One reply a request; a snapshot may come
        before it. A pong is `{"ret_msg": "pong", "op": "ping"}`, elsewhere `{"op": "pong"}`. The refusal of a request for several topics
        names one of them, and none of the request is served. A topic that is subscribed already is refused, too, and goes on
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from crosstape_connector.errors import UnknownFrame
from crosstape_connector.venues.messages import Ack, Heartbeat, Output, Rejected
from crosstape_connector.venues.parsing.wire import request_number
from crosstape_connector.venues.spec import Request, Verb

BOOK, QUOTE = "orderbook", "orderbook.1"
"""Channels. A book's topic has its depth, too; that of one level is the quote."""
DEPTHS: Final = (50, 200, 1000)
"""Levels a side of a book that can be subscribed."""
TIMEFRAMES: Final = {
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "4h": "240", "6h": "360", "12h": "720",
    "1d": "D", "1w": "W", "1M": "M",
}  # fmt: skip
"""Our timeframes → theirs."""
OURS: Final = {theirs: ours for ours, theirs in TIMEFRAMES.items()}
ALREADY: Final = "already subscribed"

Route = Callable[[bytes, int], Sequence[Output]]
"""(a complete frame, received_ts) → its outputs."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    topic: str = ""
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str | None = ""


decode_envelope: Final = msgspec.json.Decoder(Envelope).decode
_encode = msgspec.json.encode


def reply(frame: Envelope) -> Sequence[Output]:
    """Return what a frame without a topic says."""
    if frame.op == "pong" or frame.ret_msg == "pong" or (frame.op == "ping" and frame.success):
        return (Heartbeat(),)
    if frame.op not in ("subscribe", "unsubscribe"):
        raise UnknownFrame(f"neither data nor a reply: op {frame.op[:40]!r}, {frame.ret_msg[:80]!r}")
    number = request_number(frame.req_id or "")
    if frame.success:
        return (Ack(number, unsubscribed=frame.op == "unsubscribe"),)
    reason = frame.ret_msg or "refused without a reason"
    channel, symbol = _named(reason)
    if ALREADY in reason and symbol:
        return (Ack(channel=channel, symbols=(symbol,)),)
    if number is None and symbol:
        return (Rejected(reason, channel=channel, symbols=(symbol,)),)
    return (Rejected(reason, number),)


def _named(reason: str) -> tuple[str, str]:
    """Return channel and symbol of the topic that a refusal names, `error:…,topic:orderbook.50.BTCUSDT`; empty where it names none."""
    topic = reason.partition("topic:")[2].strip()
    channel, _, symbol = topic.rpartition(".")
    return BOOK if channel.startswith(f"{BOOK}.") and channel != QUOTE else channel, symbol


def request(verb: Verb, request: Request) -> bytes:
    """Write a message for a channel of some symbols."""
    channel = f"{BOOK}.{request.depth}" if request.channel == BOOK else request.channel
    return _encode({"req_id": str(request.request_id), "op": verb, "args": [f"{channel}.{symbol}" for symbol in request.symbols]})


def ping(request_id: int) -> bytes:
    """Write a ping: a message like any other, which the venue wants beside those of the protocol."""
    return _encode({"req_id": str(request_id), "op": "ping"})
