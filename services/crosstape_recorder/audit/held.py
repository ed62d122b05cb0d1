"""Holds published events back until all that belongs to the same moment has come.

A quote, the book and the edges of one moment are on three streams, and may reach the tape in different batches.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from crosstape_recorder.audit.quotes import Published
from crosstape_schemas import Depth, Edge

HOLD_MS: Final = 5_000


class Item(NamedTuple):
    """One event that waits."""

    epoch: int
    ts: int
    rank: int
    number: int
    ms: int
    n: int
    event: Depth | Edge | Published


_DEPTH: Final = 0
_EDGE: Final = 1
_QUOTE: Final = 2
"""At one moment, edges come before the quote with which the open ones are compared."""


class Held:
    """Events that wait, in the order in which they were computed."""

    def __init__(self) -> None:
        self._heap: list[Item] = []
        self._numbers = count()

    def add(self, ms: int, n: int, event: Depth | Edge | Published) -> None:
        """Add an event."""
        computed = event.quote if isinstance(event, Published) else event
        rank = _QUOTE if isinstance(event, Published) else _EDGE if isinstance(event, Edge) else _DEPTH
        heappush(self._heap, Item(computed.epoch, computed.ts, rank, next(self._numbers), ms, n, event))

    def due(self, ms: int | None) -> list[Item]:
        """Return the events that have waited long enough at this id; None: all."""
        heap, found = self._heap, []
        while heap and (ms is None or heap[0].ms < ms - HOLD_MS):
            found.append(heappop(heap))
        return found
