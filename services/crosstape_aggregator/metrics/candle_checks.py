"""The metrics of comparing bars with the candles of venues."""

from __future__ import annotations

from typing import Final

import prometheus_client as prometheus

COMPARED: Final = prometheus.Counter(
    "crosstape_aggregator_bars_compared",
    "Closed bars of one venue that were compared with the venue's own candle: once each, with the highest revision of both",
    ["venue", "timeframe"],
)
DIFFERENCES: Final = prometheus.Counter(
    "crosstape_aggregator_bar_differences",
    "Fields in which a complete bar differs from the venue's own candle. The log has the first one of each venue and field",
    ["venue", "field"],
)
DROPPED: Final = prometheus.Counter(
    "crosstape_aggregator_bars_not_compared", "Bars and candles that were not compared, because too many waited for their other side"
)
