"""Decides where the row groups of a merged file begin. Pure.

A question for one instrument reads whole row groups. So these are small, and begin anew with an instrument where that makes them not too
small: each has a dictionary of its own, and the footer has the statistics of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MOST: Final = 25_000
"""Rows in a row group at most. A row takes 6 % more bytes than with 100,000, an hour of one instrument a third of the time."""
LEAST: Final = 5_000
"""Rows from which on a row group ends with its instrument."""


def cuts(counts: Sequence[int], most: int = MOST, least: int = LEAST) -> list[int]:
    """Returns the rows of each row group. `counts`: the rows of each instrument, in the order of the file."""
    found: list[int] = []
    waiting = 0
    for count in counts:
        waiting += count
        if waiting < min(least, most):
            continue
        parts = -(-waiting // most)
        found += [waiting // parts + (number < waiting % parts) for number in range(parts)]
        waiting = 0
    return [*found, waiting] if waiting else found
