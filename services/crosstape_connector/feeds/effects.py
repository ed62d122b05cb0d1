"""The values that the feeds return: events for the tape, snapshot requests for the code that does I/O, and data that cannot be right."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Odd
from crosstape_schemas import Event


class SnapshotRequest(msgspec.Struct, frozen=True):
    """Requests a new snapshot of one book: fetch it by REST and apply it, or unsubscribe its topic and subscribe it again."""

    instrument: str
    symbol: str
    how: Literal["rest", "resubscribe"]
    cause: str
    attempt: int = 1
    """1, 2 … since the book was last healthy for a while: the pause before an attempt depends on it."""
    topic: Topic | None = None
    """The topic that brings the book; None if none was opened."""
    levels: int = 0
    """Levels a side that the snapshot is to have, by REST; 0: there is no choice."""


Effect: TypeAlias = Event | SnapshotRequest | Odd
