"""Finds times in which nobody recorded a venue: there is neither a sign of life nor a gap that explains it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from crosstape_recorder.gaps.ranges import Range, without

LONGEST_NS: Final = 5_000_000_000
"""A venue's connector gives its sign of life each second. A longer silence is one."""


def silences(
    stamps: Iterable[int], explained: Iterable[Range], *, from_ts: int | None, to_ts: int | None, longest_ns: int = LONGEST_NS
) -> list[Range]:
    """Returns the times without a sign of life, in order.

    `stamps`: when the signs of life were given, ns. `explained`: gaps that say so themselves. `from_ts`, `to_ts`: the time that was asked
    for; None: from the first sign, or to the last one. Without any sign nothing is known of the venue, and nothing is returned.
    """
    ordered = sorted(stamps)
    if not ordered:
        return []
    if from_ts is not None:
        ordered = [from_ts, *(stamp for stamp in ordered if stamp > from_ts)]
    if to_ts is not None:
        ordered = [*(stamp for stamp in ordered if stamp < to_ts), to_ts]
    known = [(one - longest_ns, other + longest_ns) for one, other in explained]
    found: list[Range] = []
    for one, other in pairwise(ordered):
        if other - one > longest_ns:
            found += [left for left in without((one, other), known) if left[1] - left[0] > longest_ns]
    return found
