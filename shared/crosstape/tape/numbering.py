"""Checks the numbering of events that are read from the newest back to the oldest: `seq` per (venue, epoch). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from crosstape.bus import Missed
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, AnyEvent


class BackwardNumbering:
    """The numbering of one stream, from its end."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._lowest: dict[tuple[str, int], int] = {}
        self._missed: list[Missed] = []
        self._shared: set[str] = set()
        """Venues under which several producers write at the same time."""

    def check(self, event: AnyEvent) -> bool:
        """Note the next event. Returns False for one that was there before: a server that lost data may have got it twice."""
        seq, key = event.seq, (event.venue, event.epoch)
        if not seq:
            return True
        if event.venue == CONSOLIDATED and event.instrument == VENUE_WIDE:
            self._shared.add(event.venue)
        lowest = self._lowest.get(key)
        if lowest is not None and seq >= lowest:
            return False
        if lowest is not None and seq < lowest - 1:
            self._missed.append(Missed(self._stream, event.venue, event.epoch, seq + 1, lowest - 1 - seq))
        self._lowest[key] = seq
        return True

    @property
    def begins_later(self) -> bool:
        """Whether events before the oldest that was read are known to be missing."""
        return any(seq > 1 for seq in self._lowest.values())

    def missed(self) -> Iterator[Missed]:
        """Yields what is missing between the events that were read, oldest first."""
        first: dict[str, int] = {}
        for venue, epoch in self._lowest:
            first[venue] = min(first.get(venue, epoch), epoch)
        for (venue, epoch), seq in sorted(self._lowest.items()):
            if epoch > first[venue] and seq > 1 and venue not in self._shared:  # all of this start must be there: what was before it is
                yield Missed(self._stream, venue, epoch, 1, seq - 1)
        yield from reversed(self._missed)
