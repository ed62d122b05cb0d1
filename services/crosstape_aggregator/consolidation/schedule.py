"""Decides when the consolidated quote of an instrument is computed: after a change, and when time alone may change it. Pure.

**After a change.** The first change of a quiet instrument is due at once. Changes within the interval after a quote are due together, when
the interval is over. Instruments come out in the order in which they became due. So when the caller computes only some of them (its
`limit`, under load), none is passed over: each waits for its turn and then shows its newest state.

**By time.** An instrument can ask for a look at a moment. A moment that has been set is not put off: a look that comes too early sets the
next one.

One heap holds both, so that thousands of instruments need no scan.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import Final

GRID: Final = 10_000_000
"""Moments of looks are rounded up to this many ns, so that those close together are one awakening."""


class Schedule:
    """Names of instruments by when they are due. Times are ns. Bounded by the number of names."""

    __slots__ = ("_heap", "_interval_ns", "_look_ts", "_now", "_published_ts", "_ready", "changed", "merged")

    def __init__(self, interval_ns: int) -> None:
        self.changed: set[str] = set()
        """Names that have changed since they last came out."""
        self.merged = 0
        """Changes of names that had changed already."""
        self._interval_ns = interval_ns
        self._now = 0
        self._published_ts: dict[str, int] = {}
        self._look_ts: dict[str, int] = {}
        self._ready: deque[str] = deque()
        self._heap: list[tuple[int, str, bool]] = []  # the moment, the name, and whether it has changed; else it is to be looked at

    def mark(self, name: str, now: int) -> None:
        """An instrument has changed."""
        if name in self.changed:
            self.merged += 1
            return
        self.changed.add(name)
        published_ts = self._published_ts.get(name, 0)
        due_ts = published_ts + self._interval_ns
        if due_ts <= now or now < published_ts:  # our clock was set back: nobody waits until it has caught up
            self._ready.append(name)
        else:
            heappush(self._heap, (due_ts, name, True))

    def published(self, name: str, now: int) -> None:
        """The interval of an instrument begins."""
        self._published_ts[name] = now

    def look_at(self, name: str, ts: int) -> None:
        """Schedule a look at an instrument at `ts`, unless an earlier one is set."""
        ts = -(-ts // GRID) * GRID
        before = self._look_ts.get(name)
        if before is None or ts < before:
            self._look_ts[name] = ts
            heappush(self._heap, (ts, name, False))

    def advance(self, now: int) -> list[str]:
        """Move time on. Returns the names to look at now; their looks are unset."""
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
        """Make instruments due that would wait longer than an interval."""
        late = sorted(entry for entry in self._heap if entry[2] and entry[0] > now + self._interval_ns)
        if late:
            self._ready.extend(name for _, name, _ in late)
            self._heap = [entry for entry in self._heap if not entry[2] or entry[0] <= now + self._interval_ns]
            heapify(self._heap)

    def due(self, limit: int | None = None) -> list[str]:
        """The names that were due when time last advanced, longest due first and `limit` at most. They count as unchanged from now on."""
        ready = self._ready
        count = len(ready) if limit is None else min(limit, len(ready))
        names = [ready.popleft() for _ in range(count)]
        self.changed.difference_update(names)
        return names

    def next_ts(self) -> int | None:
        """The next moment at which something may be due: 0 when something is already; None: nothing is."""
        if self._ready:
            return 0
        return self._heap[0][0] if self._heap else None
