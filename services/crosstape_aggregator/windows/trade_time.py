"""Decides when a trade counts, in windows and in bars. Pure."""

from __future__ import annotations

from crosstape_aggregator.clocks import SECOND
from crosstape_schemas import Trade
from crosstape_schemas.trade_time import counts_at


def trade_ts(trade: Trade) -> int:
    """Return the moment (ns) that a trade counts at: see `counts_at`."""
    return counts_at(trade.venue_ts, trade.received_ts)


def trade_second(trade: Trade) -> int:
    """Return the second (since the epoch) that a trade counts in."""
    return counts_at(trade.venue_ts, trade.received_ts) // SECOND
