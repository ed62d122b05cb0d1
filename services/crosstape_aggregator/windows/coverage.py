"""Tracks since when an instrument's trades are complete, and which open gaps there are."""

from __future__ import annotations

from typing import Final, NamedTuple

MissingRange = tuple[str, int, int]
"""A venue and the two moments (ns) of its gap."""
SECOND: Final = 1_000_000_000
MAX_GAPS: Final = 1_000
"""Open gaps kept one by one, in case they are repaired. When there are more, the oldest counts as never repaired."""


class CoverageState(NamedTuple):
    """The state of `Coverage`, for a checkpoint."""

    from_s: int
    floor_s: int
    gaps: tuple[MissingRange, ...]


class Coverage:
    """Since when no trade is missing, in whole seconds since the epoch. A gap is known by its venue and its two moments (ns)."""

    __slots__ = ("_floor_s", "_from_s", "_gaps", "complete_since_s")

    def __init__(self) -> None:
        self._from_s: int | None = None
        self._floor_s = 0  # seconds before this are never complete
        self._gaps: list[MissingRange] = []
        self.complete_since_s: int | None = None
        """The second since which no trade is missing; None while it is not known from where trades were read."""

    def known_from(self, second: int) -> None:
        """All trades from this second on have been applied, apart from gaps."""
        self._from_s = second
        self._settle()

    def open_gap(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Trades of a venue are missing somewhere between these moments; the seconds of both moments are not complete."""
        if (venue, from_ts, to_ts) in self._gaps:
            return  # reported again by a stream that is read again
        self._gaps.append((venue, from_ts, to_ts))
        if len(self._gaps) > MAX_GAPS:
            self._floor_s = max(self._floor_s, self._gaps.pop(0)[2] // SECOND + 1)
        self._settle()

    def unknown_until(self, ts: int) -> None:
        """Trades up to the second of this moment are never complete."""
        if ts and ts // SECOND >= self._floor_s:
            self._floor_s = ts // SECOND + 1
            self._settle()

    def close_gap(self, venue: str, from_ts: int, to_ts: int) -> None:
        """The missing trades of the gap with just these moments have arrived. A repaired part of a gap has other moments and changes
        nothing.
        """
        if (venue, from_ts, to_ts) in self._gaps:
            self._gaps.remove((venue, from_ts, to_ts))
            self._settle()

    def forget(self, before_s: int) -> None:
        """Drop gaps that end before this second: no window reaches back to them any more."""
        before_ts = before_s * SECOND
        if self._gaps and min(gap[2] for gap in self._gaps) < before_ts:
            self._gaps = [gap for gap in self._gaps if gap[2] >= before_ts]

    def state(self) -> CoverageState | None:
        """Copy the state for a checkpoint; None while it is not known from where trades were read."""
        return None if self._from_s is None else CoverageState(self._from_s, self._floor_s, tuple(self._gaps))

    def restore(self, state: CoverageState) -> None:
        """Restore the state of a checkpoint, but not its beginning: `known_from` is called when the trades since then have been applied."""
        self._floor_s = max(self._floor_s, state.floor_s)
        for gap in state.gaps:
            self.open_gap(*gap)

    def _settle(self) -> None:
        if self._from_s is not None:
            self.complete_since_s = max([self._from_s, self._floor_s, *(to_ts // SECOND + 1 for _, _, to_ts in self._gaps)])
