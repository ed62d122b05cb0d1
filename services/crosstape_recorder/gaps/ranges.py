"""Arithmetic of ranges of time, ns. A range has both of its moments."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

Range = tuple[int, int]


def union(ranges: Iterable[Range]) -> list[Range]:
    """Returns the same moments as ranges that neither overlap nor touch, in order."""
    found: list[Range] = []
    for from_ts, to_ts in sorted(ranges):
        if found and from_ts <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], to_ts)
        else:
            found.append((from_ts, to_ts))
    return found


def without(one: Range, others: Iterable[Range]) -> list[Range]:
    """Returns what is left of a range without others. Their ends stay: they are the events on the sides of what is left."""
    left: list[Range] = []
    from_ts, to_ts = one
    for other_from, other_to in union(others):
        if other_to < from_ts or other_from > to_ts:
            continue
        if other_from > from_ts:
            left.append((from_ts, other_from))
        from_ts = max(from_ts, other_to)
    if from_ts < to_ts:
        left.append((from_ts, to_ts))
    return left


def overlap(one: Range, other: Range, widen_ns: int = 0) -> bool:
    """Whether two ranges have a moment in common, or are no further apart than `widen_ns`."""
    return one[0] - widen_ns <= other[1] and other[0] - widen_ns <= one[1]


def any_overlaps(merged: Sequence[Range], one: Range) -> bool:
    """Whether a range overlaps one of those that `union` returned."""
    at = bisect_left(merged, one[0], key=lambda other: other[1])
    return at < len(merged) and merged[at][0] <= one[1]
