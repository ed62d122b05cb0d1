"""Defines the moment that a trade counts at: in windows, in bars, in the recorded history."""

from __future__ import annotations

from typing import Final

AHEAD: Final = 60_000_000_000
"""ns. A venue's clock may be ahead of ours by this much."""
BEHIND: Final = 3_650 * 86_400 * 1_000_000_000
"""Ten years, ns. A trade that was fetched later may be old, but not as old as one whose time is in another unit, or none."""


def counts_at(venue_ts: int | None, received_ts: int) -> int:
    """Returns the moment (ns) that a trade counts at: its venue time.

    If this is missing, more than `AHEAD` after the time of receipt or more than `BEHIND` before it, or not after the epoch, it is the time
    of receipt.
    """
    if venue_ts is None or venue_ts <= 0 or not -BEHIND <= venue_ts - received_ts <= AHEAD:
        return received_ts
    return venue_ts
