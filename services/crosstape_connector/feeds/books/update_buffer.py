"""The updates of a book that wait for its snapshot, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from crosstape_connector.venues.messages import BookUpdate

CAPACITY: Final = 65_536
"""Levels and updates kept at most; beyond, all are dropped and the snapshot is requested again."""


class UpdateBuffer:
    """Updates in their order of arrival, `CAPACITY` levels and updates at most."""

    __slots__ = ("_size", "_updates")

    def __init__(self) -> None:
        self._updates: deque[BookUpdate] = deque()
        self._size = 0  # levels and updates

    def __iter__(self) -> Iterator[BookUpdate]:
        return iter(self._updates)

    def __len__(self) -> int:
        return len(self._updates)

    def append(self, update: BookUpdate) -> bool:
        """Keep one more; False: there is no room, and all are dropped."""
        self._size += _size(update)
        if self._size > CAPACITY:
            self.clear()
            return False
        self._updates.append(update)
        return True

    def drop(self, before_ts: int) -> None:
        """Drop those that were received before this moment (ns)."""
        updates = self._updates
        while updates and updates[0].received_ts < before_ts:
            self._size -= _size(updates.popleft())

    def clear(self) -> None:
        """Drop all."""
        self._updates.clear()
        self._size = 0


def _size(update: BookUpdate) -> int:
    return 1 + len(update.bids) + len(update.asks)
