"""Counts how much of the memory for events is used, and decides by that in which of three conditions a publisher is.

    free ──── used up, or something is in a spool ────► tight ──── used up ────► conflating
      ▲                                                                              │
      └──── no spool in use ◄──── a quarter is free again ◄──────────────────────────┘

While the memory is free, an event costs one subtraction. While it is tight, each event is looked at; while conflating, the newest event of
a state replaces the one before. What is done with an event then is decided in `overflow`.
"""

from __future__ import annotations

from typing import Final

TIGHT_ENDS: Final = 4
"""Conflation and dropping end when this part of the bound (a quarter) is free again."""

DROPPING_ENDS: Final = 16
"""Dropping behind a full spool ends when this part of the bound (a sixteenth) is free: as when a segment of the spool is done with."""


class MemoryBudget:
    """The budget for `bound` events. It counts, and decides by the counts alone."""

    __slots__ = ("bound", "conflating", "dropping", "free", "spare", "tight")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.free = bound
        """How many more events the fast path may accept; 0 while tight."""
        self.spare = 0
        """How many more events fit while tight. Negative when states have gone beyond the bound: by one per stream at most."""
        self.tight = False
        """Conflating, or with a spool that is not empty yet."""
        self.conflating = False
        self.dropping = False
        """The spool is full, too."""

    @property
    def available(self) -> int:
        """How many more events fit."""
        return self.spare if self.tight else self.free

    @property
    def used(self) -> int:
        """How many events are in memory."""
        return self.bound - self.available

    def reserve(self, entries: int) -> None:
        """Count `entries` more events in memory."""
        if self.tight:
            self.spare -= entries
        else:
            self.free -= entries

    def release(self, entries: int) -> None:
        """Count `entries` fewer events in memory."""
        if self.tight:
            self.spare += entries
        else:
            self.free += entries

    def tighten(self) -> None:
        """From now on look at each event: the memory is used up, or something is in a spool."""
        if not self.tight:
            self.tight, self.spare, self.free = True, self.free, 0

    def conflate(self, freed: int) -> None:
        """From now on replace states by newer ones; this has freed the memory of `freed` events already. Only while tight."""
        self.conflating = True
        self.spare += freed

    def drops(self) -> bool:
        """Whether there is no memory for one more event behind a full spool. Once so, it stays so until some is free: fewer gaps."""
        return self.spare <= (self.bound // DROPPING_ENDS if self.dropping else 0)

    @property
    def eased(self) -> bool:
        """Whether enough is free again for conflation to end and, without a spool in use, for the tight condition to end."""
        return self.tight and self.spare > self.bound // TIGHT_ENDS

    def ease(self, *, spooling: bool) -> bool:
        """End what can end, once `eased`. Returns whether conflation ends."""
        conflated, self.conflating = self.conflating, False
        if not spooling:
            self.tight, self.dropping, self.free, self.spare = False, False, self.spare, 0
        return conflated
