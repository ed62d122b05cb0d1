"""Rate limits, with times as values."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.rate_limit import RateLimit


def test_a_window_lets_its_count_through_and_the_next_waits_for_the_first_to_leave_it() -> None:
    """Five at once; the sixth a second after the first."""
    rate_limit = RateLimit(5, 1.0)
    assert [rate_limit.reserve(100.0) for _ in range(6)] == [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


@given(st.integers(1, 8), st.lists(st.floats(0, 0.1), min_size=30, max_size=30))
def test_a_venue_that_receives_unevenly_never_counts_twice_the_rate(rate: int, late: list[float]) -> None:
    """Requests arrive after different times: within one second of its clock the venue gets the rate plus one, or plus two at most."""
    rate_limit = RateLimit.per_second(rate)
    received = sorted(rate_limit.reserve(0.0) + way for way in late)

    most = max(sum(1 for other in received if first <= other < first + 1.0) for first in received)
    assert most <= rate + 1 + rate * 0.1


def test_a_rate_below_one_is_one_in_a_longer_window() -> None:
    """0.2 per second is one every five seconds."""
    rate_limit = RateLimit.per_second(0.2)
    assert [rate_limit.reserve(0.0) for _ in range(3)] == [0.0, 5.0, 10.0]


def test_a_message_that_cannot_wait_delays_the_others() -> None:
    """The venue counts our pong."""
    rate_limit = RateLimit(2, 1.0)
    rate_limit.spend(0.0)
    rate_limit.spend(0.0)
    assert rate_limit.reserve(0.5) == 0.5


@settings(deadline=None)
@given(st.integers(1, 8), st.floats(0.1, 10), st.lists(st.floats(0, 3), max_size=60))
def test_no_window_holds_more_than_its_count(count: int, window_s: float, steps: list[float]) -> None:
    """For any position of the window: the strictest reading of a venue's limit."""
    rate_limit = RateLimit(count, window_s)
    now, slots = 0.0, []
    for step in steps:
        now += step
        slots.append(now + rate_limit.reserve(now))
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(slots))
    assert all(later - earlier >= window_s - 1e-6 for earlier, later in zip(slots, slots[count:], strict=False))
