"""Holds the settings that the methods use. An audit needs those with which the events were published."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from crosstape.settings import AggregatorSettings
from crosstape.settings.computed import ALL_OTHERS
from crosstape_schemas.timeframes import DAY, LENGTHS

SECOND: Final = 1_000_000_000
MS: Final = 1_000_000
UNITS: Final = {"s": 1, "m": 60, "h": 3_600}
SPARE_NS: Final = 600 * SECOND
"""Trades are read from this much longer ago than they are needed."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings `aggregator.*` of an audit. Durations are ns."""

    stale_ns: int
    settle_ns: int
    outlier_bps: Decimal
    tolerance_ns: int
    """`clock_tolerance_s`."""
    bars: tuple[str, ...]
    grace_ns: int
    history_ns: int
    fees: Mapping[str, Decimal]
    sweep_sizes: Mapping[str, tuple[Decimal, ...]]
    depth_levels: int
    windows: tuple[str, ...]
    depeg_bps: Mapping[str, Decimal]
    """Composite → its limit."""
    parts: Mapping[str, tuple[str, ...]]
    """Composite → its parts."""
    lag_ns: int = 5 * SECOND
    """What was written to the tape this long before an event was computed had been read by the aggregator, unless its inputs show that
    it was behind."""

    @staticmethod
    def of(settings: AggregatorSettings) -> Rules:
        """Convert the settings."""
        return Rules(
            stale_ns=round(settings.stale_s * SECOND),
            settle_ns=round(settings.settle_s * SECOND),
            outlier_bps=settings.outlier_bps,
            tolerance_ns=round(settings.clock_tolerance_s * SECOND),
            bars=settings.bars,
            grace_ns=round(settings.bar_grace_s * SECOND),
            history_ns=round(settings.bar_history_s * SECOND),
            fees=settings.taker_fees_bps,
            sweep_sizes={name: tuple(sorted(set(sizes))) for name, sizes in settings.sweep_sizes.items()},
            depth_levels=settings.depth_levels,
            windows=settings.windows,
            depeg_bps={name: one.depeg_bps for name, one in settings.composites.items()},
            parts={name: tuple(one.parts) for name, one in settings.composites.items()},
        )

    def sizes_of(self, instrument: str) -> tuple[Decimal, ...]:
        """Return the sizes whose cost a book shows, ascending."""
        return self.sweep_sizes.get(instrument, self.sweep_sizes.get(ALL_OTHERS, ()))

    def past_ns(self, from_ts: int) -> int:
        """Return from how long before an audit trades are needed: for the longest window, and for bars that may still be revised."""
        windows = [from_ts % DAY if name == "1d" else length_of(name) * SECOND for name in self.windows]
        return max(0, *windows, self.bar_past_ns - SPARE_NS) + SPARE_NS

    @property
    def bar_past_ns(self) -> int:
        """How long before an audit the bars may have begun that are published in it."""
        return max([0, *(self.history_ns + min(LENGTHS.get(timeframe, DAY), DAY) for timeframe in self.bars)]) + SPARE_NS


def length_of(window: str) -> int:
    """Return the length of a window in seconds: `5m` is 300. Not of `1d`, which begins at midnight."""
    return int(window[:-1]) * UNITS[window[-1]]
