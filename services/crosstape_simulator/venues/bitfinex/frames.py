"""Bitfinex: how its frames and requests are read, for faults.

Data carry only the number of their channel. Here no two subscriptions of a process have the same number, so that a frame alone shows its
topic. Recordings, whose numbers mean something else on each connection, are not played.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import count
from typing import Any, Final

import msgspec

from crosstape_simulator.server.connection import Topic
from crosstape_simulator.venues.rewriting import Checksum, Numbers
from crosstape_simulator.venues.spec import FrameInfo, Request, Role

SYMBOL_CHANNELS: Final = ("trades", "book", "ticker")
LIQUIDATIONS: Final[Topic] = ("liq:global",)
KEPT: Final = 100_000
"""Subscriptions that are remembered."""
_MILLISECONDS: Final = 10**12
_MS: Final = 1_000_000
_TIME: Final = re.compile(rb"(?<=[\[,:])1\d{12}(?=[,\]}])")
_TAIL: Final = re.compile(rb",\d+(,1\d{12}\]|\])$")
_SUM: Final = re.compile(rb'("cs",)(-?\d+)')
_AMOUNT: Final = re.compile(rb"(\[[0-9.e-]+,[1-9]\d*,-?)([0-9.]+)(e-\d+)?\]")
_numbers = count(10_000)
_topics: dict[int, Topic] = {}
_data = msgspec.json.Decoder(list[Any]).decode


def number_of(topic: Topic) -> int:
    """A new number for a subscription."""
    number = next(_numbers)
    _topics[number] = topic
    if len(_topics) > KEPT:
        del _topics[next(iter(_topics))]
    return number


def classify(payload: bytes) -> FrameInfo:
    """What a frame is. Heartbeats are for all, and have numbers as well."""
    if payload[:1] != b"[":
        frame = msgspec.json.decode(payload, type=dict[str, Any])
        if frame.get("event") in ("info", "pong"):
            return FrameInfo(Role.FREE)
        return FrameInfo(Role.REPLY, _about(frame))
    row = _data(payload)
    tail = [part for part in row[-2:] if isinstance(part, int)][-2:] if len(row) > 2 else []
    number = next((part for part in tail if 0 <= part < _MILLISECONDS), None) if tail and tail[-1] >= _MILLISECONDS else None
    if len(row) > 1 and row[1] == "hb":
        return FrameInfo(Role.FREE, number=number)
    topic = _topics.get(row[0])
    return FrameInfo(Role.DATA, (topic,) if topic is not None else (), number)


def _about(frame: dict[str, Any]) -> tuple[Topic, ...]:
    topic = topic_of(frame)
    return (topic,) if topic is not None else ()


def topic_of(frame: dict[str, Any]) -> Topic | None:
    """What a request, an acknowledgement or an error is about; None: nothing that exists."""
    channel, key, symbol = frame.get("channel"), str(frame.get("key", "")), str(frame.get("symbol", ""))
    match channel:
        case "book":
            return "book", symbol, str(frame.get("len", "25"))
        case "trades" | "ticker":
            return channel, symbol
        case "candles" if key.count(":") >= 2:
            _, timeframe, symbol = key.split(":", 2)
            return "candles", symbol, timeframe
        case "status" if key == LIQUIDATIONS[0]:
            return LIQUIDATIONS
        case "status" if key.startswith("deriv:"):
            return "deriv", key.removeprefix("deriv:")
        case _:
            return None


def asked(request: dict[str, Any]) -> Request | None:
    """What a request asks for. An unsubscribe names a number."""
    match request.get("event"):
        case "subscribe":
            topic = topic_of(request)
            return None if topic is None else Request(True, (topic,), request)
        case "unsubscribe":
            topic = _topics.get(request.get("chanId", 0))
            return None if topic is None else Request(False, (topic,), request)
        case _:
            return None


def error(request: dict[str, Any], message: str, code: int, **more: object) -> bytes:
    """An error repeats the request."""
    return msgspec.json.encode({**request, "event": "error", "msg": message, "code": code, **more})


def refuse(request: Request, bad: Collection[Topic]) -> tuple[list[bytes], Request | None]:
    """A request has one topic: it is refused."""
    return [error(request.body, "symbol: invalid", 10300)], None


def shift(payload: bytes, ns: int) -> bytes:
    """All times, which are numbers of 13 digits, later by `ns`."""
    return _TIME.sub(lambda found: b"%d" % (int(found.group()) + ns // _MS), payload)


class LastNumber(Numbers):
    """The number behind the data of each array, before the time."""

    def __init__(self) -> None:
        super().__init__("the last number but one of an array")

    def renumbered(self, payload: bytes, number: int) -> bytes:
        """The frame with another number."""
        return _TAIL.sub(lambda found: b",%d%s" % (number, found.group(1)), payload, count=1)


class OwnFrame(Checksum):
    """Checksums come in frames of their own."""

    def __init__(self) -> None:
        super().__init__("cs", "amount")

    def wrong(self, payload: bytes) -> bytes:
        """A checksum that is off by its last bit; any other frame as it is."""
        return _SUM.sub(lambda found: found.group(1) + b"%d" % (int(found.group(2)) ^ 1), payload, count=1)

    def without(self, payload: bytes) -> bytes:
        """No frame of a book has a checksum beside its levels."""
        return payload

    def wrong_level(self, payload: bytes) -> bytes | None:
        """A book frame with another amount in its first level that is not removed; None if it has no such level."""
        changed, found = _AMOUNT.subn(lambda one: one.group(1) + _other(one.group(2)) + (one.group(3) or b"") + b"]", payload, count=1)
        return changed if found else None


def _other(amount: bytes) -> bytes:
    """Another amount that is not zero: its last digit becomes another."""
    return amount[:-1] + (b"2" if amount[-1:] != b"2" else b"3")
