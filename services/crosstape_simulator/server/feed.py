"""One WebSocket endpoint of a venue: who is connected, who subscribed to what, and where the data come from.

A feed speaks the venue's protocol; its `Source` is the synthetic market or a recording. The feed answers requests, the source sends data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

import msgspec

from crosstape_simulator.server.connection import Connection, Topic, encode_frame


class Source(Protocol):
    """Sends a feed's data."""

    def lists(self, symbol: str) -> bool:
        """Whether the symbol can be subscribed."""
        ...

    def depth(self, symbol: str) -> int | None:
        """The only depth of the symbol's book; None: any."""
        ...

    def subscribed(self, connection: Connection, topic: Topic) -> None:
        """Send a client that has subscribed what the venue sends first."""
        ...

    def holds_acks(self) -> bool:
        """Whether acknowledgements wait for the source, which then sends them (a recording's numbers include them)."""
        ...

    def greeting(self) -> bytes | None:
        """The frame that a client gets first, if the source knows better than the feed."""
        ...

    def beats(self) -> bool:
        """Whether heartbeats are wanted now: a recording that is being played has its own."""
        ...


class Feed(ABC):
    """What all endpoints share. Time-outs, limits and close codes are the venue's own."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.now = 0
        """The venue's time, ns: of the last second or move."""
        self.connections: dict[Connection, None] = {}
        self.subscribers: dict[Topic, dict[Connection, None]] = {}

    @abstractmethod
    def receive(self, connection: Connection, text: str) -> None:
        """Answer a client's message."""

    def second(self, now: int) -> None:
        """Send heartbeats and enforce deadlines; called about once a second with the time in ns."""
        self.now = now

    def beat(self, now: int) -> None:
        """Send heartbeats that a synthetic market would send with its data, while a recording is served."""
        return

    def open(self, connection: Connection, path: str, query: Mapping[str, str]) -> None:
        """Add a client that has connected."""
        self.connections[connection] = None

    def control(self, connection: Connection, *, pong: bool) -> None:
        """Note a client's ping (the server answers it) or pong. Most venues do not care."""
        return

    def close(self, connection: Connection) -> None:
        """Remove a client that has gone."""
        for topic in tuple(connection.topics):
            self.leave(connection, topic)
        self.connections.pop(connection, None)

    def join(self, connection: Connection, topic: Topic) -> None:
        """Subscribe a client to a topic."""
        connection.topics[topic] = None
        self.subscribers.setdefault(topic, {})[connection] = None

    def leave(self, connection: Connection, topic: Topic) -> None:
        """Unsubscribe a client from a topic."""
        connection.topics.pop(topic, None)
        clients = self.subscribers.get(topic, {})
        clients.pop(connection, None)
        if not clients:
            self.subscribers.pop(topic, None)

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Send the same bytes to all subscribers of a topic."""
        if clients := self.subscribers.get(topic):
            frame = encode_frame(payload)
            for connection in clients:
                connection.send_frame(frame)

    def publish_data(self, topic: Topic, text: str, ts: int) -> None:
        """Send data of the time `ts` to all subscribers of a topic, in the frame that the venue puts around data."""
        self.publish(topic, text.encode())

    def send_data(self, connection: Connection, topic: Topic, text: str, ts: int) -> None:
        """Send data to one client, in the same frame."""
        connection.send(text.encode())

    def announce(self, system: str, now: int) -> int:
        """Send all clients the venue's state (`online`, `maintenance`, …), as far as the venue does; returns how many clients got it."""
        return 0


def decode_object(text: str) -> dict[str, object] | None:
    """A client's JSON object, or None if it is not one."""
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.MsgspecError:
        return None


def strings(value: object) -> list[str] | None:
    """A list of strings, or None if it is not one."""
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None
