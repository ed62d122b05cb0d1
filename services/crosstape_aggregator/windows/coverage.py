"""What is known to be whole: from when on an instrument's trades have been seen, and which spells are missing."""

from __future__ import annotations

from typing import Final, NamedTuple

MissingRange = tuple[str, int, int]
"""A venue, and the moments (ns) that its gap tells."""
SECOND: Final = 1_000_000_000
MAX_GAPS: Final = 1_000
"""Holes kept one by one, in case they are repaired; an older one then counts as never to be repaired."""


class CoverageState(NamedTuple):
    """All of `Knowledge`, to keep and to take up again."""

    from_s: int
    floor_s: int
    gaps: tuple[MissingRange, ...]


class Coverage:
    """Since when nothing is missing: whole seconds since the epoch. Holes are told as gaps are, by their moments (ns)."""

    __slots__ = ("_floor_s", "_from_s", "_gaps", "complete_since_s")

    def __init__(self) -> None:
        self._from_s: int | None = None
        self._floor_s = 0  # no second before this will ever be known
        self._gaps: list[MissingRange] = []
        self.complete_since_s: int | None = None
        """The first second from which on all is known; None while not even the beginning is."""

    def known_from(self, second: int) -> None:
        """All from this second on has been seen (but for the holes)."""
        self._from_s = second
        self._settle()

    def open_gap(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Trades of a venue are missing somewhere within these moments; the seconds of both are not whole."""
        if (venue, from_ts, to_ts) in self._gaps:
            return  # told again by a stream that is read again
        self._gaps.append((venue, from_ts, to_ts))
        if len(self._gaps) > MAX_GAPS:
            self._floor_s = max(self._floor_s, self._gaps.pop(0)[2] // SECOND + 1)
        self._settle()

    def unknown_until(self, ts: int) -> None:
        """Nothing up to the second of this moment can be relied on, and never will be."""
        if ts and ts // SECOND >= self._floor_s:
            self._floor_s = ts // SECOND + 1
            self._settle()

    def close_gap(self, venue: str, from_ts: int, to_ts: int) -> None:
        """What a venue lacked has been had after all: of the gap that was told with just these moments. A part of it has others."""
        if (venue, from_ts, to_ts) in self._gaps:
            self._gaps.remove((venue, from_ts, to_ts))
            self._settle()

    def forget(self, before_s: int) -> None:
        """No window reaches to before this second any more: holes that end earlier are of no interest."""
        before_ts = before_s * SECOND
        if self._gaps and min(gap[2] for gap in self._gaps) < before_ts:
            self._gaps = [gap for gap in self._gaps if gap[2] >= before_ts]

    def state(self) -> CoverageState | None:
        """What is known; None while not even the beginning is."""
        return None if self._from_s is None else CoverageState(self._from_s, self._floor_s, tuple(self._gaps))

    def restore(self, state: CoverageState) -> None:
        """Take up what was known, but for the beginning: `known_from` says it when all since then has been seen."""
        self._floor_s = max(self._floor_s, state.floor_s)
        for gap in state.gaps:
            self.open_gap(*gap)

    def _settle(self) -> None:
        if self._from_s is not None:
            self.complete_since_s = max([self._from_s, self._floor_s, *(to_ts // SECOND + 1 for _, _, to_ts in self._gaps)])
