"""Holds the settings of consolidated books, in the units that they are computed with."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from crosstape.settings import AggregatorSettings
from crosstape.settings.computed import ALL_OTHERS
from crosstape_aggregator.clocks import SECOND


class DepthRules(msgspec.Struct, frozen=True):
    """The settings `aggregator.depth_*` and `aggregator.sweep_sizes`; durations are in ns."""

    levels: int
    interval_ns: int
    stale_ns: int
    sizes: dict[str, tuple[Decimal, ...]]

    @staticmethod
    def of(settings: AggregatorSettings) -> DepthRules:
        """Convert the settings."""
        return DepthRules(
            levels=settings.depth_levels,
            interval_ns=round(settings.depth_interval_s * SECOND),
            stale_ns=round(settings.stale_s * SECOND),
            sizes={name: tuple(sorted(set(sizes))) for name, sizes in settings.sweep_sizes.items()},
        )

    def sizes_of(self, instrument: str) -> tuple[Decimal, ...]:
        """Return the sizes whose cost is computed, ascending."""
        return self.sizes.get(instrument, self.sizes.get(ALL_OTHERS, ()))
