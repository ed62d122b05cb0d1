"""KuCoin's two WebSocket protocols: requests and their answers, limits, tokens, the welcome, and what a frame is about.

Docs    https://www.kucoin.com/docs-new/websocket-api/base-info/introduction
Quirks  the older protocol takes up to 100 symbols of one topic in a request, 300 on a connection, and refuses a request as a whole; the
        newer one takes one symbol, and acknowledges symbols that do not exist. Both close a client that sends nothing for a minute
Topics  (channel, symbol); of the older protocol a channel is the path of its topics, of candles with the timeframe after it:
        `/market/candles_1min`
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.manners import AS_TEXT, Grant
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec

DEPTH: Final = "increment@10ms"
PER_REQUEST: Final = 100
PER_CONNECTION: Final = 300
"""Topics of the older protocol."""
WINDOW_S: Final = 10.0
"""In which messages are counted."""
SILENCE_S: Final = 60.0
PING_MS: Final = 18_000
POLICY_VIOLATION: Final = 1008
CANDLES: Final = ("/market/candles", "/contractMarket/limitCandle")
_EXPIRED: Final = {"id": "660fd6c84d0eab582c237b51", "type": "error", "code": 401, "data": "token is expired"}


class _Sent(msgspec.Struct):
    topic: str = ""
    T: str = ""
    d: msgspec.Raw = msgspec.Raw(b"null")


class _Named(msgspec.Struct):
    s: str = ""
    i: str = ""


_sent = msgspec.json.Decoder(_Sent).decode
_named = msgspec.json.Decoder(_Named).decode


class KucoinFeed(kit.RequestFeed):
    """Either protocol. A client that sends too much is closed."""

    def __init__(self, source: Source, options: spec.Options, dialect: spec.Dialect, channels: Collection[str], **answers: Any) -> None:
        super().__init__(source, channels, asked=dialect.asked, refuse=dialect.refuse, **answers)
        self._messages = round(options["messages_per_s"] * WINDOW_S)

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request; beyond the limit close the connection instead."""
        if connection.exceeds(self._messages, WINDOW_S):
            connection.close(POLICY_VIOLATION, "too many messages")
        else:
            super().receive(connection, text)


class ClassicFeed(KucoinFeed):
    """The older protocol. A request for too many topics is refused as a whole."""

    def receive(self, connection: Connection, text: str) -> None:
        """See `KucoinFeed.receive`."""
        asked = self._asked(self._decoded(text))
        if asked is not None and asked.subscribe:
            if len(asked.topics) > PER_REQUEST:
                connection.send(_error(asked.body, 509, f"exceed max subscription count limitation of {PER_REQUEST} per time"))
                return
            if len(connection.topics.keys() | set(asked.topics)) > PER_CONNECTION:
                connection.send(_error(asked.body, 509, f"exceed max subscription count limitation of {PER_CONNECTION} per session"))
                return
        super().receive(connection, text)

    @staticmethod
    def _decoded(text: str) -> dict[str, Any]:
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.MsgspecError:
            return {}


def _error(request: Mapping[str, Any], code: int, text: str) -> bytes:
    return kit.encoded({"id": str(request.get("id", "")), "type": "error", "code": code, "data": text})


def asked_classic(request: dict[str, Any]) -> spec.Request | None:
    """`{"id", "type": "subscribe", "topic": "/market/match:BTC-USDT,ETH-USDT"}`."""
    match request:
        case {"type": "subscribe" | "unsubscribe" as verb, "topic": str(topic)}:
            path, _, symbols = topic.partition(":")
            return spec.Request(verb == "subscribe", tuple(_topic(path, symbol) for symbol in symbols.split(",")), request)
    return None


def _topic(path: str, symbol: str) -> Topic:
    if path not in CANDLES:
        return path, symbol
    name, _, interval = symbol.rpartition("_")
    return f"{path}_{interval}", name


def acknowledge_classic(request: spec.Request) -> list[bytes]:
    """One acknowledgement a request, if it wants one."""
    return [kit.encoded({"id": str(request.body.get("id")), "type": "ack"})] if request.body.get("response", True) else []


