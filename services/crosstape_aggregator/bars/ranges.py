"""Finds which intervals overlap many ranges of time, without comparing each interval with each range."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import Final

from crosstape_schemas.timeframes import close_of

Range = tuple[int, int]
"""Two moments (ns); both belong to it."""
MAX: Final = 2_000
"""Most ranges that wait. When there are more, they become one."""
_to_ts: Final = itemgetter(1)


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Return the ranges without overlaps, in order."""
    found: list[Range] = []
    for one in sorted(ranges):
        if found and one[0] <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], one[1])
        else:
            found.append(one)
    return found


def overlaps(merged: list[Range], from_ts: int, until_ts: int) -> bool:
    """Whether one of merged ranges overlaps [from_ts, until_ts)."""
    at = bisect_left(merged, from_ts, key=_to_ts)
    return at < len(merged) and merged[at][0] < until_ts


class Ranges:
    """Ranges that wait until they are taken."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: list[Range] = []

    def __bool__(self) -> bool:
        """Whether any waits."""
        return bool(self._ranges)

    def add(self, from_ts: int, to_ts: int) -> None:
        """Add a range."""
        self._ranges.append((from_ts, to_ts))
        if len(self._ranges) > MAX:
            self._ranges = [(min(self._ranges)[0], max(map(_to_ts, self._ranges)))]

    def take(self) -> list[Range]:
        """Return what waits, merged, and forget it."""
        ranges, self._ranges = self._ranges, []
        return merge(ranges)


def intervals_in(merged: list[Range], timeframe: str, opens: Collection[int]) -> Iterator[int]:
    """Yield those of the intervals of a timeframe, given by `open_ts`, that overlap one of merged ranges. An interval may come twice."""
    if merged:
        ordered = sorted(opens)
        close = partial(close_of, timeframe)
        for from_ts, to_ts in merged:
            yield from ordered[bisect_right(ordered, from_ts, key=close) : bisect_right(ordered, to_ts)]
