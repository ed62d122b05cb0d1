"""Names of what is subscribed (theirs) and of what is published (ours)."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """What is subscribed: one channel of one symbol (both theirs) on one endpoint."""

    endpoint: str
    channel: str
    symbol: str


class FeedKey(NamedTuple):
    """What is published: one kind of one instrument (ours)."""

    kind: str
    instrument: str
