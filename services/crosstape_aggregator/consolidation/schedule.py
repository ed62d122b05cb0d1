"""Decides when the consolidated quote of an instrument is computed: after a change, and when time alone may change it. Pure.

**After a change.** If the last quote of an instrument is older than the interval, a change makes it due at once. Otherwise its changes are
due together, when the interval is over. Instruments are returned in the order in which they became due. So if the caller computes only
some of them (its `limit`, under load), the others come next, and each shows its newest state then.

**Because of time.** An instrument can schedule a look for a moment. A moment that is set is never moved to a later one: a look that comes
too early schedules the next one.

One heap holds both, so that thousands of instruments need no scan.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import Final

GRID: Final = 10_000_000
"""The moments of looks are rounded up to a multiple of this (ns), so that looks close together need one timer."""


class Schedule:
    """Holds the names of instruments by the time when they are due (ns). Its size is bounded by the number of names."""

    __slots__ = ("_heap", "_interval_ns", "_look_ts", "_now", "_published_ts", "_ready", "changed", "merged")

    def __init__(self, interval_ns: int) -> None:
        self.changed: set[str] = set()
        """Names that have changed since `due` last returned them."""
        self.merged = 0
        """Number of changes of names that were in `changed` already."""
        self._interval_ns = interval_ns
        self._now = 0
        self._published_ts: dict[str, int] = {}
        self._look_ts: dict[str, int] = {}
        self._ready: deque[str] = deque()
        self._heap: list[tuple[int, str, bool]] = []  # (moment, name, True: it has changed; False: a look)

    def mark(self, name: str, now: int) -> None:
        """Note that an instrument has changed."""
        if name in self.changed:
            self.merged += 1
            return
        self.changed.add(name)
        published_ts = self._published_ts.get(name, 0)
        due_ts = published_ts + self._interval_ns
        if due_ts <= now or now < published_ts:  # our clock was set back: do not wait until it has caught up
            self._ready.append(name)
        else:
            heappush(self._heap, (due_ts, name, True))

    def published(self, name: str, now: int) -> None:
        """Start the interval of an instrument: its quote is published now."""
        self._published_ts[name] = now

    def look_at(self, name: str, ts: int) -> None:
        """Schedule a look at an instrument at `ts`, unless an earlier one is set."""
        ts = -(-ts // GRID) * GRID
        before = self._look_ts.get(name)
        if before is None or ts < before:
            self._look_ts[name] = ts
            heappush(self._heap, (ts, name, False))

    def advance(self, now: int) -> list[str]:
        """Set the time. Returns the names whose look is due; their looks are removed."""
        if now < self._now:
            self._clock_was_set_back(now)
        self._now = now
        names = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            ts, name, has_changed = heappop(heap)
            if has_changed:
                self._ready.append(name)
            elif self._look_ts.get(name) == ts:  # else an earlier moment was set after this one, and has passed
                del self._look_ts[name]
                names.append(name)
        return names

    def _clock_was_set_back(self, now: int) -> None:
        """Make the instruments due that would otherwise wait longer than one interval."""
        late = sorted(entry for entry in self._heap if entry[2] and entry[0] > now + self._interval_ns)
        if late:
            self._ready.extend(name for _, name, _ in late)
            self._heap = [entry for entry in self._heap if not entry[2] or entry[0] <= now + self._interval_ns]
            heapify(self._heap)

    def due(self, limit: int | None = None) -> list[str]:
        """Return at most `limit` names that are due, the longest due first. They count as unchanged from now on."""
        ready = self._ready
        count = len(ready) if limit is None else min(limit, len(ready))
        names = [ready.popleft() for _ in range(count)]
        self.changed.difference_update(names)
        return names

    def next_ts(self) -> int | None:
        """Return the next moment (ns) at which a name may be due; 0 = one is due already, None: none is scheduled."""
        if self._ready:
            return 0
        return self._heap[0][0] if self._heap else None
