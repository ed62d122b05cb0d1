"""Times and numbers as they come over the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.parsing.wire import epoch_ns, finite, iso_ns, known_ns, positive, side


@given(
    moment=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2255, 1, 1)),  # noqa: DTZ001 (made aware below)
    nanoseconds=st.integers(0, 999),
    digits=st.integers(0, 9),
)
def test_a_time_is_exact_to_the_nanosecond(moment: datetime, nanoseconds: int, digits: int) -> None:
    """With any number of digits: what is not written is zero."""
    fraction = f"{moment.microsecond:06}{nanoseconds:03}"[:digits]
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (f".{fraction}" if digits else "") + "Z"

    seconds = int(moment.replace(microsecond=0, tzinfo=UTC).timestamp())

    assert iso_ns(text) == seconds * 10**9 + int(fraction.ljust(9, "0"))


@pytest.mark.parametrize(
    "text",
    [
        "", "Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:61Z", "2026-01-01T00:60:00Z", "2026-01-01T24:00:00Z", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z", "2026-01-01T00:00:0Z", "2026-01-01T00:00:0xZ", "2026-01-01T00:00:00.-1Z", "2026-01-01T00:00:00.1_0Z",
        "2026-01-01T00-00:00Z", "2026-01-01T00:00.00Z", "2026-01-01T00:00:00.٣Z", "2026-W01-1T00:00:00Z", "2026-01-01T+1:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    """Never guessed at."""
    with pytest.raises(FrameError):
        iso_ns(text)


def test_a_time_that_means_none_is_null() -> None:
    """The year 1 and the epoch were both sent for it."""
    assert known_ns(None) is None
    assert known_ns("0001-01-01T00:00:00.000000Z") is None
    assert known_ns("1970-01-01T00:00:00Z") is None
    assert known_ns("1970-01-01T00:00:00.000000001Z") == 1


def test_milliseconds_and_microseconds_are_told_apart() -> None:
    """By their size: either is unthinkable as the other."""
    assert epoch_ns(1_767_225_600_123) == 1_767_225_600_123_000_000
    assert epoch_ns(1_767_225_600_123_456) == 1_767_225_600_123_456_000


@pytest.mark.parametrize(
    ("price", "size", "good"),
    [("1", "0.00000001", True), ("1", "0", False), ("0", "1", False), ("-1", "1", False), ("NaN", "1", False), ("1", "sNaN", False),
     ("1E+20", "1", False), ("Infinity", "1", False)],
)  # fmt: skip
def test_a_price_and_a_size_are_above_zero_and_of_this_world(price: str, size: str, *, good: bool) -> None:
    """Whatever a decimal can be."""
    assert positive(Decimal(price), Decimal(size)) is good


def test_a_side_without_price_or_size_is_empty() -> None:
    """Anything else that is not above zero is an error."""
    assert side(Decimal(2), Decimal(3)) == (Decimal(2), Decimal(3))
    assert side(Decimal(2), Decimal(0)) == (None, None)
    assert side(Decimal(0), Decimal(3)) == (None, None)
    with pytest.raises(FrameError):
        side(Decimal(2), Decimal(-3))


def test_a_figure_is_a_number_or_null() -> None:
    """Zero and below are fine: a day's change is one."""
    finite(Decimal(-1), None, Decimal(0))
    with pytest.raises(FrameError):
        finite(Decimal(1), Decimal("NaN"))
