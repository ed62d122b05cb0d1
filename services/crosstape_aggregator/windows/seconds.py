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

    __slots__ = ("_minutes", "_packed", "unpacked")

    def __init__(self) -> None:
        self._minutes: list[int] = []  # those that have trades, ascending
        self._packed: dict[int, bytes] = {}  # a minute that is unpacked, too, has the same sums there
        self.unpacked: dict[int, Minute] = {}
        """Minute → its sums, of the minutes that are not only packed. Seconds that all windows have left may be deleted from them."""

    def add(self, second: int, trades: Sum) -> Minute | None:
        """Add the sum of some trades of a second. Returns its minute if these are the first trades of the second."""
        number, at = divmod(second, MINUTE_S)
        minute = self.unpacked.get(number)
        if minute is None:
            if number in self._packed:
                minute = self._unpacked(number)
            else:
                insort(self._minutes, number)
                minute = self.unpacked[number] = {}
        if number in self._packed:
            del self._packed[number]
        before = minute.get(at)
        if before is None:
            minute[at] = trades
            return minute
        minute[at] = plus(before, trades)
        return None

    def first(self, second: int) -> tuple[int, Minute]:
        """Return the first second since this one that has trades, and its minute; NEVER and no minute if there is none.

        The minute stays the same object while it is among those that windows are leaving (see `pack`), and late trades are added to it.
        """
        for index in range(bisect_left(self._minutes, second // MINUTE_S), len(self._minutes)):
            start_s = self._minutes[index] * MINUTE_S
            minute = self._unpacked(self._minutes[index])
            for at in range(max(second - start_s, 0), MINUTE_S):
                if at in minute:
                    return start_s + at, minute
        return NEVER, {}

    def since(self, second: int) -> Sum:
        """Return the sum of all trades since this second."""
        trades = NOTHING
        for number in self._minutes[bisect_left(self._minutes, second // MINUTE_S) :]:
            for at, some in self._unpacked(number).items():
                if number * MINUTE_S + at >= second:
                    trades = plus(trades, some)
        return trades

    def _unpacked(self, number: int) -> Minute:
        minute = self.unpacked.get(number)
        if minute is None:
            minute = self.unpacked[number] = unpack(self._packed[number])
        return minute

    def pack(self, second: int, leaving: Collection[int]) -> None:
        """Pack what is old enough as of `second`. Minutes that windows are `leaving` stay unpacked, too."""
        present = second // MINUTE_S
        for number, minute in list(self.unpacked.items()):
            if number < present - 1 and number not in self._packed and minute:
                self._packed[number] = pack(minute)
            if number < present - KEPT and number not in leaving and number in self._packed:
                del self.unpacked[number]

    def drop(self, before_s: int) -> None:
        """Drop the minutes that end before this second."""
        count = bisect_left(self._minutes, before_s // MINUTE_S)
        for number in self._minutes[:count]:
            self.unpacked.pop(number, None)
            self._packed.pop(number, None)
        del self._minutes[:count]

    def state(self) -> tuple[dict[int, bytes], dict[int, Minute]]:
        """Copy the minutes that are packed, and those that are not, by their numbers. O(minutes)."""
        return self._packed.copy(), {
            number: minute.copy() for number, minute in self.unpacked.items() if minute and number not in self._packed
        }

    def restore(self, packed: Mapping[int, bytes], unpacked: Mapping[int, Minute]) -> None:
        """Replace all minutes by those of a state."""
        self._packed = dict(packed)
        self.unpacked = {number: minute.copy() for number, minute in unpacked.items()}
        self._minutes = sorted(self._packed.keys() | self.unpacked.keys())
