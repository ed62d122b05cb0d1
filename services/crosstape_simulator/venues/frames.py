"""What a recorded frame is: data of some topic, a reply to a request, or word to everyone.

One function an endpoint, from the frame's bytes. Topics are those of the endpoint's feed; where the frame does not say all of a topic (a
Kraken book's depth), all that it may be are named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

import msgspec

from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.venues.kraken.protocol import DEPTHS, TRIGGERS


class Role(Enum):
    """Whom a recorded frame is for."""

    DATA = auto()  # who has subscribed to one of its topics
    REPLY = auto()  # who made a request
    FREE = auto()  # everyone


class Seen(NamedTuple):
    """What a recorded frame is."""

    role: Role
    topics: tuple[Topic, ...] = ()
    """Any of these; of a reply: what it is about."""
    number: int | None = None
    """The connection's own, where it counts."""
    book_depth: tuple[str, int] | None = None
    """A reply that tells a symbol's depth."""


_STREAM: Final = re.compile(rb'\{"stream":"([^"]+)"')


def _binance(payload: bytes) -> Seen:
    if found := _STREAM.match(payload):
        stream = found.group(1).decode()
        return Seen(Role.FREE) if stream.startswith("!") else Seen(Role.DATA, ((stream,),))
    return Seen(Role.REPLY)


class _Named(msgspec.Struct):
    product_id: str = ""
    id: str = ""


class _AdvancedEvent(msgspec.Struct):
    product_id: str = ""
    trades: list[_Named] = []
    tickers: list[_Named] = []
    products: list[_Named] = []


class _AdvancedFrame(msgspec.Struct):
    channel: str = ""
    sequence_num: int | None = None
    events: list[msgspec.Raw] = []


_advanced_frame = msgspec.json.Decoder(_AdvancedFrame).decode
_advanced_event = msgspec.json.Decoder(_AdvancedEvent).decode


def _advanced(payload: bytes) -> Seen:
    frame = _advanced_frame(payload)
    match frame.channel:
        case "":
            return Seen(Role.REPLY)
        case "subscriptions":
            return Seen(Role.REPLY, (), frame.sequence_num)
        case "heartbeats":
            return Seen(Role.FREE, (("heartbeats", ""),), frame.sequence_num)
        case "l2_data":
            channel = "level2"
        case other:
            channel = other
    products: dict[str, None] = {}
    for raw in frame.events:
        event = _advanced_event(raw)
        for name in (event.product_id, *(row.product_id or row.id for row in (*event.trades, *event.tickers, *event.products))):
            if name:
                products[name] = None
    return Seen(Role.DATA, tuple((channel, product) for product in products), frame.sequence_num)


class _ExchangeFrame(msgspec.Struct):
    type: str = ""
    product_id: str = ""


_exchange_frame = msgspec.json.Decoder(_ExchangeFrame).decode
_EXCHANGE_CHANNELS: Final = {
    "snapshot": ("level2_batch",),
    "l2update": ("level2_batch",),
    "match": ("matches",),
    "last_match": ("matches",),
    "ticker": ("ticker", "ticker_batch"),
}


def _exchange(payload: bytes) -> Seen:
    frame = _exchange_frame(payload)
    if channels := _EXCHANGE_CHANNELS.get(frame.type):
        return Seen(Role.DATA, tuple((channel, frame.product_id) for channel in channels))
    match frame.type:
        case "heartbeat":
            return Seen(Role.FREE, (("heartbeat", frame.product_id),))
        case "status":
            return Seen(Role.FREE, (("status", ""),))
        case _:
            return Seen(Role.REPLY)


class _KrakenRow(msgspec.Struct):
    symbol: str = ""


class _KrakenResult(msgspec.Struct):
    channel: str = ""
    symbol: str = ""
    depth: int = 0


class _KrakenFrame(msgspec.Struct):
    channel: str = ""
    method: str = ""
    success: bool = False
    data: msgspec.Raw = msgspec.Raw(b"")
    result: _KrakenResult | None = None


_kraken_frame = msgspec.json.Decoder(_KrakenFrame).decode
_kraken_rows = msgspec.json.Decoder(list[_KrakenRow]).decode


def _kraken(payload: bytes) -> Seen:
    frame = _kraken_frame(payload)
    match frame.channel:
        case "":
            if frame.method == "subscribe" and frame.success and frame.result and frame.result.channel:
                result = frame.result
                depth = (result.symbol, result.depth) if result.channel == "book" else None
                return Seen(Role.REPLY, _kraken_topics(result.channel, result.symbol), None, depth)
            return Seen(Role.REPLY)
        case "book" | "trade" | "ticker" as channel:
            return Seen(Role.DATA, tuple(topic for row in _kraken_rows(frame.data) for topic in _kraken_topics(channel, row.symbol)))
        case "instrument":
            return Seen(Role.FREE, (("instrument",),))
        case _:
            return Seen(Role.FREE)


def _kraken_topics(channel: str, symbol: str) -> tuple[Topic, ...]:
    match channel:
        case "book":
            return tuple((channel, symbol, str(depth)) for depth in DEPTHS)
        case "ticker":
            return tuple((channel, symbol, trigger) for trigger in TRIGGERS)
        case "instrument":
            return ((channel,),)
        case _:
            return ((channel, symbol),)


_CLASSIFY: Final[Mapping[tuple[str, str], Callable[[bytes], Seen]]] = {
    ("binance", ""): _binance,
    ("coinbase", "advanced"): _advanced,
    ("coinbase", "exchange"): _exchange,
    ("kraken", ""): _kraken,
}


def classify(venue: str, endpoint: str, payload: bytes) -> Seen:
    """What the frame is. One that its endpoint's dialect cannot read is word to everyone: it is played as it is, to be survived."""
    try:
        return _CLASSIFY[venue, endpoint](payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Seen(Role.FREE)


def venue_of(name: str) -> str:
    """The venue that plays a recording of `name`. Raises `SimulatorError` for one that is not simulated."""
    venue = "coinbase" if name.startswith("coinbase") else name
    if not any(venue == known for known, _ in _CLASSIFY):
        raise SimulatorError(f"recordings of {name} cannot be played")
    return venue


def endpoint_of(venue: str, name: str, url: str) -> str:
    """Which of a venue's endpoints a connection to `url` was to."""
    if venue != "coinbase":
        return ""
    return "exchange" if name == "coinbase_exchange" or "/exchange" in url or "ws-feed" in url else "advanced"


def snapshot_topics(venue: str, path: str, symbol: str) -> tuple[Topic, ...]:
    """The topics whose clients need the REST answer to `path` to begin."""
    if venue == "binance" and path.endswith("/depth"):
        return tuple((f"{symbol.lower()}@depth{suffix}",) for suffix in ("", "@100ms"))
    return ()
