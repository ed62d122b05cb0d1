"""The checks of one candle by itself, and the comparison of two. Pure."""

from __future__ import annotations

from crosstape_connector.venues.messages import Odd
from crosstape_schemas import Candle
from crosstape_schemas.timeframes import is_open


def find_fault(candle: Candle) -> Odd | None:
    """Return why a candle cannot be used; None: it can.

    `grid`: it does not begin where a candle of its timeframe begins on the tape, as a week that begins on Thursday. `candle`: its low or
    high does not contain its open and close, as when columns are swapped.
    """
    if not is_open(candle.timeframe, candle.open_ts):
        return Odd("grid", f"{candle.timeframe} of {candle.instrument}: no candle begins at {candle.open_ts}")
    if not candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high:
        prices = "/".join(format(price, "f") for price in (candle.open, candle.high, candle.low, candle.close))
        return Odd("candle", f"{candle.timeframe} of {candle.instrument}: open/high/low/close {prices}")
    return None


def figures(candle: Candle) -> tuple[object, ...]:
    """Return everything in a candle that a change must be published for."""
    return (
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.quote_volume,
        candle.trades,
        candle.taker_buy_volume,
    )
