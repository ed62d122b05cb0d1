"""The checks of an order book: their counters, why one failed, and what an update or snapshot led to. Pure."""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from crosstape_schemas import GapCause


class BookChecks:
    """Counts the checks of one book, by their result."""

    __slots__ = (
        "bridged", "checksums_bad", "checksums_ok", "crossed", "holes", "impossible", "jumps", "links", "overflows", "overtaken", "quiet",
        "refused", "refuted", "skipped", "snapshots", "unchecked", "unproven", "unused", "updates",
    )  # fmt: skip

    def __init__(self) -> None:
        self.updates = 0
        self.links = 0  # updates that follow the one before by the venue's numbers
        self.jumps = 0  # updates whose number skips, at a venue whose numbers do so while nothing is missing
        self.holes = 0  # updates that do not: a gap
        self.overtaken = 0  # updates and snapshots that came after a later update, by their times
        self.bridged = 0  # REST snapshots that an update was seen to span
        self.refused = 0  # REST snapshots older than the stream
        self.unused = 0  # REST snapshots that came when none was awaited
        self.quiet = 0  # REST snapshots that showed a silent book to be as the venue has it
        self.refuted = 0  # REST snapshots with changes that the stream did not bring; also best prices that contradict the book
        self.unchecked = 0  # snapshots without the checksum that the venue's rule has: the next update proves the book
        self.snapshots = 0  # snapshots that became the book
        self.checksums_ok = 0
        self.checksums_bad = 0
        self.crossed = 0
        self.impossible = 0  # frames with a level that is impossible
        self.skipped = 0  # updates older than the book
        self.unproven = 0  # updates dropped while there was no snapshot to apply them to
        self.overflows = 0

    def add(self, other: BookChecks) -> None:
        """Add the counts of another book of this instrument."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class Fault(msgspec.Struct, frozen=True):
    """Why a book broke."""

    cause: GapCause
    reason: str
    missed: int | None = None


class Outcome(Enum):
    """What an update or a snapshot led to."""

    APPLIED = auto()  # the book changed, and is proven as far as the venue lets us
    SYNCED = auto()  # the book begins (again): every level may be new
    QUIET = auto()  # a probe found the book that the stream has brought: nothing has happened
    NOTHING = auto()  # it was buffered, dropped or skipped; the book is as before
    BROKEN = auto()  # a check failed: the book is forgotten, see `OrderBook.fault`
