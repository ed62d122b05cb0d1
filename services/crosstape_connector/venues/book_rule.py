"""How a venue's books are kept and proven, as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Literal

import msgspec

from crosstape_connector.venues.messages import BookUpdate
from crosstape_schemas import Instrument, Level


class Verdict(Enum):
    """The verdict of a book rule on an update."""

    APPLY = auto()
    SKIP = auto()  # older than what the book holds
    BREAK = auto()  # something is missing before it


class BookRule(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue's books are kept and proven. The `int` that the functions get is the number of the snapshot or of the last update."""

    snapshot: Literal["rest", "stream"]
    bridges: Callable[[BookUpdate, int], Verdict] | None = None
    """Whether an update links to a REST snapshot."""
    follows: Callable[[BookUpdate, int], Verdict] | None = None
    """Whether an update links to the one before; None: the venue has no numbers (or they count the connection, see `ConnectionBreak`)."""
    checksum: Callable[[Sequence[Level], Sequence[Level]], int] | None = None
    """Computes the checksum of the book's best levels: bids and asks, best first, `checksum_levels` of each if there are as many."""
    checksum_levels: int = 10
    checksum_of: Callable[[Instrument], Callable[[Sequence[Level], Sequence[Level]], int]] | None = None
    """Makes `checksum` for an instrument, where it is of the venue's own sizes, and levels have base units. For recordings alone: that the
    venue sends checksums today is said by `checksum`."""
    ordered: bool = False
    """The times of a book's frames never go back: a frame whose time does was overtaken. For a venue without numbers."""
    truncates: bool = False
    """The venue never deletes what falls out of the subscribed depth: cut after every frame."""
    jumps: bool = False
    """Numbers may skip while nothing is missing (`follows` allows it): such updates are counted."""
    restarts: bool = False
    """A snapshot of the stream whose time is later than the book's replaces it whatever its number is: numbers may begin again. Any other
    one with a lower number is a late repetition."""
    crossed_updates: int = 0
    """How many updates in a row may leave the book crossed: it is not published meanwhile, and broken after more."""
    depths: tuple[int, ...] = ()
    """Depths that can be subscribed, ascending; empty: no choice."""
    proof: str = ""
    """The rule in words, for docs/reference/venues.md."""

    def of(self, instrument: Instrument) -> BookRule:
        """Return the rule for the book of an instrument."""
        return self if self.checksum_of is None else msgspec.structs.replace(self, checksum=self.checksum_of(instrument), checksum_of=None)
