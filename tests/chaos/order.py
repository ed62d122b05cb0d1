"""Finds the earliest time at which a message without a time was sent, from the order of a connection: right on slow machines, too."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

from crosstape_schemas import Book, Delta, Event, Trade

KEPT: Final = 20_000
"""Dated events that are remembered."""


class Order:
    """The times that one venue put on its messages, in the order in which we received them."""

    def __init__(self) -> None:
        self._dated: list[tuple[int, int]] = []  # (received_ts, venue_ts), ascending

    def take(self, event: Event) -> None:
        """Note an event of this venue. An event that did not come over its stream is ignored."""
        match event:
            case Trade(backfilled=False, venue_ts=int() as sent_ts) | Delta(venue_ts=int() as sent_ts) | Book(venue_ts=int() as sent_ts):
                insort(self._dated, (event.received_ts, sent_ts))
        if len(self._dated) > 2 * KEPT:
            del self._dated[:-KEPT]

    def sent_after(self, received_ts: int) -> int | None:
        """Returns the earliest send time (ns) of a message received then: the newest time on a message before it; None: there is none."""
        index = bisect_left(self._dated, (received_ts, 0))
        return min(received_ts, self._dated[index - 1][1]) if index else None
