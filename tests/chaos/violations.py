"""What is wrong with a tape, as data."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """One thing that must not be."""

    what: str
    """Which rule, in constant words: `a trade is missing`."""
    where: str
    """Stream, venue, and what else it takes to find it by hand."""
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: expected {self.expected}, found {self.found}"
