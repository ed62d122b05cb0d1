"""How much of the memory for events is used, and in which of its three conditions that leaves the publisher.

    free ──── used up, or something is in a spool ────► tight ──── used up ────► conflating
      ▲                                                                              │
      └──── no spool in use ◄──── a fourth is free again ◄───────────────────────────┘

While it is free, an event costs one subtraction. While it is tight, each is looked at; while conflating, the newest of a state takes the
place of the one before. What is done with an event then is `overflow`'s.
"""

from __future__ import annotations

from typing import Final

TIGHT_ENDS: Final = 4
"""Conflation and dropping end when a fourth of the bound is free again."""

DROPPING_ENDS: Final = 16
"""Dropping beyond the spool ends when so great a part of the bound is free: as a segment of the spool is used."""


class MemoryBudget:
    """For `bound` events. Counts, and decides by the counts alone."""

    __slots__ = ("bound", "conflating", "dropping", "free", "spare", "tight")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.free = bound
        """Of the fast path: 0 while tight."""
        self.spare = 0
        """The room there is while tight. Below 0 when states have gone beyond the bound: by one per stream at most."""
        self.tight = False
        """Conflating, or with a spool that is not empty yet."""
        self.conflating = False
        self.dropping = False
        """The spool is full, too."""

    @property
    def left(self) -> int:
        """For so many more there is room."""
        return self.spare if self.tight else self.free

    @property
    def held(self) -> int:
        """So many are in memory."""
        return self.bound - self.left

    def take(self, entries: int) -> None:
        """So many that were not are in memory now."""
        if self.tight:
            self.spare -= entries
        else:
            self.free -= entries

    def give(self, entries: int) -> None:
        """So many are in memory no more."""
        if self.tight:
            self.spare += entries
        else:
            self.free += entries

    def tighten(self) -> None:
        """From here on, events are looked at one by one: the memory is used up, or there is something in a spool."""
        if not self.tight:
            self.tight, self.spare, self.free = True, self.free, 0

    def conflate(self, freed: int) -> None:
        """From here on, states give way to newer ones; so many have already. Only while tight."""
        self.conflating = True
        self.spare += freed

    def drops(self) -> bool:
        """Whether there is no room for one more behind a full spool. If once so, it is so until there is some: that makes few gaps."""
        return self.spare <= (self.bound // DROPPING_ENDS if self.dropping else 0)

    @property
    def eased(self) -> bool:
        """Whether there is so much again that conflation can end, and, without a spool in use, tightness."""
        return self.tight and self.spare > self.bound // TIGHT_ENDS

    def ease(self, *, spooling: bool) -> bool:
        """End what can end, once `eased`: whether conflation does."""
        conflated, self.conflating = self.conflating, False
        if not spooling:
            self.tight, self.dropping, self.free, self.spare = False, False, self.spare, 0
        return conflated
