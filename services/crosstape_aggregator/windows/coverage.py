"""What is known to be whole: from when on an instrument's trades have been seen, and which spells are missing."""

from __future__ import annotations

from typing import Final, NamedTuple

MissingSpell = tuple[str, int, int]
"""A venue, and the moments (ns) that its gap tells."""
SECOND: Final = 1_000_000_000
HOLES: Final = 1_000
"""Holes kept one by one, in case they are repaired; an older one then counts as never to be repaired."""


class Coverage(NamedTuple):
    """All of `Knowledge`, to keep and to take up again."""

    from_s: int
    floor_s: int
    holes: tuple[MissingSpell, ...]


class Knowledge:
    """Since when nothing is missing: whole seconds since the epoch. Holes are told as gaps are, by their moments (ns)."""

    __slots__ = ("_floor_s", "_from_s", "_holes", "whole_since_s")

    def __init__(self) -> None:
        self._from_s: int | None = None
        self._floor_s = 0  # no second before this will ever be known
        self._holes: list[MissingSpell] = []
        self.whole_since_s: int | None = None
        """The first second from which on all is known; None while not even the beginning is."""

    def known_from(self, second: int) -> None:
        """All from this second on has been seen (but for the holes)."""
        self._from_s = second
        self._settle()

    def hole(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Trades of a venue are missing somewhere within these moments; the seconds of both are not whole."""
        if (venue, from_ts, to_ts) in self._holes:
            return  # told again by a stream that is read again
        self._holes.append((venue, from_ts, to_ts))
        if len(self._holes) > HOLES:
            self._floor_s = max(self._floor_s, self._holes.pop(0)[2] // SECOND + 1)
        self._settle()

    def unknown_until(self, ts: int) -> None:
        """Nothing up to the second of this moment can be relied on, and never will be."""
        if ts and ts // SECOND >= self._floor_s:
            self._floor_s = ts // SECOND + 1
            self._settle()

    def repaired(self, venue: str, from_ts: int, to_ts: int) -> None:
        """What a venue lacked has been had after all: of the gap that was told with just these moments. A part of it has others."""
        if (venue, from_ts, to_ts) in self._holes:
            self._holes.remove((venue, from_ts, to_ts))
            self._settle()

    def forget(self, before_s: int) -> None:
        """No window reaches to before this second any more: holes that end earlier are of no interest."""
        before_ts = before_s * SECOND
        if self._holes and min(hole[2] for hole in self._holes) < before_ts:
            self._holes = [hole for hole in self._holes if hole[2] >= before_ts]

    def known(self) -> Coverage | None:
        """What is known; None while not even the beginning is."""
        return None if self._from_s is None else Coverage(self._from_s, self._floor_s, tuple(self._holes))

    def restore(self, known: Coverage) -> None:
        """Take up what was known, but for the beginning: `known_from` says it when all since then has been seen."""
        self._floor_s = max(self._floor_s, known.floor_s)
        for hole in known.holes:
            self.hole(*hole)

    def _settle(self) -> None:
        if self._from_s is not None:
            self.whole_since_s = max([self._from_s, self._floor_s, *(to_ts // SECOND + 1 for _, _, to_ts in self._holes)])
