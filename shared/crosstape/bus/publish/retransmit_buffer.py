"""Keeps the batches that were acknowledged lately: a server that lost data can be given them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from crosstape.bus.publish.batch import Batch
from crosstape.bus.publish.stream import Stream


class RetransmitBuffer:
    """Holds batches in order. The oldest are removed after `keep_s` seconds, and when all together are larger than `keep_bytes`."""

    def __init__(self, keep_s: float, keep_bytes: int) -> None:
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._batches: deque[Batch] = deque()
        self._size = 0

    def append(self, batch: Batch, now: float) -> None:
        """Add a written batch, and remove what is too old (by the monotonic clock) or too much."""
        batch.written_at = now
        batches = self._batches
        batches.append(batch)
        self._size += batch.size
        while batches and (batches[0].written_at <= now - self._keep_s or self._size > self._keep_bytes):
            self._size -= batches.popleft().size

    def missing(self, cursor: int, has: Mapping[Stream, tuple[int, int]]) -> list[Batch]:
        """Returns the batches that a server lacks: its cursor is at this number, and it has each stream up to `seq` (and its time).

        The server has a batch or has nothing of it. It has the batch when only the cursor was lost (evicted, or deleted by hand).
        """
        return [kept for kept in self._batches if kept.number > cursor and all(group.first > has[group.stream][0] for group in kept.groups)]
