"""The venue's numbers and times of one book's updates: which is next, which are old, and when the venue has restarted them. Pure."""

from __future__ import annotations

from typing import Final

from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_schemas import GapCause

RESTART_NS: Final = 1_000_000_000
"""The venue has restarted its numbers if an update with an old number is newer than the book by this much, by the venue's clock."""

SKIPPING_NS: Final = 60_000_000_000
"""Without a venue's clock: it has restarted them if only old numbers came for this long. A handover keeps frames for half a minute."""


class Numbering:
    """Follows the numbers of one book's stream. `OrderBook.apply_update` reads and sets them itself, to save calls."""

    __slots__ = ("_past", "_past_ts", "base", "skipping_ts", "tail", "tail_ts")

    def __init__(self) -> None:
        self.tail: int | None = None
        """Number of the stream's newest update, whether it is in the book or not."""
        self.tail_ts: int | None = None
        """The venue's time of that update."""
        self.base: int | None = None
        """Number of the first snapshot of this subscription: from there on the stream must bring every change."""
        self.skipping_ts = 0
        """Since when all updates have had old numbers; 0 = they have not."""
        self._past: int | None = None  # number of the book before this one, which was published
        self._past_ts: int | None = None  # the venue's time of it

    @property
    def reached(self) -> int | None:
        """The number up to which the stream has brought every change: that of its newest update, or else of the first snapshot."""
        return self.tail if self.tail is not None else self.base

    def end_book(self, sequence: int | None) -> None:
        """Note that the book is no more, whose number was `sequence`. The stream's own numbers go on."""
        if sequence is not None:
            self._past, self._past_ts = sequence, self.tail_ts
        self.base = None
        self.skipping_ts = 0

    def end_stream(self, sequence: int | None) -> None:
        """Note that the connection is gone, and with it the book, whose number was `sequence`."""
        self.end_book(sequence)
        self.tail = self.tail_ts = None

    def forget_past(self) -> None:
        """Note that the venue has restarted its numbers: those of the book before are of no use any more."""
        self._past = None

    def open_stream(self, update: BookUpdate) -> None:
        """Check the first update of a connection. A number below the book before is old, or the venue has restarted its numbers."""
        if self._past is None or update.last is None or update.last >= self._past:
            return
        if update.venue_ts is None or self._past_ts is None or update.venue_ts - self._past_ts > RESTART_NS:
            self._past = None

    def has_restarted(self, update: BookUpdate) -> bool:
        """Whether an update with an old number is new: the venue's numbers have begun again."""
        self.skipping_ts = self.skipping_ts or update.received_ts
        if update.venue_ts is not None and self.tail_ts is not None and update.venue_ts - self.tail_ts > RESTART_NS:
            return True
        return update.received_ts - self.skipping_ts > SKIPPING_NS

    def is_old(self, snapshot: BookSnapshot, sequence: int | None) -> bool:
        """Whether the stream, the book (`sequence`) or the book before was further than this snapshot.

        On another connection, too: a venue may answer from a cache, or late.
        """
        newest = max((number for number in (self.tail, sequence, self._past) if number is not None), default=None)
        return newest is not None and snapshot.sequence is not None and snapshot.sequence < newest

    def clock_set(self, step: ClockStep) -> None:
        """Shift its times of our clock after that was set."""
        self.skipping_ts = step.shifted(self.skipping_ts)


def gap_before(update: BookUpdate, tail: int, *, restarted: bool) -> tuple[GapCause, str, int | None]:
    """Return cause, reason and number of missing changes (None: unknown) for an update that does not follow the number `tail`."""
    if restarted:
        return GapCause.SEQUENCE, "the venue's numbers began again", None
    return GapCause.SEQUENCE, "sequence", update.first - tail - 1 if update.first is not None else None
