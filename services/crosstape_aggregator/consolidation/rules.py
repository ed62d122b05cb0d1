"""Holds the settings of an aggregator that are the same for all instruments, in the units that the engine uses."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.windows.window_spec import WindowSpec, parse_all


class Rules(msgspec.Struct, frozen=True):
    """The settings `aggregator.*`; durations are in ns."""

    stale_ns: int
    settle_ns: int
    clock_tolerance_ns: int
    outlier_bps: Decimal
    windows: tuple[WindowSpec, ...]

    @staticmethod
    def of(settings: AggregatorSettings) -> Rules:
        """Convert the settings. Raises `SettingsError` when one of `windows` is not the name of a window."""
        return Rules(
            stale_ns=round(settings.stale_s * SECOND),
            settle_ns=round(settings.settle_s * SECOND),
            clock_tolerance_ns=round(settings.clock_tolerance_s * SECOND),
            outlier_bps=settings.outlier_bps,
            windows=parse_all(settings.windows),
        )
