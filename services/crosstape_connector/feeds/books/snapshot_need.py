"""Which snapshot a book needs: why, whether it is requested, and what it is for. Pure."""

from __future__ import annotations

from typing import Final

from crosstape_connector.feeds.books.state import Request

SETTLED: Final = 100
"""Updates after which a new book counts as healthy, and its next break as the first."""

OLDER: Final = "the snapshot is older than the stream"
PROBE: Final = "silent"
"""Reason of a liveness probe: a snapshot of a healthy but silent book. It repairs nothing, and is not counted as an attempt."""

IDLE: Final = Request.NONE


class SnapshotNeed:
    """Moves from `wanted` to requested (`request`) to answered."""

    __slots__ = ("attempt", "request", "updates", "wanted")

    def __init__(self) -> None:
        self.wanted: str | None = None
        """Reason of the snapshot that is needed and not requested yet; None: none is."""
        self.request = IDLE
        """What the snapshot is for that is requested and not here yet."""
        self.attempt = 0
        """Number of the newest request, from 1 since the book was last healthy."""
        self.updates = 0
        """Updates applied since the newest request."""

    @property
    def is_awaiting(self) -> bool:
        """Whether a snapshot is requested and not here yet."""
        return self.request in (Request.SNAPSHOT, Request.PROBE)

    def clear(self) -> None:
        """Forget the need: the book begins, or is no more."""
        self.request = IDLE
        self.wanted = None

    def want_newer(self) -> None:
        """Want the requested snapshot once more: the answer was older than the stream."""
        self.request = Request.PROBE_AGAIN if self.request is Request.PROBE else IDLE
        self.wanted = OLDER

    def mark_requested(self) -> None:
        """Note that the snapshot which was `wanted` is requested."""
        if self.wanted != PROBE:
            self.attempt = 1 if self.updates >= SETTLED else self.attempt + 1
            self.updates = 0
        self.request = Request.PROBE if self.wanted == PROBE or self.request is Request.PROBE_AGAIN else Request.SNAPSHOT
        self.wanted = None
