"""Checks the numbering of events that are read from the newest back to the oldest: `seq` per (venue, epoch). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from crosstape.bus import Missed
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, AnyEvent


class BackwardNumbering:
    """The numbering of one stream, from its end. Only what is missing between `from_ts` and `to_ts` (ns; None: no bound) is reported."""

    def __init__(self, stream: str, from_ts: int | None = None, to_ts: int | None = None) -> None:
        self._stream = stream
        self._from_ts = from_ts
        self._to_ts = to_ts
        self._lowest: dict[tuple[str, int], AnyEvent] = {}
        self._missed: list[Missed] = []
        self._oldest: dict[str, int] = {}  # venue → the lowest epoch so far
        self._shared: set[str] = set()
        """Venues under which several producers write at the same time."""

    def check(self, event: AnyEvent) -> bool:
        """Note the next event. Returns False for one that was there before: a server that lost data may have got it twice."""
        seq, key = event.seq, (event.venue, event.epoch)
        if not seq:
            return True
        if event.venue == CONSOLIDATED and event.instrument == VENUE_WIDE:
            self._shared.add(event.venue)
        if event.epoch > self._oldest.setdefault(event.venue, event.epoch):
            self._shared.add(event.venue)  # an older start writes after a newer one: they are two producers
        self._oldest[event.venue] = min(event.epoch, self._oldest[event.venue])
        if (newer := self._lowest.get(key)) is not None:
            if seq >= newer.seq:
                return False
            if seq < newer.seq - 1 and self._after_start(newer) and (self._to_ts is None or event.received_ts < self._to_ts):
                self._missed.append(Missed(self._stream, event.venue, event.epoch, seq + 1, newer.seq - 1 - seq))
        self._lowest[key] = event
        return True

    def lowest(self) -> Iterator[tuple[str, int, int]]:
        """Yields the lowest `seq` that was read of each venue and epoch."""
        for (venue, epoch), event in self._lowest.items():
            yield venue, epoch, event.seq

    def received_ts(self, venue: str, epoch: int) -> int:
        """Returns when the event with the lowest `seq` was received, ns."""
        return self._lowest[venue, epoch].received_ts

    @property
    def begins_later(self) -> bool:
        """Whether events before the oldest that was read are known to be missing."""
        return any(event.seq > 1 for event in self._lowest.values())

    def missed(self) -> Iterator[Missed]:
        """Yields what is missing between the events that were read, oldest first within each venue and epoch."""
        first: dict[str, int] = {}
        for venue, epoch in self._lowest:
            first[venue] = min(first.get(venue, epoch), epoch)
        for (venue, epoch), event in sorted(self._lowest.items(), key=lambda item: item[0]):
            # All of a start must be there if something of the start before it is.
            if epoch > first[venue] and event.seq > 1 and venue not in self._shared and self._after_start(event):
                yield Missed(self._stream, venue, epoch, 1, event.seq - 1)
        yield from reversed(self._missed)

    def _after_start(self, event: AnyEvent) -> bool:
        return self._from_ts is None or event.received_ts >= self._from_ts
