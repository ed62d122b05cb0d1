"""The metrics of composites: the rate of each converted part, and why a part does not count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import prometheus_client as prometheus

from crosstape_aggregator.composites.composite import Composite
from crosstape_aggregator.metrics.per_instrument import CODES

EXPORT_S: Final = 1.0
"""Time between two updates."""

RATE: Final = prometheus.Gauge(
    "crosstape_aggregator_composite_rate",
    "Rate by which a part of a composite is converted; absent while none is known",
    ["composite", "part"],
)
EXCLUDED: Final = prometheus.Gauge(
    "crosstape_aggregator_composite_part_excluded",
    "0: the part counts in the composite; else why not, by the numbers of crosstape_aggregator_leg_excluded",
    ["composite", "part"],
)


class CompositeMetrics:
    """Exports the metrics of the composites of one shard, at most once in `EXPORT_S`."""

    def __init__(self, composites: Sequence[Composite]) -> None:
        self._composites = composites
        self._next_s = -math.inf

    def export(self, now_s: float) -> None:
        """Update the metrics. `now_s`: monotonic."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + EXPORT_S
        for composite in self._composites:
            for part in composite.parts:
                if part.instrument in composite.excluded:
                    EXCLUDED.labels(composite.name, part.instrument).set(CODES[composite.excluded[part.instrument]])
                if part.rate is not None and part.rate.rate is not None:
                    RATE.labels(composite.name, part.instrument).set(float(part.rate.rate))

    def close(self) -> None:
        """Remove the values: the shard is served elsewhere now."""
        for gauge in (RATE, EXCLUDED):
            for composite in self._composites:
                for part in composite.parts:
                    gauge.remove(composite.name, part.instrument)