def refuse_classic(request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
    """All of it."""
    name = ":".join(next(iter(bad), ("", "")))
    return [_error(request.body, 404, f"topic {name} is not found")], None


def other_classic(request: dict[str, Any] | None, now: int) -> bytes:
    """A pong, or the refusal of what is no request."""
    if (request or {}).get("type") == "ping":
        return kit.encoded({"id": str((request or {}).get("id")), "type": "pong", "timestamp": now // 1_000})
    return _error(request or {}, 415, "type is not supported")


def asked_pro(request: dict[str, Any]) -> spec.Request | None:
    """`{"id", "action": "subscribe", "channel": "obu", "tradeType": "SPOT", "symbol", "depth"}`."""
    match request:
        case {"action": "subscribe" | "unsubscribe" as verb, "channel": str(channel), "symbol": str(symbol)}:
            channel = channel.lower()
            if channel == "kline":
                channel = f"kline_{request.get('interval')}"
            elif channel == "obu" and request.get("depth") != DEPTH:
                channel = f"obu_{request.get('depth')}"
            return spec.Request(verb == "subscribe", ((channel, symbol),), request)
    return None


def acknowledge_pro(request: spec.Request) -> list[bytes]:
    """One acknowledgement a request."""
    return [kit.encoded({"id": str(request.body.get("id")), "result": True})]


def refuse_pro(request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
    """All of it."""
    reason = f"symbols are not supported for topic {request.body.get('channel')}"
    return [kit.encoded({"id": str(request.body.get("id")), "result": False, "reason": reason})], None


def other_pro(request: dict[str, Any] | None, now: int) -> bytes:
    """A pong, or the refusal of what is no request."""
    if (request or {}).get("type") == "ping":
        return kit.encoded({"type": "pong", "id": str((request or {}).get("id")), "ts": now})
    return kit.encoded({"id": str((request or {}).get("id", "")), "result": False, "message": "invalid request data"})


def classify_classic(payload: bytes) -> spec.FrameInfo:
    """What a frame of the older protocol is."""
    path, _, symbol = _sent(payload).topic.partition(":")
    return spec.FrameInfo(spec.Role.DATA, (_topic(path, symbol),)) if path else spec.FrameInfo(spec.Role.REPLY)


def classify_pro(payload: bytes) -> spec.FrameInfo:
    """What a frame of the newer protocol is."""
    frame = _sent(payload)
    if not frame.T:
        return spec.FrameInfo(spec.Role.REPLY)
    named = _named(frame.d)
    channel = frame.T.partition(".")[0]
    return spec.FrameInfo(spec.Role.DATA, ((f"{channel}_{named.i}" if channel == "kline" else channel, named.s),))


def dialects(pro: Collection[str], classic: Collection[str]) -> tuple[spec.Dialect, spec.Dialect]:
    """Return the two protocols of a venue. `pro`, `classic`: their channels."""

    def pro_feed(source: Source, options: spec.Options) -> Feed:
        feed: Feed
        feed = KucoinFeed(source, options, newer, pro, acknowledge=acknowledge_pro, other=lambda request: other_pro(request, feed.now))
        return feed

    def classic_feed(source: Source, options: spec.Options) -> Feed:
        feed: Feed
        feed = ClassicFeed(
            source, options, older, classic, acknowledge=acknowledge_classic, other=lambda request: other_classic(request, feed.now)
        )
        return feed

    newer = spec.Dialect(
        name="pro", path="/pro", prefixes=("/pro",), feed=pro_feed, classify=classify_pro, asked=asked_pro, refuse=refuse_pro,
        binary=AS_TEXT, silence_s=SILENCE_S,
        welcome=lambda query: kit.encoded({"sessionId": "simulated", "message": "welcome", "pingInterval": PING_MS}),
    )  # fmt: skip
    older = spec.Dialect(
        name="classic", path="/endpoint", prefixes=("/endpoint",), feed=classic_feed, classify=classify_classic, asked=asked_classic,
        refuse=refuse_classic, silence_s=SILENCE_S,
        grant=Grant(path="/api/v1/bullet-public", write=_token, refusal=kit.encoded(_EXPIRED)),
        welcome=lambda query: kit.encoded({"id": query.get("connectId", ""), "type": "welcome"}),
    )  # fmt: skip
    return newer, older


def _token(token: str, address: str) -> object:
    server = {"endpoint": address, "encrypt": False, "protocol": "websocket", "pingInterval": PING_MS, "pingTimeout": 10_000}
    return {"code": "200000", "data": {"token": token, "instanceServers": [server]}}
