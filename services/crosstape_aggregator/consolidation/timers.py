"""Moments to look at names again: a heap with one live entry a name, so that thousands of instruments need no scan."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

GRID: Final = 10_000_000
"""Moments are rounded up to this many ns, so that those close together are one awakening."""


class Timers:
    """When each name must be looked at. A moment that has been set is not put off: whoever looks too early sets the next one."""

    __slots__ = ("_heap", "_set")

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._set: dict[str, int] = {}

    def set(self, name: str, ts: int) -> None:
        """Look at it at `ts`, or earlier if that was said before."""
        ts = -(-ts // GRID) * GRID
        before = self._set.get(name)
        if before is None or ts < before:
            self._set[name] = ts
            heappush(self._heap, (ts, name))

    def due(self, now: int) -> list[str]:
        """The names to look at now; nothing is set for them any more."""
        names = []
        while self._heap and self._heap[0][0] <= now:
            ts, name = heappop(self._heap)
            if self._set.get(name) == ts:  # else an earlier moment was set after this one, and has passed
                del self._set[name]
                names.append(name)
        return names

    def next_ts(self) -> int | None:
        """The next moment; it may turn out that nothing is due then."""
        return self._heap[0][0] if self._heap else None
