"""What a connection tells in order: by it, how old a thing without a time can have been when it was sent, however slow the machine is."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

from crosstape_schemas import Book, Delta, Event, Trade

KEPT: Final = 20_000
"""Dated events that are remembered."""


class Order:
    """Of one venue: the times that it put on what it sent, in the order of our receipt."""

    def __init__(self) -> None:
        self._dated: list[tuple[int, int]] = []  # (received_ts, venue_ts), ascending

    def take(self, event: Event) -> None:
        """One of this venue's; what came otherwise than over its stream tells nothing."""
        match event:
            case Trade(backfilled=False, venue_ts=int() as sent_ts) | Delta(venue_ts=int() as sent_ts) | Book(venue_ts=int() as sent_ts):
                insort(self._dated, (event.received_ts, sent_ts))
        if len(self._dated) > 2 * KEPT:
            del self._dated[:-KEPT]

    def sent_after(self, received_ts: int) -> int | None:
        """When what was received then can have been sent at the earliest: with the newest dated before it; None: there is none."""
        index = bisect_left(self._dated, (received_ts, 0))
        return min(received_ts, self._dated[index - 1][1]) if index else None
