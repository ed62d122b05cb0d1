"""Compares a bar of one venue with the venue's own candle of the same interval. Pure.

Compared are `open`, `high`, `low`, `close`, `volume` and `trades`, as far as both sides have the figure and mean the same by it:

- `open` only on venues whose candles open with their first trade, and not in an interval without trades.
- `trades` only where a trade on the tape is one execution.
- Of an inverse contract `quote_volume`, which is exact but for the 28 digits of each size: up to `QUOTE_TOLERANCE` of it. Its `volume` is a
  sum of rounded quotients on both sides: it may differ by one unit of the candle's last digit for each trade, and is not compared
  where the venue computes it from the closing price.
- All other figures must be equal to the digit.
"""

from __future__ import annotations

from decimal import Decimal, Inexact, InvalidOperation
from typing import Final, NamedTuple

from crosstape_aggregator.checks.candle_facts import OPEN_IS_FIRST_TRADE, TRADES_ARE_AGGREGATES, VOLUME_AT_CLOSE, is_inverse
from crosstape_aggregator.decimals import ZERO, subtract, times, usable
from crosstape_schemas import CONSOLIDATED, Bar, Candle, plain

FIELDS: Final = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
"""Every field that may be compared."""

QUOTE_TOLERANCE: Final = Decimal("1E-26")
"""Of the quote volume of an inverse contract. A size has 28 significant digits, so it is wrong by 5E-28 of it at most."""


class Difference(NamedTuple):
    """One field in which a bar and a candle differ."""

    field: str
    bar: Decimal | int
    candle: Decimal | int

    @property
    def texts(self) -> tuple[str, str]:
        """Both values without an exponent, with their own digits."""
        bar, candle = (plain.text(value) if isinstance(value, Decimal) else str(value) for value in (self.bar, self.candle))
        return bar, candle


def can_be_compared(bar: Bar) -> bool:
    """Whether a bar has all trades of its interval, and is of one venue."""
    return bar.closed and bar.complete and bar.venue != CONSOLIDATED


def is_sound(candle: Candle) -> bool:
    """Whether all figures of a candle can be computed with. No connector publishes another one."""
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quote_volume)
    return all(number is None or (number.is_finite() and (not number or usable(number, None))) for number in numbers)


def differences(bar: Bar, candle: Candle) -> list[Difference]:
    """Return the fields that differ. Both must be closed, of one venue, instrument, timeframe and `open_ts`, the bar complete,
    the candle sound.
    """
    found = [
        Difference(name, ours, theirs)
        for name in _prices(bar, candle)
        if (ours := getattr(bar, name)) is not None and ours != (theirs := getattr(candle, name))
    ]
    found += _volumes(bar, candle)
    if candle.trades is not None and candle.venue not in TRADES_ARE_AGGREGATES and bar.trades != candle.trades:
        found.append(Difference("trades", bar.trades, candle.trades))
    return found


def _prices(bar: Bar, candle: Candle) -> tuple[str, ...]:
    """Return the prices to compare: none if only one side has trades, which `volume` and `trades` show."""
    if (bar.trades > 0) != (candle.volume > 0):
        return ()
    return FIELDS[:4] if bar.trades and candle.venue in OPEN_IS_FIRST_TRADE else FIELDS[1:4]


def _volumes(bar: Bar, candle: Candle) -> list[Difference]:
    if not is_inverse(candle.venue, candle.instrument):
        return [] if bar.volume == candle.volume else [Difference("volume", bar.volume, candle.volume)]
    found = []
    if candle.venue not in VOLUME_AT_CLOSE and not _within(bar.volume, candle.volume, _rounding(bar, candle)):
        found.append(Difference("volume", bar.volume, candle.volume))
    quoted = candle.quote_volume
    if quoted is not None and not _within(bar.quote_volume, quoted, times(quoted, QUOTE_TOLERANCE)):
        found.append(Difference("quote_volume", bar.quote_volume, quoted))
    return found


def _rounding(bar: Bar, candle: Candle) -> Decimal:
    """Return how far a base volume may be off that the venue has rounded for each trade."""
    exponent = candle.volume.as_tuple().exponent
    counted = bar.trades if candle.trades is None else max(bar.trades, candle.trades)
    return times(Decimal(1).scaleb(min(exponent, 0)), Decimal(counted)) if isinstance(exponent, int) else ZERO


def _within(ours: Decimal, theirs: Decimal, tolerance: Decimal) -> bool:
    try:
        return abs(subtract(ours, theirs)) <= tolerance
    except (Inexact, InvalidOperation):
        return False  # numbers so far apart that their difference has more digits than any sum of ours
