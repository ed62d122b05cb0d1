"""Gemini's values: times, sides and timeframes, of both sockets and of REST. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crosstape_connector.venues.parsing.wire import epoch_ns
from crosstape_schemas import Side

ID: Final = "gemini"
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
"""The taker's. Other words of the venue (`auction`, `block`) are no side."""
TIMEFRAMES: Final[Mapping[str, str]] = {"1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1hr"}
"""Our timeframes → those of REST. Its page names `1h`, `6h` and `1d` too, which the server refuses (seen in 2026-08)."""
NANOSECONDS: Final = 10**17
"""A time from here on is in ns: as µs this would be the year 5138."""


def moment(stamp: int) -> int:
    """Convert a time to ns. Market data have ns, other frames ms: the size of the number shows which."""
    return stamp if stamp >= NANOSECONDS else epoch_ns(stamp)
