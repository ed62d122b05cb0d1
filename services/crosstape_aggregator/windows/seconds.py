"""Holds the sums of the trades of each second. Minutes that are older than five minutes are packed.

A minute is packed when it has been over for a minute. Five minutes later only the packed one is kept: the shorter windows have left it by
then. It is unpacked when a longer window leaves it, and when a trade comes late. So a window of any length is exact to the second, and each
window unpacks a minute once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping
from typing import Final

from crosstape_aggregator.decimals import ZERO, add, subtract
from crosstape_aggregator.windows.minute import MINUTE_S, Minute, Sum, pack, unpack

NEVER: Final = 1 << 62
"""A second that never comes."""
NOTHING: Final[Sum] = (ZERO, ZERO, 0)
KEPT: Final = 5
"""So many minutes before the present one are not only packed."""
CROWDED: Final = 16
"""Minutes are packed at once when so many are unpacked, because past trades are read."""


def plus(one: Sum, other: Sum) -> Sum:
    """Return the sum of the trades of both."""
    return add(one[0], other[0]), add(one[1], other[1]), one[2] + other[2]


def minus(one: Sum, other: Sum) -> Sum:
    """Return the sum of the trades of `one` that are not in `other`, which has no others."""
    return subtract(one[0], other[0]), subtract(one[1], other[1]), one[2] - other[2]


class Seconds:
    """The sums of the trades of each second of one instrument. Minutes are numbered since the epoch."""

    __slots__ = ("_minutes", "_open", "_packed")

    def __init__(self) -> None:
        self._minutes: list[int] = []  # those that have trades, ascending
        self._open: dict[int, Minute] = {}
        self._packed: dict[int, bytes] = {}  # a minute that is in both has the same sums in both

    @property
    def is_crowded(self) -> bool:
        """Whether `pack` should be called early."""
        return len(self._open) > CROWDED

    def add(self, second: int, trades: Sum) -> None:
        """Add the sum of some trades of a second."""
        number, at = divmod(second, MINUTE_S)
        minute = self._open.get(number)
        if minute is None:
            if number in self._packed:
                minute = self._opened(number)
            else:
                insort(self._minutes, number)
                minute = self._open[number] = {}
        self._packed.pop(number, None)
        before = minute.get(at)
        minute[at] = trades if before is None else plus(before, trades)

    def between(self, from_s: int, until_s: int) -> tuple[Sum, int]:
        """Return the sum of the trades since `from_s` and before `until_s`, and the first second after these that has trades, or NEVER.

        `from_s` is not after `until_s`. O(seconds between them and that one).
        """
        trades, numbers = NOTHING, self._minutes
        for index in range(bisect_left(numbers, from_s // MINUTE_S), len(numbers)):
            start_s = numbers[index] * MINUTE_S
            minute = self._opened(numbers[index])
            first, end = max(from_s - start_s, 0), min(max(until_s - start_s, 0), MINUTE_S)
            for at in range(first, end):
                if at in minute:
                    trades = plus(trades, minute[at]) if trades[2] else minute[at]
            for at in range(end, MINUTE_S):
                if at in minute:
                    return trades, start_s + at
        return trades, NEVER

    def _opened(self, number: int) -> Minute:
        minute = self._open.get(number)
        if minute is None:
            minute = self._open[number] = unpack(self._packed[number])
        return minute

    def pack(self, second: int, leaving: Collection[int]) -> None:
        """Pack what is old enough as of `second`. Minutes that windows are `leaving` stay unpacked, too."""
        present = second // MINUTE_S
        for number in list(self._open):
            if number < present - 1 and number not in self._packed:
                self._packed[number] = pack(self._open[number])
            if number < present - KEPT and number not in leaving:
                del self._open[number]

    def drop(self, before_s: int) -> None:
        """Drop the minutes that end before this second."""
        count = bisect_left(self._minutes, before_s // MINUTE_S)
        for number in self._minutes[:count]:
            self._open.pop(number, None)
            self._packed.pop(number, None)
        del self._minutes[:count]

    def state(self) -> tuple[dict[int, bytes], dict[int, Minute]]:
        """Copy the minutes that are packed, and those that are not, by their numbers. O(minutes)."""
        return self._packed.copy(), {number: minute.copy() for number, minute in self._open.items() if number not in self._packed}

    def restore(self, packed: Mapping[int, bytes], unpacked: Mapping[int, Minute]) -> None:
        """Replace all minutes by those of a state."""
        self._packed = dict(packed)
        self._open = {number: dict(minute) for number, minute in unpacked.items()}
        self._minutes = sorted(self._packed.keys() | self._open.keys())
