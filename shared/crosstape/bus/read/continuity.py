"""Whether a reader got everything: the numbering of each venue on one stream, `seq` per (venue, epoch)."""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Event

EPOCHS: Final = 256
"""Numberings remembered per stream: one per venue at a time, and one more for each start of a producer; the oldest are forgotten."""


class Missed(msgspec.Struct, frozen=True, gc=False):
    """Events that are on the tape no more, or never were, and that this reader will not get.

    `count` is None, and `venue` empty, where only that something was trimmed is known: a stored id had left the stream.
    """

    stream: str
    venue: str
    """The producer's venue; `consolidated` for an aggregator."""
    epoch: int
    """Of the numbering that has a gap: ns since the epoch."""
    first_missing: int
    """The first `seq` that this reader did not get."""
    count: int | None
    """How many in a row."""


class Continuity:
    """The next number of each (venue, epoch) on one stream."""

    __slots__ = ("_from_first", "_next", "_stream")

    def __init__(self, stream: str, *, from_first: bool) -> None:
        self._stream = stream
        self._from_first = from_first
        self._next: dict[tuple[str, int], int] = {}

    def know(self, event: Event) -> None:
        """Take note of an event before the place where the reader begins: what follows the newest of its venue must be the next."""
        self.know_number(event.venue, event.epoch, event.seq)

    def know_number(self, venue: str, epoch: int, seq: int) -> None:
        """The same, of an event of which no more than this is known."""
        key = (venue, epoch)
        self._next[key] = max(self._next.get(key, 0), seq + 1)

    def check(self, event: Event) -> Missed | bool:
        """True: the next one, or the first known. False: seen before. `Missed`: it is new, and these should have come before it.

        The first event seen of a (venue, epoch) has nothing missing before it, except where the reader reads from the beginning, and where
        it has seen an earlier epoch of the venue: then it was there when this epoch began, and would have seen number 1.
        An event numbered 0 comes from a producer that does not number: it is taken as it is.
        """
        seq = event.seq
        key = (event.venue, event.epoch)
        expected = self._next.get(key)
        if seq == expected:
            self._next[key] = seq + 1
            return True
        if not seq:
            return True
        if expected is None:
            expected = 1 if self._from_first or self._was_there(event) else seq
            self._forget()
        elif seq < expected:
            return False
        self._next[key] = seq + 1
        if seq == expected:
            return True
        return Missed(self._stream, event.venue, event.epoch, expected, seq - expected)

    def _was_there(self, event: Event) -> bool:
        if event.venue == CONSOLIDATED and event.instrument == VENUE_WIDE:
            return False  # aggregators of several shares write there at the same time, each under its own epoch
        return any(venue == event.venue and epoch < event.epoch for venue, epoch in self._next)

    def _forget(self) -> None:
        if len(self._next) > EPOCHS:
            del self._next[min(self._next, key=lambda key: key[1])]
