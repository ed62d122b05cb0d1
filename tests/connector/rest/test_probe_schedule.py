"""Which instruments are probed next."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.rest.probe_schedule import ProbeSchedule

NAMES = ("a", "b", "c", "d")


def ask(due: ProbeSchedule, now: float, *, urgent: tuple[str, ...] = (), silent: tuple[str, ...] = (), count: int = 10) -> list[str]:
    """Return the next of `NAMES` at that time."""
    return due.next_names(NAMES, now=now, urgent=urgent, silent=silent, count=count)


def test_all_are_probed_at_once_and_then_as_often_as_they_need() -> None:
    """An active one once a minute, a silent one every ten seconds, an urgent one every five."""
    due = ProbeSchedule(urgent_s=5, silent_s=10, routine_s=60)
    assert ask(due, 0) == [*NAMES]
    asked: dict[str, int] = dict.fromkeys(NAMES, 0)
    for second in range(1, 61):
        for name in ask(due, second, urgent=("a",), silent=("a", "b")):
            asked[name] += 1
    assert asked == {"a": 12, "b": 6, "c": 1, "d": 1}


def test_requested_ones_go_first_and_not_sooner_than_urgent_ones() -> None:
    """Many requests for one instrument are one probe."""
    due = ProbeSchedule(urgent_s=5, silent_s=10, routine_s=60)
    ask(due, 0)
    due.request("c")
    due.request("c")
    assert ask(due, 4) == []
    assert ask(due, 5, silent=("a",)) == ["c"]
    assert ask(due, 9) == []
    due.request("d")
    assert ask(due, 10, silent=("a", "b"), count=2) == ["d", "a"]
    assert ask(due, 10, silent=("a", "b"), count=2) == ["b"]


def test_an_instrument_that_is_removed_is_forgotten() -> None:
    """It is new when it comes back."""
    due = ProbeSchedule(urgent_s=5, silent_s=5)
    due.request("x")
    assert ask(due, 0) == [*NAMES]
    assert due.next_names(("a",), now=1, urgent=(), silent=(), count=9) == []
    assert ask(due, 2) == ["b", "c", "d"]


def test_the_next_probe_has_a_time() -> None:
    """By the periods of the last look: a request makes it sooner, at the next look."""
    due = ProbeSchedule(urgent_s=5, silent_s=10)
    assert due.due_in(0) == math.inf
    assert ask(due, 0) == [*NAMES]
    assert ask(due, 1) == []
    assert due.due_in(1) == math.inf, "an active one is never probed without a `routine_s`"
    assert ask(due, 2, silent=("a", "b"), urgent=("b",)) == []
    assert due.due_in(2) == 3
    due.request("c")
    assert ask(due, 4, silent=("a",)) == []
    assert (due.due_in(4), due.due_in(9)) == (1, 0)


@given(
    steps=st.lists(st.tuples(st.floats(0, 3), st.sets(st.sampled_from(NAMES)), st.sampled_from([*NAMES, ""])), max_size=60),
    count=st.integers(1, 4),
)
def test_none_is_probed_more_often_than_an_urgent_one_and_none_twice_at_once(steps: list[tuple[float, set[str], str]], count: int) -> None:
    """Whatever is requested, and however often."""
    due, now = ProbeSchedule(urgent_s=5, silent_s=7, routine_s=20), 0.0
    last: dict[str, float] = {}
    for passed, silent, wanted in steps:
        now += passed
        if wanted:
            due.request(wanted)
        turn = ask(due, now, silent=tuple(silent), count=count)
        assert len(turn) == len(set(turn)) <= count
        for name in turn:
            assert now - last.get(name, -99) >= 5
            last[name] = now
