"""What a frame on its way to a client is, and what a client's request asks for: told from their bytes, for faults to choose by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from crosstape_simulator.faults.spec import Selected
from crosstape_simulator.server.connection import TEXT, Topic
from crosstape_simulator.server.feed import decode_object, strings
from crosstape_simulator.venues.frames import Role, Seen, classify

_BARE: Final = re.compile(rb'\{"e":"([A-Za-z0-9]+)",.{0,40}?"s":"([^"]+)"', re.DOTALL)
_BARE_TOP: Final = re.compile(rb'\{"u":\d+,"s":"([^"]+)"')
_BARE_CHANNELS: Final = {
    b"trade": ("trade",),
    b"aggTrade": ("aggTrade",),
    b"depthUpdate": ("depth", "depth@100ms"),
    b"24hrTicker": ("ticker",),
}

KINDS: Final[Mapping[str, frozenset[str]]] = {
    "trade": frozenset({"trade"}),
    "aggTrade": frozenset({"trade"}),
    "bookTicker": frozenset({"quote"}),
    "depth": frozenset({"book"}),
    "book": frozenset({"book"}),
    "level2": frozenset({"book"}),
    "level2_batch": frozenset({"book"}),
    "matches": frozenset({"trade"}),
    "market_trades": frozenset({"trade"}),
    "ticker": frozenset({"ticker"}),
    "ticker_batch": frozenset({"ticker"}),
}
"""Channel → our kinds. Kraken's ticker is both quote and ticker."""


class Message(NamedTuple):
    """One frame on its way out."""

    payload: bytes
    seen: Seen
    opcode: int = TEXT
    lost: int = 0
    """So many before it are missing from the connection's numbers."""
    numbered: bool = False
    """It has the number that the client will see."""

    @property
    def snapshot(self) -> bool:
        """Whether it is the whole of something, not a change."""
        return b'"type":"snapshot"' in self.payload[:200]


class Asked(NamedTuple):
    """A request to subscribe or unsubscribe."""

    subscribe: bool
    topics: tuple[Topic, ...]
    request: dict[str, Any]


def opened(frame: bytes) -> tuple[int, bytes]:
    """(opcode byte, payload) of a frame that `encode_frame` made."""
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[0], frame[start:]


def recognised(venue: str, endpoint: str, frame: bytes) -> Message:
    """The frame, and what it is."""
    opcode, payload = opened(frame)
    seen = classify(venue, endpoint, payload)
    if venue == "binance" and seen.role is Role.REPLY:
        seen = _bare(payload) or seen
    return Message(payload, seen, opcode)


def _bare(payload: bytes) -> Seen | None:
    """A frame of Binance's `/ws`, which does not name its stream."""
    if found := _BARE.match(payload):
        channels = _BARE_CHANNELS.get(found.group(1), ())
        low = found.group(2).decode().lower()
        return Seen(Role.DATA, tuple((f"{low}@{channel}",) for channel in channels)) if channels else None
    if found := _BARE_TOP.match(payload):
        return Seen(Role.DATA, ((f"{found.group(1).decode().lower()}@bookTicker",),))
    return None


def symbol(venue: str, topic: Topic) -> str:
    """The venue's name of what a topic is about; empty if of everything."""
    if venue == "binance":
        return topic[0].partition("@")[0].upper()
    return topic[1] if len(topic) > 1 else ""


def kinds(venue: str, topic: Topic) -> frozenset[str]:
    """Ours, of a topic; empty for what is none of them (a venue's status)."""
    channel = topic[0].split("@")[1] if venue == "binance" and "@" in topic[0] else topic[0]
    found = KINDS.get(channel, frozenset())
    return found | {"quote"} if venue == "kraken" and channel == "ticker" else found


def concerns(fault: Selected, venue: str, topics: tuple[Topic, ...], names: Mapping[str, str]) -> bool:
    """Whether a fault is about one of these topics. `names`: symbol → our name."""
    return any(fault.kind in {"all", *kinds(venue, topic)} and named(fault.instrument, symbol(venue, topic), names) for topic in topics)


def named(instrument: str, of: str, names: Mapping[str, str]) -> bool:
    """Whether `instrument` of a fault means the venue's symbol `of`."""
    return instrument in ("all", names.get(of)) or instrument.upper() == of.upper()


def asked(venue: str, endpoint: str, text: str) -> Asked | None:
    """What a client's message asks for; None if it is not about subscriptions, or not well formed (the feed will say so)."""
    request = decode_object(text)
    if request is None:
        return None
    match venue, endpoint:
        case "binance", _:
            streams = strings(request.get("params"))
            method = request.get("method")
            if streams is None or method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
                return None
            return Asked(method == "SUBSCRIBE", tuple((stream,) for stream in streams), request)
        case "kraken", _:
            return _kraken(request)
        case _, "advanced":
            products = strings(request.get("product_ids", [])) or [""]
            topics: list[Topic] = [(str(request.get("channel")), product) for product in products]
        case _:
            topics = _exchange(request)
    kind = request.get("type")
    return Asked(kind == "subscribe", tuple(topics), request) if kind in ("subscribe", "unsubscribe") else None


def _kraken(request: dict[str, Any]) -> Asked | None:
    params, method = request.get("params"), request.get("method")
    if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
        return None
    channel = str(params.get("channel"))
    suffix = {"book": (str(params.get("depth", 10)),), "ticker": (str(params.get("event_trigger", "trades")),)}.get(channel, ())
    topics = [(channel, name, *suffix) for name in strings(params.get("symbol", [])) or []] or [(channel,)]
    return Asked(method == "subscribe", tuple(topics), request)


def _exchange(request: dict[str, Any]) -> list[Topic]:
    shared = strings(request.get("product_ids", [])) or []
    channels = request.get("channels")
    topics: list[Topic] = []
    for channel in channels if isinstance(channels, list) else []:
        own = channel if isinstance(channel, dict) else {"name": channel}
        products = strings(own.get("product_ids", [])) or shared or [""]
        topics += [(str(own.get("name")), product) for product in products]
    return topics


def encoded(request: Mapping[str, Any]) -> str:
    """A request as text again."""
    return msgspec.json.encode(request).decode()
