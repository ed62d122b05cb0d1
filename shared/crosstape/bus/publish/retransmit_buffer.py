"""The batches that were acknowledged lately: what a server that lost data can be given again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from crosstape.bus.publish.batch import Batch
from crosstape.bus.publish.stream import Stream


class RetransmitBuffer:
    """In order. The oldest go after `keep_s` seconds, and when all are more than `keep_bytes`."""

    def __init__(self, keep_s: float, keep_bytes: int) -> None:
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._batches: deque[Batch] = deque()
        self._size = 0

    def keep(self, batch: Batch, now: float) -> None:
        """Put a written batch in, and out what is too old, on the monotonic clock, or too much."""
        batch.written_at = now
        batches = self._batches
        batches.append(batch)
        self._size += batch.size
        while batches and (batches[0].written_at <= now - self._keep_s or self._size > self._keep_bytes):
            self._size -= batches.popleft().size

    def lacking(self, found: int, has: Mapping[Stream, tuple[int, int]]) -> list[Batch]:
        """What a server lacks whose cursor stands at `found`, and which has each stream up to `seq` (and its time).

        A batch is there wholly or not at all. It is there if only the cursor was lost, not the data: evicted, or deleted by hand.
        """
        return [kept for kept in self._batches if kept.number > found and all(group.first > has[group.stream][0] for group in kept.groups)]
