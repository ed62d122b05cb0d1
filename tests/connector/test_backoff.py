"""How long to wait after failures."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.backoff import PAUSE_MAX_S, delays, pause_s


def test_pauses_double_up_to_a_cap() -> None:
    """There is no pause before a failure. After any number of failures the pause is a number that `sleep` accepts."""
    assert [pause_s(failures) for failures in range(-1, 6)] == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    assert pause_s(8) == pause_s(100_000) == PAUSE_MAX_S


@settings(deadline=None)
@given(st.floats(0.01, 5), st.floats(0, 100))
def test_delays_are_random_grow_and_are_capped(min_s: float, extra_s: float) -> None:
    """Each delay is in a window that doubles, never below the minimum and never above the maximum."""
    max_s = min_s + extra_s
    for number, wait_s in enumerate(itertools.islice(delays(min_s, max_s), 12)):
        assert min_s <= wait_s <= max(min_s, min(max_s, 2 * min_s * 2**number)) + 1e-9
