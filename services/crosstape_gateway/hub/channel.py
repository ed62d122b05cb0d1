"""One stream that clients follow: which groups want it, and its last values."""

from __future__ import annotations

from typing import TypeAlias

from crosstape_gateway.hub.group import Group
from crosstape_gateway.hub.memory import Memory
from crosstape_gateway.topics import Topic

Venues: TypeAlias = frozenset[str] | None
"""The venues that are wanted; None: all."""


class Channel:
    """What the hub knows of one stream."""

    __slots__ = ("groups", "holds", "is_foreign", "is_read", "kind", "memory", "name", "place", "topic", "unused_s")

    def __init__(self, name: str, topic: Topic) -> None:
        """`name`: that of the stream. `topic`: without a venue."""
        self.name = name
        self.kind = topic.kind
        self.place = (topic.kind, topic.instrument)
        self.topic = str(topic)
        self.groups: dict[Group, Venues] = {}
        """Those that name its instrument; those with a pattern are found by the kind."""
        self.holds = 0
        """How many clients are about to join."""
        self.is_read = False
        """Whether the reader reads it: once the tape has it."""
        self.is_foreign = False
        """Whether some other program has made its key something else than a stream: nothing comes from it, and nobody waits for it."""
        self.memory = Memory()
        self.unused_s: float | None = None
        """Since when nobody follows it, monotonic."""


def wanted_venues(topics: frozenset[Topic], kind: str, instrument: str) -> Venues:
    """Returns the venues that these topics want of a stream."""
    matching = [topic for topic in topics if topic.includes(kind, instrument)]
    return None if any(not topic.venue for topic in matching) else frozenset(topic.venue for topic in matching)
