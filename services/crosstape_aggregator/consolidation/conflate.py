"""Whose turn it is: which of the instruments that changed are due, at most once per interval each.

The first change of a quiet instrument is due at once; what follows within the interval is due together, when it is over. Instruments come
out in the order in which they became due, so when only a share of them can be had (the caller's `limit`, under load), none is passed
over: each waits for its turn and then shows its newest state.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush


class Conflation:
    """Names that changed and have not been taken since. Unbounded only in the number of names, each held once."""

    __slots__ = ("_dirty", "_interval_ns", "_published_ts", "_ready", "_waiting", "merged")

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._dirty: set[str] = set()
        self._published_ts: dict[str, int] = {}
        self._ready: deque[str] = deque()
        self._waiting: list[tuple[int, str]] = []
        self.merged = 0
        """Changes of what had changed already."""

    def mark(self, name: str, now: int) -> None:
        """That instrument has changed."""
        if name in self._dirty:
            self.merged += 1
            return
        self._dirty.add(name)
        published_ts = self._published_ts.get(name, 0)
        due_ts = published_ts + self._interval_ns
        if due_ts <= now or now < published_ts:  # our clock was set back: nobody waits until it has caught up
            self._ready.append(name)
        else:
            heappush(self._waiting, (due_ts, name))

    def published(self, name: str, now: int) -> None:
        """That instrument's interval begins."""
        self._published_ts[name] = now

    def due(self, now: int, limit: int | None = None) -> list[str]:
        """Those whose turn it is, longest due first and `limit` at most; they are clean from here on."""
        self._ripen(now)
        count = len(self._ready) if limit is None else min(limit, len(self._ready))
        names = [self._ready.popleft() for _ in range(count)]
        self._dirty.difference_update(names)
        return names

    def next_ts(self) -> int | None:
        """When something will be due: 0 when it is already, None while nothing has changed."""
        if self._ready:
            return 0
        return self._waiting[0][0] if self._waiting else None

    def __len__(self) -> int:
        """How many have changed."""
        return len(self._dirty)

    def _ripen(self, now: int) -> None:
        while self._waiting and not now < self._waiting[0][0] <= now + self._interval_ns:
            self._ready.append(heappop(self._waiting)[1])
