"""Gemini's values: times, sides, timeframes and candles, of both sockets and of REST. Pure."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.venues.parsing.candles import candle
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns
from crosstape_schemas import Candle, Side

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


class RawCandle(msgspec.Struct, frozen=True, array_like=True):
    start: Stamp
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


def candle_of(row: RawCandle, instrument: str, timeframe: str, received_ts: int) -> Candle:
    """Return a candle; its volume is in base units. Nothing says when it was made. Raises `FrameError`."""
    prices = row.open, row.high, row.low, row.close
    return candle(ID, instrument, timeframe, epoch_ns(row.start), prices, volume=row.volume, venue_ts=None, received_ts=received_ts)
