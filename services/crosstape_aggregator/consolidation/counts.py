"""Counts events and quotes for the metrics."""

from __future__ import annotations

from collections import Counter

from crosstape_aggregator.bars.state import BarCounts


class Counts:
    """Counts since the start. `metrics.exporter` exports them."""

    __slots__ = ("applied", "bars", "depths", "edges", "late", "merged", "open_edges", "outdated", "published", "unusable")

    def __init__(self) -> None:
        self.applied: Counter[str] = Counter()
        """Events applied, by kind."""
        self.bars = BarCounts()
        self.depths = 0
        """Consolidated books published."""
        self.edges: Counter[str] = Counter()
        """Events of edges, by what changed: `open`, `change`, `close`."""
        self.open_edges = 0
        """Edges that are open now."""
        self.late: Counter[str] = Counter()
        """Trades received after their second and the next one were over, by venue."""
        self.outdated: Counter[str] = Counter()
        """Events of an earlier epoch, ignored, by venue."""
        self.unusable: Counter[str] = Counter()
        """Trades whose price or size is outside of the bounds of `decimals`, by venue."""
        self.published = 0
        """Consolidated quotes published."""
        self.merged = 0
        """Changes published together with an earlier one of the same instrument."""
