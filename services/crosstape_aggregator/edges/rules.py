"""Holds the settings of edges, in the units that they are computed with."""

from __future__ import annotations

import msgspec

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.edges.net import Fee


class EdgeRules(msgspec.Struct, frozen=True):
    """The settings `aggregator.taker_fees_bps` and `aggregator.edge_interval_s`; durations are in ns."""

    fees: dict[str, Fee]
    """Venue → what a taker pays there. Only these venues have edges."""
    interval_ns: int
    stale_ns: int

    @staticmethod
    def of(settings: AggregatorSettings) -> EdgeRules:
        """Convert the settings. No fee may be negative: then prices that do not cross before fees never cross after them."""
        return EdgeRules(
            fees={venue: Fee.of(bps) for venue, bps in settings.taker_fees_bps.items()},
            interval_ns=round(settings.edge_interval_s * SECOND),
            stale_ns=round(settings.stale_s * SECOND),
        )
