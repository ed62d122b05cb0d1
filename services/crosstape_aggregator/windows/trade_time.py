"""Decides when a trade counts, in windows and in bars. Pure."""

from __future__ import annotations

from typing import Final

from crosstape_aggregator.clocks import AHEAD_S, SECOND
from crosstape_schemas import Trade

AHEAD: Final = AHEAD_S * SECOND
BEHIND: Final = 3_650 * 86_400 * SECOND
"""Ten years. A trade that was fetched later may be old, but not as old as one whose time is in another unit, or none."""


def trade_ts(trade: Trade) -> int:
    """Return the moment (ns) that a trade counts at: its venue time.

    If this is missing, more than `AHEAD` after the time of receipt or more than `BEHIND` before it, or not after the epoch, it is the time
    of receipt.
    """
    ts = trade.venue_ts
    if ts is None or ts <= 0 or not -BEHIND <= ts - trade.received_ts <= AHEAD:
        return trade.received_ts
    return ts


def trade_second(trade: Trade) -> int:
    """Return the second (since the epoch) that a trade counts in."""
    return trade_ts(trade) // SECOND
