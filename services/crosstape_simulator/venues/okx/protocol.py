"""OKX's WebSocket: requests and their answers, the ping, limits, and what a frame is about.

Docs    https://www.okx.com/docs-v5/en/#overview-websocket
Quirks  one answer for each argument of a request, those that are wrong refused alone; the ping is the text `ping`. A client that sends
        nothing for 30 s is closed
Topics  (channel, instrument); (channel, type) of `liquidation-orders`; (`status`,)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Source
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec

MS: Final = 1_000_000
HOUR_S: Final = 3_600.0
SILENCE_S: Final = 30.0
BY_TYPE: Final = frozenset({"liquidation-orders"})
OF_ALL: Final = frozenset({"status", "index-tickers", *BY_TYPE})
"""Channels whose topics name no instrument that is listed."""
PONG: Final = b"pong"


class _Frame(msgspec.Struct):
    arg: dict[str, str] = {}
    event: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


_frame = msgspec.json.Decoder(_Frame).decode


def topic_of(arg: Mapping[str, Any]) -> Topic:
    """`{"channel", "instId"}` → (channel, instrument)."""
    channel = str(arg.get("channel"))
    about = arg.get("instType" if channel in BY_TYPE else "instId")
    return (channel,) if about is None else (channel, str(about))


def arg_of(topic: Topic) -> dict[str, str]:
    """The argument of a topic."""
    return {"channel": topic[0], **({"instType" if topic[0] in BY_TYPE else "instId": topic[1]} if len(topic) > 1 else {})}


def head(topic: Topic, action: str = "") -> str:
    """The part of a frame before its data."""
    arg = msgspec.json.encode(arg_of(topic)).decode()
    return f'{{"arg":{arg},"action":"{action}","data":' if action else f'{{"arg":{arg},"data":'


def frame(topic: Topic, row: str, action: str = "") -> str:
    """A frame with one row."""
    return f"{head(topic, action)}[{row}]}}"


def classify(payload: bytes) -> spec.FrameInfo:
    """What a frame is: data have an argument, answers and notices an event."""
    if payload == PONG:
        return spec.FrameInfo(spec.Role.REPLY)
    made = _frame(payload)
    if made.event == "notice":
        return spec.FrameInfo(spec.Role.FREE)
    topics = (topic_of(made.arg),) if made.arg else ()
    return spec.FrameInfo(spec.Role.REPLY if made.event else spec.Role.DATA, topics)


def asked(request: dict[str, Any]) -> spec.Request | None:
    """`{"op": "subscribe", "args": [{"channel", "instId"}, …]}`."""
    match request:
        case {"op": "subscribe" | "unsubscribe" as op, "args": list(args)} if all(isinstance(arg, dict) for arg in args):
            return spec.Request(op == "subscribe", tuple(map(topic_of, args)), request)
    return None


def refuse(request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
    """One refusal for each wrong argument; the others are left."""
    left = tuple(topic for topic in request.topics if topic not in bad)
    replies = [_error(request.body, "60018", _wrong(topic)) for topic in bad] or [_error(request.body, "60012", "Invalid request: no args")]
    return replies, spec.Request(request.subscribe, left, {**request.body, "args": [arg_of(topic) for topic in left]}) if left else None


def _wrong(topic: Topic) -> str:
    about = f",{'instType' if topic[0] in BY_TYPE else 'instId'}:{topic[1]}" if len(topic) > 1 else ""
    wrong = f"Wrong URL or channel:{topic[0]}{about} doesn't exist."
    return f"{wrong} Please use the correct URL, channel and parameters referring to API document."


def _error(request: Mapping[str, Any], code: str, text: str) -> bytes:
    return kit.encoded({**_id(request), "event": "error", "code": code, "msg": text, "connId": "a4d3ae55"})


def _id(request: Mapping[str, Any]) -> dict[str, str]:
    return {"id": str(request["id"])} if "id" in request else {}


def acknowledge(request: spec.Request) -> list[bytes]:
    """One acknowledgement for each argument."""
    event = "subscribe" if request.subscribe else "unsubscribe"
    return [kit.encoded({**_id(request.body), "event": event, "arg": arg_of(topic), "connId": "a4d3ae55"}) for topic in request.topics]


def _about(topic: Topic) -> str:
    return "" if topic[0] in OF_ALL or len(topic) < 2 else topic[1]


class OkxFeed(kit.RequestFeed):
    """Either address. Requests beyond the limit of an hour are refused."""

    def __init__(self, source: Source, options: spec.Options, channels: Collection[str]) -> None:
        super().__init__(
            source,
            channels,
            asked=asked,
            acknowledge=acknowledge,
            refuse=refuse,
            other=lambda request: _error(request or {}, "60012", "Invalid request"),
            symbol=_about,
        )
        self._per_hour = round(options["requests_per_hour"])

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a ping or a request."""
        if text == "ping":
            connection.send(PONG)
        elif connection.exceeds(self._per_hour, HOUR_S):
            connection.send(_error({}, "60014", "Requests too frequent"))
        else:
            super().receive(connection, text)

    def announce(self, system: str, now: int) -> int:
        """Say on `status` that maintenance goes on, or is over."""
        state = "completed" if system == "online" else "ongoing"
        times = f'"begin":"1767229200000","end":"1767232800000","preOpenBegin":"","ts":"{now // MS}"'
        row = f'{{{times},"href":"","scheDesc":"","serviceType":"5","state":"{state}","system":"unified","maintType":"1","env":"1"'
        clients = self.subscribers.get(("status",), {})
        self.publish(("status",), frame(("status",), f'{row},"title":"{system}"}}').encode())
        return len(clients)


def dialect(name: str, channels: Collection[str]) -> spec.Dialect:
    """One address of a venue. `channels`: those that it has."""
    return spec.Dialect(
        name=name,
        path=f"/ws/v5/{name}",
        prefixes=(f"/ws/v5/{name}",),
        feed=lambda source, options: OkxFeed(source, options, channels),
        classify=classify,
        asked=asked,
        refuse=refuse,
        acknowledges_each=True,
        silence_s=SILENCE_S,
    )
