"""Bybit's WebSocket: requests and their answers, limits, and what a frame is about.

Docs    https://bybit-exchange.github.io/docs/v5/ws/connect
Quirks  the first data of a subscription come before its acknowledgement, which the venue does not promise otherwise; a request is served or
        refused as a whole: for a topic that does not exist or is subscribed already, and on spot for more than ten
Topics  (channel, symbol) of `channel.symbol`: `("orderbook.50", "BTCUSDT")`
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import plain
from crosstape_simulator.market.history import Top, Traded, level
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object, strings
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec

MS: Final = 1_000_000
PER_REQUEST: Final = 10
"""Topics of a request to spot."""
SILENCE_S: Final = 600.0
_ID: Final = "2f6c6e0a-0000-4000-8000-000000000001"
_UUID: Final = "00000000-0000-5000-8000-"


class _Sent(msgspec.Struct):
    topic: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


_sent = msgspec.json.Decoder(_Sent).decode


def topic_of(text: str) -> Topic:
    """The topic of its text."""
    channel, _, symbol = text.rpartition(".")
    return channel, symbol


def uuid_of(number: int) -> str:
    """The id of a contract's trade."""
    return f"{_UUID}{number:012x}"


def number_of(trade_id: str) -> int:
    """The number of a trade from its id, which is one of spot or of a contract."""
    return int(trade_id) if trade_id.isdecimal() else int(trade_id.replace("-", ""), 16) % 10**18


def asked(request: dict[str, Any]) -> spec.Request | None:
    """`{"req_id", "op": "subscribe", "args": [topic, …]}`."""
    args = strings(request.get("args"))
    if request.get("op") not in ("subscribe", "unsubscribe") or args is None:
        return None
    return spec.Request(request["op"] == "subscribe", tuple(map(topic_of, args)), request)


def _reply(request: dict[str, Any], text: str, *, success: bool) -> bytes:
    head = {"success": success, "ret_msg": text, "conn_id": _ID}
    names = {"req_id": request["req_id"]} if "req_id" in request else {}
    return kit.encoded({**head, **names, "op": request.get("op", "")})


def refuse(request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
    """All of it, because of one topic."""
    topic = ".".join(next(iter(bad), ("", "")))
    return [_reply(request.body, f"error:handler not found,topic:{topic}", success=False)], None


class BybitFeed(Feed):
    """One category."""

    def __init__(self, source: Source, channels: Collection[str], *, is_spot: bool) -> None:
        super().__init__(source)
        self._channels = frozenset(channels)
        self._is_spot = is_spot

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request, after the first data of what it subscribes."""
        request = decode_object(text)
        made = None if request is None else asked(request)
        if request is None:
            connection.send(_reply({}, "Failed to decode incoming data", success=False))
        elif request.get("op") == "ping":
            connection.send(_reply(request, "pong", success=True))
        elif made is None:
            connection.send(_reply(request, "error:invalid op", success=False))
        elif refusal := self._refusal(connection, made):
            connection.send(refusal)
        else:
            for topic in made.topics:
                (self.join if made.subscribe else self.leave)(connection, topic)
            for topic in made.topics if made.subscribe else ():
                self.source.subscribed(connection, topic)
            connection.send(_reply(request, "subscribe" if self._is_spot and made.subscribe else "", success=True))

    def _refusal(self, connection: Connection, made: spec.Request) -> bytes | None:
        if self._is_spot and len(made.topics) > PER_REQUEST:
            return _reply(made.body, "args size >10", success=False)
        bad = [topic for topic in made.topics if topic[0] not in self._channels or not self.source.lists(topic[1])]
        if bad:
            return refuse(made, bad)[0][0]
        twice = [topic for topic in made.topics if made.subscribe and topic in connection.topics]
        return _reply(made.body, f"error:already subscribed,topic:{'.'.join(twice[0])}", success=False) if twice else None


def classify(payload: bytes) -> spec.FrameInfo:
    """What a frame is."""
    topic = _sent(payload).topic
    return spec.FrameInfo(spec.Role.DATA, (topic_of(topic),)) if topic else spec.FrameInfo(spec.Role.REPLY)


def recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    """All trades of a frame."""
    for raw in msgspec.json.decode(_sent(payload).data, type=list[dict[str, Any]]):
        yield raw["s"], Traded(number_of(raw["i"]), raw["T"] * MS, plain(raw["p"]), plain(raw["v"]), raw["S"] == "Buy")


def recorded_books(payload: bytes) -> Iterator[spec.Levels]:
    """The book of a frame, or its changes."""
    frame = _sent(payload)
    raw = msgspec.json.decode(frame.data, type=dict[str, Any])
    bids, asks = ([(Decimal(price), size) for price, size in raw[side]] for side in ("b", "a"))
    yield spec.Levels(raw["s"], frame.type == "snapshot" or raw["u"] == 1, bids, asks)


def recorded_top(payload: bytes) -> Top:
    """The best prices of a frame."""
    raw = msgspec.json.decode(_sent(payload).data, type=dict[str, Any])
    bid, ask = (level(*raw[side][0]) if raw[side] else None for side in ("b", "a"))
    return Top(bid, ask, raw["u"])
