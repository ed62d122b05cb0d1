"""What a frame on its way to a client is, and what a client's request asks for: faults choose by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from crosstape_simulator.faults.spec import Selected
from crosstape_simulator.server.connection import TEXT, Topic, opened
from crosstape_simulator.server.feed import decode_object
from crosstape_simulator.venues.spec import FrameInfo, Request, SimulatedVenue


class Message(NamedTuple):
    """One frame on its way to a client."""

    payload: bytes
    info: FrameInfo
    opcode: int = TEXT
    lost: int = 0
    """How many messages are missing before it in the connection's numbers."""
    numbered: bool = False
    """Whether it has the number that the client will see."""

    @property
    def snapshot(self) -> bool:
        """Whether it is a snapshot, not an update."""
        return b'"type":"snapshot"' in self.payload[:200]


def recognised(venue: SimulatedVenue, endpoint: str, frame: bytes) -> Message:
    """The frame's payload, and what it is."""
    opcode, payload = opened(frame)
    return Message(payload, venue.classify_sent(endpoint, payload), opcode)


def kinds(venue: SimulatedVenue, topic: Topic) -> frozenset[str]:
    """Our kinds of a topic's data; none for a venue's status."""
    return venue.kinds.get(venue.named(topic)[0], frozenset())


def concerns(fault: Selected, venue: SimulatedVenue, topics: tuple[Topic, ...], names: Mapping[str, str]) -> bool:
    """Whether a fault is about one of these topics. `names`: symbol → our name."""
    return any(fault.kind in {"all", *kinds(venue, topic)} and named(fault.instrument, venue.named(topic)[1], names) for topic in topics)


def named(instrument: str, of: str, names: Mapping[str, str]) -> bool:
    """Whether `instrument` of a fault means the venue's symbol `of`."""
    return instrument in ("all", names.get(of)) or instrument.upper() == of.upper()


def asked(venue: SimulatedVenue, endpoint: str, text: str) -> Request | None:
    """What a client's message asks for; None if it is not about subscriptions, or malformed (the feed will say so)."""
    request = decode_object(text)
    return None if request is None else venue.dialect(endpoint).asked(request)


def encoded(request: Mapping[str, Any]) -> str:
    """The request as text."""
    return msgspec.json.encode(request).decode()
