"""Holds the settings of bars, in the units that this package uses."""

from __future__ import annotations

from math import gcd
from typing import Final

import msgspec

from crosstape.errors import SettingsError
from crosstape.settings import AggregatorSettings
from crosstape_aggregator.clocks import SECOND
from crosstape_schemas.timeframes import DAY, LENGTHS, TIMEFRAMES, open_of

MINUTE: Final = 60 * SECOND


class BarRules(msgspec.Struct, frozen=True):
    """The settings `aggregator.bar*`; durations are in ns."""

    timeframes: tuple[str, ...]
    """Shortest first."""
    fills: tuple[bool, ...]
    """Of each timeframe: whether intervals without trades have bars."""
    most: tuple[int, ...]
    """Of each timeframe: the most closed intervals that are kept. Twice as many as the history has, for when the clock was wrong."""
    part_ns: int
    """Each interval of each timeframe consists of full parts of this length, which begin at multiples of it."""
    grace_ns: int
    interval_ns: int
    history_ns: int
    tolerance_ns: int

    def first_open_ts(self, now: int) -> int:
        """Return the moment (ns) at which the first interval began that may still be revised."""
        return min(open_of(name, now - self.history_ns - self.grace_ns) for name in self.timeframes)

    @staticmethod
    def of(settings: AggregatorSettings) -> BarRules:
        """Convert the settings. Raises `SettingsError` when one of `bars` is not a timeframe."""
        for name in settings.bars:
            if name not in TIMEFRAMES:
                raise SettingsError(f"aggregator.bars: {name!r} is not a timeframe of bars: {', '.join(TIMEFRAMES)}")
        timeframes = tuple(name for name in TIMEFRAMES if name in settings.bars)
        return BarRules(
            timeframes=timeframes,
            fills=tuple(LENGTHS.get(name, DAY) >= MINUTE for name in timeframes),
            most=tuple(2 * (round(settings.bar_history_s * SECOND) // LENGTHS.get(name, 28 * DAY) + 4) for name in timeframes),
            part_ns=gcd(*(min(LENGTHS.get(name, DAY), DAY) for name in timeframes)) or DAY,
            grace_ns=round(settings.bar_grace_s * SECOND),
            interval_ns=round(settings.bar_interval_s * SECOND),
            history_ns=round(settings.bar_history_s * SECOND),
            tolerance_ns=round(settings.clock_tolerance_s * SECOND),
        )
