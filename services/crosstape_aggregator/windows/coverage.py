"""Tracks since when the trades of an instrument are complete, and which gaps are open.

This is one of four conditions for a complete window; the docstring of the package lists them all.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MissingRange = tuple[str, int, int]
"""One gap: the venue, and the moments (ns) that its trades are missing between."""
SECOND: Final = 1_000_000_000
MAX_GAPS: Final = 1_000
"""Most open gaps that are kept in case they are repaired. When there are more, the oldest counts as never repaired."""


class CoverageState(NamedTuple):
    """The state of `Coverage`, for a checkpoint."""

    from_s: int
    floor_s: int
    gaps: tuple[MissingRange, ...]


class Coverage:
    """Tracks since when no trade is missing, in full seconds since the epoch. A gap is identified by its venue and two moments (ns)."""

    __slots__ = ("_floor_s", "_from_s", "_gaps", "complete_since_s")

    def __init__(self) -> None:
        self._from_s: int | None = None
        self._floor_s = 0  # seconds before this are never complete
        self._gaps: list[MissingRange] = []
        self.complete_since_s: int | None = None
        """The second since which no trade is missing; None until `known_from` is called."""

    @property
    def from_s(self) -> int | None:
        """The second from which on all trades have been applied, except those in open gaps; None until `known_from` is called."""
        return self._from_s

    def known_from(self, second: int) -> None:
        """Note that all trades from `second` on have been applied, except those in open gaps."""
        self._from_s = second
        self._settle()

    def open_gap(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Add a gap: trades of a venue are missing between these moments (ns). The seconds of both moments are not complete."""
        if (venue, from_ts, to_ts) in self._gaps:
            return  # the same gap, because a stream is read a second time
        self._gaps.append((venue, from_ts, to_ts))
        if len(self._gaps) > MAX_GAPS:
            self._floor_s = max(self._floor_s, self._gaps.pop(0)[2] // SECOND + 1)
        self._settle()

    def unknown_until(self, ts: int) -> None:
        """Note that the second of this moment (ns), and all before it, will never be complete; 0 = no such second."""
        if ts and ts // SECOND >= self._floor_s:
            self._floor_s = ts // SECOND + 1
            self._settle()

    def close_gap(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Remove the gap with exactly these moments: its trades have arrived. Moments of a part of a gap change nothing."""
        if (venue, from_ts, to_ts) in self._gaps:
            self._gaps.remove((venue, from_ts, to_ts))
            self._settle()

    def forget(self, before_s: int) -> None:
        """Drop gaps that end before this second: no window reaches back to them any more."""
        before_ts = before_s * SECOND
        if self._gaps and min(gap[2] for gap in self._gaps) < before_ts:
            self._gaps = [gap for gap in self._gaps if gap[2] >= before_ts]

    def state(self) -> CoverageState | None:
        """Copy the state for a checkpoint; None until `known_from` is called."""
        return None if self._from_s is None else CoverageState(self._from_s, self._floor_s, tuple(self._gaps))

    def restore(self, state: CoverageState) -> None:
        """Restore the gaps of a checkpoint. The caller then applies the trades since the checkpoint, and calls `known_from`."""
        self._floor_s = max(self._floor_s, state.floor_s)
        for gap in state.gaps:
            self.open_gap(*gap)

    def _settle(self) -> None:
        if self._from_s is not None:
            self.complete_since_s = max([self._from_s, self._floor_s, *(to_ts // SECOND + 1 for _, _, to_ts in self._gaps)])
