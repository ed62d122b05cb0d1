"""Where the intervals of candles begin and end."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_schemas import TIMEFRAMES
from crosstape_schemas.timeframes import DAY, LENGTHS, close_of, is_open, open_of

MOMENTS = st.integers(0, 4_102_444_800 * 10**9)  # until 2100
FRAMES = st.sampled_from(TIMEFRAMES)


def ns(text: str) -> int:
    """A time in UTC as ns."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * 10**9


@given(FRAMES, MOMENTS)
def test_every_moment_is_in_exactly_one_interval(timeframe: str, ts: int) -> None:
    """An interval contains its beginning and not its end, which is the beginning of the next."""
    start = open_of(timeframe, ts)
    end = close_of(timeframe, start)

    assert start <= ts < end
    assert is_open(timeframe, start)
    assert is_open(timeframe, end)
    assert open_of(timeframe, end - 1) == start


@given(st.sampled_from([name for name in LENGTHS if name not in ("1d", "1w")]), MOMENTS)
def test_intervals_within_a_day_begin_at_midnight(timeframe: str, ts: int) -> None:
    """Each of them divides a day."""
    assert is_open(timeframe, ts // DAY * DAY)


@pytest.mark.parametrize(
    ("timeframe", "moment", "start", "end"),
    [
        ("1w", "2026-11-29T23:59:59", "2026-11-23", "2026-11-30"),  # a Sunday
        ("1w", "2026-11-30T00:00:00", "2026-11-30", "2026-12-07"),
        ("1M", "2024-02-29T12:00:00", "2024-02-01", "2024-03-01"),
        ("1M", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("4h", "2026-11-30T03:59:59", "2026-11-30T00:00", "2026-11-30T04:00"),
        ("1d", "2026-11-30T16:00:00", "2026-11-30", "2026-12-01"),
    ],
)
def test_weeks_begin_on_monday_and_months_on_the_first(timeframe: str, moment: str, start: str, end: str) -> None:
    """In UTC, whatever a venue does."""
    assert open_of(timeframe, ns(moment)) == ns(start)
    assert close_of(timeframe, ns(start)) == ns(end)


def test_the_week_before_the_first_monday_began_before_the_epoch() -> None:
    """The epoch was a Thursday."""
    assert open_of("1w", 0) == -3 * DAY
