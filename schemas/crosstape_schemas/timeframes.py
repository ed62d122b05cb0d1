"""Defines the timeframes of candles, and where their intervals begin: UTC, weeks on Monday, months on the 1st.

Other alignments are other timeframes. A venue whose day begins at 16:00 UTC, or whose week begins on Thursday, has no `1d` or `1w` of ours.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

SECOND: Final = 1_000_000_000
"""ns."""
DAY: Final = 86_400 * SECOND
_UNITS: Final = {"s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": DAY, "w": 7 * DAY}
_MONTH: Final = "1M"
_FIRST_MONDAY: Final = 4 * DAY
"""1970-01-05: the epoch was a Thursday."""

TIMEFRAMES: Final = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d", "1w", _MONTH)
"""Every timeframe, shortest first. A month has no fixed length."""

LENGTHS: Final = {name: int(name[:-1]) * _UNITS[name[-1]] for name in TIMEFRAMES if name != _MONTH}
"""Timeframe → length in ns, without months."""


def open_of(timeframe: str, ts: int) -> int:
    """Returns when the interval that contains `ts` began, ns. Raises `KeyError` for a timeframe that is not one of ours."""
    if timeframe == _MONTH:
        return _first_of_month(ts, 0)
    length = LENGTHS[timeframe]
    start = _FIRST_MONDAY if timeframe == "1w" else 0
    return start + (ts - start) // length * length


def close_of(timeframe: str, open_ts: int) -> int:
    """Returns when the interval that began at `open_ts` ends, which is when the next begins, ns. Raises as `open_of`."""
    return _first_of_month(open_ts, 1) if timeframe == _MONTH else open_ts + LENGTHS[timeframe]


def is_open(timeframe: str, ts: int) -> bool:
    """Whether an interval begins at `ts`. Raises as `open_of`."""
    return open_of(timeframe, ts) == ts


def _first_of_month(ts: int, later: int) -> int:
    """Return the beginning of the month that contains `ts`, or of the one `later` months after it."""
    day = dt.datetime.fromtimestamp(ts // SECOND, dt.UTC)
    months = day.year * 12 + day.month - 1 + later
    first = dt.datetime(months // 12, months % 12 + 1, 1, tzinfo=dt.UTC)
    return int(first.timestamp()) * SECOND
