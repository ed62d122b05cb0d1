"""Says how far one stream was read for one kind of the history. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crosstape.bus import Bookmark
from crosstape.bus.read.followed import parse_id
from crosstape.history.text_events import TextEvent

EPOCHS: Final = 32
"""Numberings that a mark keeps, the newest ones: one for each venue and each start of its producer. (Several aggregators publish
statuses at the same time.) The marks of all streams are in every commit, so there should not be more than are of use."""


class StreamMark:
    """How far a stream was read: the id, and the newest event of each numbering up to there."""

    __slots__ = ("floor", "id", "newest", "numbers")

    def __init__(self, bookmark: Bookmark | None = None) -> None:
        """None: the stream was never recorded."""
        self.id = bookmark.id if bookmark is not None else ""
        """Up to this entry the stream was read; empty: nothing was."""
        self.numbers: dict[tuple[str, int], int] = {}
        """(venue, epoch) → `seq` of its last event, as the bookmark has it."""
        if bookmark is not None:
            self.numbers = {(venue, epoch): seq for venue, epoch, seq in bookmark.numbers}
        self.newest: dict[tuple[str, int], TextEvent] = {}
        """(venue, epoch) → its last event, read since."""
        self.floor = self.id
        """Up to this entry the history has the stream. The reader may start before it, for the sake of another kind."""

    def has_read(self, entry_id: str, event: TextEvent) -> bool:
        """Whether an entry is in the history already, or was left out of it on purpose: the reader started before it for another kind."""
        known = self._number(event.venue, event.epoch)
        if known is not None and event.seq:
            return event.seq <= known
        return bool(self.floor) and _parsed(entry_id) <= _parsed(self.floor)

    def advance(self, entry_id: str, event: TextEvent) -> None:
        """Note an entry as read, with all before it."""
        self.id, self.floor = entry_id, ""
        self.newest[event.venue, event.epoch] = event

    def move(self, entry_id: str) -> bool:
        """Note that the stream was read up to an id, and that nothing before it counts. Returns whether that is further than before."""
        if not self.is_before(entry_id):
            return False
        self.id = entry_id
        return True

    def is_before(self, entry_id: str) -> bool:
        """Whether it has not come to this id yet."""
        return entry_id != self.id and _parsed(self.id) < _parsed(entry_id)

    def numbers_of(self, event: TextEvent) -> bool:
        """Whether other events of the same numbering were read."""
        return self._number(event.venue, event.epoch) is not None

    @property
    def venues(self) -> set[str]:
        """The venues whose events were read."""
        return {venue for numbered in (self.numbers, self.newest) for venue, _ in numbered}

    def received_ts(self, venue: str) -> int:
        """When the last event of a venue was received, or a little later, ns; 0: that is not known."""
        found = max((event.received_ts for (of, _), event in self.newest.items() if of == venue), default=0)
        return found or _parsed(self.id)[0] * 1_000_000 if self.id else 0

    def bookmark(self) -> Bookmark:
        """Returns it as the store keeps it. Of numberings, the newest `EPOCHS` stay."""
        numbers = self.numbers
        numbers.update((key, event.seq) for key, event in self.newest.items())
        if len(numbers) > EPOCHS:
            for key in sorted(numbers, key=lambda key: key[1])[: len(numbers) - EPOCHS]:
                del numbers[key]
                self.newest.pop(key, None)
        return Bookmark(self.id, tuple(sorted((venue, epoch, seq) for (venue, epoch), seq in numbers.items())))

    def _number(self, venue: str, epoch: int) -> int | None:
        event = self.newest.get((venue, epoch))
        return self.numbers.get((venue, epoch)) if event is None else event.seq


def oldest(marks: Sequence[StreamMark]) -> Bookmark | None:
    """Returns the mark that comes first on the stream, from which a reader starts for all of them; None: from the beginning."""
    first = min(marks, key=lambda mark: _parsed(mark.id))
    return first.bookmark() if first.id else None


def _parsed(entry_id: str) -> tuple[int, int]:
    return parse_id(entry_id.encode())
