"""Tracks the gaps of one instrument that may still be repaired, and up to when trades will never be known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crosstape_aggregator.bars.ranges import Range, merge, overlaps
from crosstape_aggregator.windows.coverage import MissingRange

MAX_GAPS: Final = 1_000
"""Most open gaps that are kept. When there are more, the two oldest become one of every venue, which counts as never repaired."""


class OpenGaps:
    """The open gaps of one instrument. A gap is identified by its venue (empty: every venue) and two moments (ns)."""

    __slots__ = ("_gaps", "_merged", "until_ts", "widen_ns")

    def __init__(self, widen_ns: int) -> None:
        self._gaps: dict[MissingRange, None] = {}
        self._merged: dict[str, list[Range]] = {}  # by venue, with those of every venue, since the gaps changed
        self.widen_ns = widen_ns
        self.until_ts = 0
        """Trades up to this moment (ns) may be missing for ever, of any venue."""

    def open(self, venue: str, from_ts: int, to_ts: int) -> bool:
        """Add a gap. Returns whether it is new: a stream may be read a second time."""
        if (venue, from_ts, to_ts) in self._gaps:
            return False
        self._gaps[venue, from_ts, to_ts] = None
        self._merged.clear()
        if len(self._gaps) > MAX_GAPS:
            (_, *one), (_, *other), *rest = self._gaps
            self._gaps = dict.fromkeys([("", min(one[0], other[0]), max(one[1], other[1])), *rest])
        return True

    def close(self, venue: str, from_ts: int, to_ts: int) -> bool:
        """Remove the gap with exactly these moments: its trades have arrived. Returns whether there was one."""
        if (venue, from_ts, to_ts) not in self._gaps:
            return False
        del self._gaps[venue, from_ts, to_ts]
        self._merged.clear()
        return True

    def overlap(self, venue: str, open_ts: int, close_ts: int) -> bool:
        """Whether an open gap of a venue may concern [open_ts, close_ts).

        The moments of a gap are those of the connector's clock. Those of its trades, by the venue's clock, may differ from it by the
        tolerance: the gap is widened by it on both sides.
        """
        if not self._gaps:
            return False
        merged = self._merged.get(venue)
        if merged is None:
            merged = self._merged[venue] = merge((from_ts, to_ts) for one, from_ts, to_ts in self._gaps if one == venue or not one)
        return overlaps(merged, open_ts - self.widen_ns, close_ts + self.widen_ns)

    def forget(self, before_ts: int) -> None:
        """Drop the gaps that concern nothing from this moment on."""
        if self._gaps:
            before_ts -= self.widen_ns
            self._gaps = dict.fromkeys(gap for gap in self._gaps if gap[2] >= before_ts)
            self._merged.clear()

    def state(self) -> tuple[MissingRange, ...]:
        """Copy the gaps for a checkpoint."""
        return tuple(self._gaps)

    def restore(self, gaps: Iterable[MissingRange]) -> None:
        """Add the gaps of a checkpoint."""
        for gap in gaps:
            self.open(*gap)
