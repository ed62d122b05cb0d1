"""Checks whether a reader got every event, by the numbering of each venue on one stream: `seq` per (venue, epoch)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Final

import msgspec

from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Bar, Event

EPOCHS: Final = 256
"""Numberings remembered per stream: one for each venue and each start of its producer; the oldest are forgotten."""


class Missed(msgspec.Struct, frozen=True, gc=False):
    """Events that this reader will not get, because they are not on the tape any more or never were.

    `count` is None and `venue` empty where it is known only that entries were trimmed: a stored id had left the stream.
    """

    stream: str
    """Name of the stream."""
    venue: str
    """The producer's venue; `consolidated` for an aggregator."""
    epoch: int
    """The epoch of the numbering that has a gap, ns."""
    first_missing: int
    """The first `seq` that this reader did not get."""
    count: int | None
    """How many are missing in a row."""


class Continuity:
    """Tracks the next number of each (venue, epoch) on one stream."""

    __slots__ = ("_count", "_from_first", "_next", "_stream")

    def __init__(self, stream: str, *, from_first: bool) -> None:
        self._stream = stream
        self._from_first = from_first
        self._next: dict[str, dict[int, int]] = {}  # venue → epoch → next number: no key has to be made for each event
        self._count = 0  # of (venue, epoch)

    def know(self, event: Event) -> None:
        """Note an event before the position where the reader starts: the event after it must have the next number."""
        self.know_number(event.venue, event.epoch, event.seq)

    def know_number(self, venue: str, epoch: int, seq: int) -> None:
        """The same as `know`, for an event of which only this is known."""
        if seq >= self._next.get(venue, {}).get(epoch, 0):
            self._set(venue, epoch, seq + 1)

    def check(self, event: Event) -> Missed | bool:
        """Returns True for the next event, or the first one known; False for one seen before; `Missed` for a new one behind missing ones.

        Nothing is missing before the first event seen of a (venue, epoch), with two exceptions: the reader reads from the beginning of the
        stream, or it has seen an earlier epoch of the venue. Then it was there when this epoch started, and should have seen number 1.
        An event numbered 0 comes from a producer that does not number; it is accepted as it is.
        """
        seq, epoch, expected = event.seq, event.epoch, None
        try:
            epochs = self._next[event.venue]
            expected = epochs[epoch]
            if expected == seq:
                epochs[epoch] = seq + 1
                return True
        except KeyError:
            pass
        if not seq:
            return True
        if expected is None:
            expected = 1 if self._from_first or self._was_there(event) else seq
            self._forget()
        elif seq < expected:
            return False
        self._set(event.venue, epoch, seq + 1)
        if seq == expected:
            return True
        return Missed(self._stream, event.venue, epoch, expected, seq - expected)

    def check_all(self, venues: Sequence[str], epochs: Sequence[int], seqs: Sequence[int]) -> set[tuple[str, int]]:
        """Returns the (venue, epoch) of these events if each is the next one of a numbering that is known.

        If not, it returns nothing, and notes nothing: `check` each.
        """
        numbers = {(venue, epoch): count(seq) for venue, epochs in self._next.items() for epoch, seq in epochs.items()}
        try:
            expected = tuple(map(next, map(numbers.__getitem__, zip(venues, epochs, strict=True))))
        except KeyError:
            return set()
        if expected != tuple(seqs):
            return set()
        touched = set()
        for (venue, epoch), following in numbers.items():
            if (seq := next(following)) != self._next[venue][epoch]:
                self._next[venue][epoch] = seq
                touched.add((venue, epoch))
        return touched

    def _was_there(self, event: Event) -> bool:
        if event.venue == CONSOLIDATED and event.instrument == VENUE_WIDE:
            return False  # aggregators of several shares write there at the same time, each under its own epoch
        if isinstance(event, Bar) and event.revision:
            return False  # a recorder corrects old bars while the aggregator writes new ones, under an epoch of its own
        return any(epoch < event.epoch for epoch in self._next.get(event.venue, ()))

    def _set(self, venue: str, epoch: int, following: int) -> None:
        epochs = self._next.setdefault(venue, {})
        self._count += epoch not in epochs
        epochs[epoch] = following

    def _forget(self) -> None:
        if self._count > EPOCHS:
            epoch, venue = min((epoch, venue) for venue, epochs in self._next.items() for epoch in epochs)
            del self._next[venue][epoch]
            self._count -= 1
