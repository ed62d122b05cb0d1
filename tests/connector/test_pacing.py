"""Limits per time, tried with times as values."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.pacing import Pacer


def test_a_window_lets_so_many_through_and_the_next_waits_for_the_first_to_leave_it() -> None:
    """Five at once, the sixth a whole second after the first."""
    pacer = Pacer.per_second(5)
    assert [pacer.reserve(100.0) for _ in range(6)] == [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def test_a_rate_below_one_is_one_in_a_longer_window() -> None:
    """0.2 a second: every five seconds."""
    pacer = Pacer.per_second(0.2)
    assert [pacer.reserve(0.0) for _ in range(3)] == [0.0, 5.0, 10.0]


def test_what_could_not_wait_makes_others_wait() -> None:
    """An answered ping counts at the venue."""
    pacer = Pacer.per_second(2)
    pacer.spend(0.0)
    pacer.spend(0.0)
    assert pacer.reserve(0.5) == 0.5


@settings(deadline=None)
@given(st.integers(1, 8), st.floats(0.1, 10), st.lists(st.floats(0, 3), max_size=60))
def test_no_window_holds_more_than_its_count(count: int, window_s: float, steps: list[float]) -> None:
    """Wherever the window is laid: the strictest reading of a venue's limit."""
    pacer = Pacer(count, window_s)
    now, slots = 0.0, []
    for step in steps:
        now += step
        slots.append(now + pacer.reserve(now))
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(slots))
    assert all(later - earlier >= window_s - 1e-6 for earlier, later in zip(slots, slots[count:], strict=False))
