"""Where candles begin and end. Written apart from the connector's grid, which is checked against this one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from crosstape_simulator.formats import NS

DAY_S: Final = 86_400
UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": DAY_S, "w": 7 * DAY_S}
MONDAY_S: Final = 4 * DAY_S
"""The first Monday of the epoch, which began on a Thursday."""
_FORM: Final = re.compile(r"(\d+)([smhdwM])")


class Interval(NamedTuple):
    """From `open_ts` up to, not including, `close_ts` (ns)."""

    open_ts: int
    close_ts: int


class Grid(NamedTuple):
    """The intervals of one timeframe."""

    length_s: int
    """0: calendar months."""
    anchor_s: int = 0
    """A time (s since the epoch) at which one begins."""

    def interval(self, ts: int) -> Interval:
        """The interval that holds a time (ns)."""
        if not self.length_s:
            return _month(ts)
        length, anchor = self.length_s * NS, self.anchor_s * NS
        open_ts = (ts - anchor) // length * length + anchor
        return Interval(open_ts, open_ts + length)

    def before(self, open_ts: int) -> Interval:
        """The interval that ends when another begins."""
        return self.interval(open_ts - 1)


MONTHS: Final = Grid(0)
THURSDAYS: Final = Grid(7 * DAY_S)
"""Weeks as venues have them that count seven days from the epoch."""


def grid(timeframe: str) -> Grid:
    """The grid of one of our timeframes: UTC, weeks on Monday. Raises `ValueError` for what is none."""
    found = _FORM.fullmatch(timeframe)
    if found is None:
        raise ValueError(f"{timeframe}: no such timeframe")
    count, unit = int(found[1]), found[2]
    if unit == "M":
        return MONTHS
    return Grid(count * UNITS[unit], MONDAY_S if unit == "w" else 0)


def _month(ts: int) -> Interval:
    day = datetime.fromtimestamp(ts // NS, UTC)
    first = datetime(day.year, day.month, 1, tzinfo=UTC)
    after = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
    return Interval(int(first.timestamp()) * NS, int(after.timestamp()) * NS)
