"""Violations: the errors found on a tape, as data."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """One violation of a rule."""

    what: str
    """The rule, as a constant text: `a trade is missing`."""
    where: str
    """Stream, venue, and whatever else helps to find it by hand."""
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: expected {self.expected}, found {self.found}"
