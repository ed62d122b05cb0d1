"""What Bitget's sockets share: requests of several parts and their answers, text pings, limits.

Docs    https://www.bitget.com/api-doc/common/websocket-intro, https://www.bitget.com/api-doc/uta/websocket/intro
Quirks  each part of a request is answered alone; a part of another product is acknowledged and stays silent; errors of v3 repeat the part
        in a text; a client that sends no ping for two minutes is closed, however much it gets; too many parts in one request cut it
Assumed, as no documentation says it: what is sent where a connection subscribes more often than it may
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Source, decode_object
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec

MS: Final = 1_000_000
HOUR_NS: Final = 3_600 * NS
ProductOf = Callable[[str], str]
"""Symbol → its product."""
PARTS_MAX: Final = 24
POLICY_VIOLATION: Final = 1008
OPTIONS: Final = {"messages_per_s": 10.0, "subscribes_per_hour": 240.0, "silence_s": 120.0, "requests_per_s": 20.0, "history": 20.0}
"""`history`: past trades that are sent on subscribing."""
ERRORS: Final = {400: ("40034", "Parameter does not exist"), 404: ("40404", "Request URL NOT FOUND"), 429: ("429", "Too Many Requests")}
SILENT: Final = "of another product"


def frame(symbol: kit.Symbol, product: str, channel: str, data: str, ts: int, *, action: str = "update") -> str:
    """A frame of v2 with data: rows without their brackets."""
    arg = f'{{"instType":"{product}","channel":"{channel}","instId":"{symbol.name}"}}'
    return f'{{"action":"{action}","arg":{arg},"data":[{data}],"ts":{ts // MS}}}'


def part_of(topic: Topic, product: ProductOf) -> dict[str, str]:
    """The part of a request that names a topic: of another product, or of the symbol's own. `product`: of a symbol."""
    channel, symbol = topic[0], topic[1]
    named = topic[2] if len(topic) > 2 else product(symbol)
    if not symbol:
        return {"instType": named.lower(), "topic": channel}
    return {"instType": named, "channel": channel, "instId": symbol}


def asked_of(product: ProductOf, request: dict[str, Any]) -> spec.Request | None:
    """What a request asks for. `product`: of a symbol."""
    match request:
        case {"op": "subscribe" | "unsubscribe" as verb, "args": [*args]} if args and all(isinstance(one, dict) for one in args):
            return spec.Request(verb == "subscribe", tuple(_topic(one, product) for one in args), request)
    return None


def _topic(part: dict[str, Any], product: ProductOf) -> Topic:
    named, symbol = str(part.get("instType")), str(part.get("instId", ""))
    if "topic" in part:
        return str(part["topic"]), "", named.upper()
    channel = str(part.get("channel"))
    return (channel, symbol) if product(symbol) == named else (channel, symbol, named)


def acknowledged(product: ProductOf, request: spec.Request) -> list[bytes]:
    """One acknowledgement for each part."""
    event = "subscribe" if request.subscribe else "unsubscribe"
    return [kit.encoded({"event": event, "arg": part_of(topic, product)}) for topic in request.topics]


def refused(product: ProductOf, request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
    """An error for each part that does not exist; the others are left."""
    errors = [kit.encoded(_error(part_of(topic, product), request.body)) for topic in bad]
    left = tuple(topic for topic in request.topics if topic not in bad)
    return errors, request._replace(topics=left) if left else None


def _error(part: dict[str, str], body: Mapping[str, Any]) -> dict[str, object]:
    if "topic" in part:
        return {"event": "error", "code": 30001, "msg": f"{kit.encoded(part).decode()} doesn't exist", "connId": "simulated"}
    names = f"instType:{part['instType']},channel:{part['channel']},instId:{part['instId']},precision:null"
    return {"event": "error", "arg": part, "code": 30001, "msg": f"{names} doesn't exist", "op": body.get("op")}


def classified(product: ProductOf, payload: bytes) -> spec.FrameInfo:
    """What a frame is: data have an action, answers an event."""
    if payload == b"pong":
        return spec.FrameInfo(spec.Role.REPLY)
    made = msgspec.json.decode(payload, type=dict[str, Any])
    if "action" in made:
        return spec.FrameInfo(spec.Role.DATA, (_topic(made["arg"], product),))
    return spec.FrameInfo(spec.Role.REPLY, (_topic(made["arg"], product),) if "arg" in made else ())


def refusal(status: int, reason: str) -> dict[str, object]:
    """The JSON of an error by REST."""
    code, usual = ERRORS.get(status, ("40725", "service return an error"))
    return {"code": code, "msg": reason or usual, "requestTime": 1_767_225_600_000, "data": None}


def found(data: object) -> Answer:
    """An answer with data."""
    return answer({"code": "00000", "msg": "success", "requestTime": 1_767_225_600_000, "data": data})


UNKNOWN: Final = answer(refusal(400, ""), 400)
BUSY: Final = answer(refusal(429, ""), 429)


class BitgetFeed(kit.RequestFeed):
    """Answers pings as text, and counts what a client sends."""

    def __init__(self, source: Source, channels: Collection[str], options: spec.Options, product: ProductOf) -> None:
        """`product`: of a symbol."""
        super().__init__(
            source,
            channels,
            asked=lambda request: asked_of(product, request),
            acknowledge=lambda request: acknowledged(product, request),
            refuse=lambda request, bad: refused(product, request, bad),
            other=lambda request: kit.encoded({"event": "error", "code": 30003, "msg": "op not exist"}),
        )
        self._messages = int(options["messages_per_s"])
        self._most = int(options["subscribes_per_hour"])
        self._subscribed: dict[Connection, deque[int]] = {}

    def close(self, connection: Connection) -> None:
        """Forget a client that has gone."""
        super().close(connection)
        self._subscribed.pop(connection, None)

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a ping or a request, within the limits."""
        if self._messages and connection.exceeds(self._messages, 1.0):
            connection.close(POLICY_VIOLATION, "request over limit")
        elif text == "ping":
            connection.send(b"pong")
        elif self._is_too_much(connection, text):
            connection.cut()
        else:
            super().receive(connection, text)

    def _is_too_much(self, connection: Connection, text: str) -> bool:
        request = decode_object(text)
        asked = None if request is None else self._asked(request)
        if asked is None:
            return False
        if len(asked.topics) > PARTS_MAX:
            return True
        recent = self._subscribed.setdefault(connection, deque())
        while recent and recent[0] <= self.now - HOUR_NS:
            recent.popleft()
        recent.extend([self.now] * len(asked.topics) if asked.subscribe else ())
        return bool(self._most) and len(recent) > self._most
