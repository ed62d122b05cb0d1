"""One request of a connection that waits to be sent, or for its answer."""

from __future__ import annotations

from collections.abc import Iterable

from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.spec import Request


class PendingRequest:
    """One request: first queued, then sent, and forgotten when each of its topics has an answer."""

    __slots__ = ("handles", "request", "sent_at", "sent_ts", "topics", "unsubscribe")

    def __init__(self, request: Request, topics: Iterable[Topic], *, unsubscribe: bool = False) -> None:
        self.request = request
        self.topics = dict.fromkeys(topics)
        """Topics without an answer so far, in the request's order."""
        self.unsubscribe = unsubscribe
        self.handles = set(request.handles)
        """Of an unsubscribe: the venue's names of the subscriptions without an answer so far."""
        self.sent_at = 0.0
        """Seconds of the monotonic clock."""
        self.sent_ts = 0
        """ns since the epoch."""

    def is_over(self, handle: str) -> bool:
        """Note that an unsubscribe is answered for this handle; empty: for all. Returns whether nothing of it is left."""
        self.handles.discard(handle)
        return not handle or not self.handles
