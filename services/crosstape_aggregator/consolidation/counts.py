"""What the pure core counts, for the metrics."""

from __future__ import annotations

from collections import Counter


class Counts:
    """Plain counts since the start; the service exports them."""

    __slots__ = ("applied", "late", "merged", "outdated", "published", "unusable")

    def __init__(self) -> None:
        self.applied: Counter[str] = Counter()
        """Events, by kind."""
        self.late: Counter[str] = Counter()
        """Trades that came after their second and the next were over, by venue."""
        self.outdated: Counter[str] = Counter()
        """Events of a start of the venue's connector that is past, by venue."""
        self.unusable: Counter[str] = Counter()
        """Trades whose numbers cannot be computed with, by venue."""
        self.published = 0
        """Consolidated quotes."""
        self.merged = 0
        """Changes that went into a quote together with an earlier one."""
