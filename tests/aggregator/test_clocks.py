"""Tests how far clocks differ, and which seconds are doubtful because of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_aggregator.clocks import AHEAD_S, Least, VenueClock, doubtful_until
from crosstape_aggregator.windows.vwap import TradeWindows
from crosstape_aggregator.windows.window_spec import WindowSpec
from tests.aggregator.builders import MS, T0, S

TOLERANCE = 2 * S
_ONE = Decimal(1)


def test_the_smallest_difference_of_the_last_minute_counts() -> None:
    """A slow message does not change the offset. A clock that was set changes it within a minute."""
    least = Least()
    assert least.value() is None
    for age_s, difference in ((0, 40), (10, 5), (30, 900), (65, 60)):
        least.add(T0 + age_s * S, difference)
    assert least.value() == 5
    least.add(T0 + 71 * S, 70)
    assert least.value() == 60
    least.add(T0 + 1_000 * S, 80)
    assert least.value() == 80


def test_differences_of_before_our_clock_was_set_back_are_forgotten() -> None:
    """They would have times in the future."""
    least = Least()
    least.add(T0 + 90 * S, 1)
    least.add(T0, 7)
    assert least.value() == 7


def test_an_offset_has_two_parts() -> None:
    """The connector reports the offset of the venue; we measure the offset of the connector."""
    clock = VenueClock()
    clock.reported(-30 * S)
    assert clock.offset_ns is None
    clock.arrived(T0, T0 - 3 * S)
    clock.arrived(T0 + S, T0 + S - 2 * MS)
    assert clock.offset_ns == -30 * S + 2 * MS
    clock.reported(None)
    assert clock.offset_ns == -30 * S + 2 * MS


def test_a_connector_that_does_not_say_is_measured_by_its_trades() -> None:
    """If the connector reports its offset, the report is used."""
    clock = VenueClock()
    clock.arrived(T0, T0)
    clock.traded(T0, T0 + 90 * S, T0)
    assert clock.offset_ns == 90 * S
    clock.reported(5 * S)
    assert clock.offset_ns == 5 * S
    clock.clear()
    assert clock.offset_ns is None


@pytest.mark.parametrize(
    ("offset_s", "doubtful_s"),
    [(0, None), (2, None), (-2, None), (2.1, 0), (90, 0), (7_200, 0), (-30, 30), (-60, 60), (-7_200, AHEAD_S)],
)
def test_seconds_up_to_now_are_doubtful_while_clocks_differ(offset_s: float, doubtful_s: int | None) -> None:
    """If the venue is ahead of us, later seconds are doubtful, too."""
    assert doubtful_until(T0, round(offset_s * S), TOLERANCE) == (0 if doubtful_s is None else T0 + doubtful_s * S)


@given(
    offset_s=st.integers(-100, 100),
    begins=st.integers(0, 40),
    lasts=st.integers(1, 60),
    length=st.sampled_from([1, 10, 60]),
    trades=st.lists(st.integers(0, 200), max_size=60),
)
def test_a_window_behind_the_doubtful_seconds_is_right(offset_s: int, begins: int, lasts: int, length: int, trades: list[int]) -> None:
    """While the clock of a venue is wrong, its trades count in wrong seconds."""
    base = T0 // S
    windows = TradeWindows([WindowSpec("w", length)], base)
    doubtful = 0
    true: list[int] = []
    for second in range(260):
        wrong = begins <= second < begins + lasts and abs(offset_s) > 2
        for made in trades:
            if made == second:
                true.append(second)
                windows.add(base + (second - offset_s if wrong and -offset_s <= AHEAD_S else second), _ONE, _ONE)
        if wrong:
            doubtful = max(doubtful, doubtful_until((base + second) * S, offset_s * S, TOLERANCE) // S + 1)
        found = windows.read(base + second)["w"].trades
        if base + second - length >= doubtful:
            assert found == sum(one >= second - length for one in true)
