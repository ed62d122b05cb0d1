"""Keys of what is subscribed (in the venue's names) and of what is published (in ours)."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """Names a subscription: one channel of one symbol, both in the venue's names, on one endpoint."""

    endpoint: str
    channel: str
    symbol: str


class FeedKey(NamedTuple):
    """Names a feed: one kind of event of one instrument, in our names."""

    kind: str
    instrument: str
