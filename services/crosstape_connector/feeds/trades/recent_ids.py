"""Remembers the newest trade ids of an instrument, up to a bound. Pure."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Id = TypeVar("Id", int, str)


class RecentIds(Generic[Id]):
    """Keeps a set of ids beside the order in which they came.

    A dict alone would search longer and longer for its first key: it keeps the places of deleted ones until it grows.
    """

    __slots__ = ("_ids", "_most", "_order")

    def __init__(self, most: int) -> None:
        """`most`: so many ids are remembered."""
        self._most = most
        self._ids: set[Id] = set()
        self._order: deque[Id] = deque()

    def __contains__(self, trade_id: Id) -> bool:
        return trade_id in self._ids

    def add(self, trade_id: Id) -> Id | None:
        """Remember an id. Returns the oldest, if it was forgotten for that."""
        if trade_id in self._ids:
            return None
        self._ids.add(trade_id)
        self._order.append(trade_id)
        if len(self._order) <= self._most:
            return None
        oldest = self._order.popleft()
        self._ids.remove(oldest)
        return oldest

    def clear(self) -> None:
        """Forget all."""
        self._ids.clear()
        self._order.clear()
