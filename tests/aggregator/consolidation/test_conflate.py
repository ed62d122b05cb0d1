"""Whose turn it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape_aggregator.consolidation.conflate import Conflation

TEN = 10


def test_the_first_change_is_due_at_once() -> None:
    """And the next one when the interval is over."""
    turns = Conflation(TEN)
    turns.mark("a", 100)
    assert turns.next_ts() == 0
    assert turns.due(100) == ["a"]
    turns.published("a", 100)
    assert turns.next_ts() is None
    turns.mark("a", 101)
    assert turns.next_ts() == 110
    assert turns.due(109) == []
    assert turns.due(110) == ["a"]


def test_changes_before_the_turn_are_merged() -> None:
    """Each name is held once."""
    turns = Conflation(TEN)
    for _ in range(5):
        turns.mark("a", 100)
    assert (len(turns), turns.merged) == (1, 4)
    assert turns.due(100) == ["a"]
    assert len(turns) == 0


def test_a_look_that_found_nothing_new_costs_no_turn() -> None:
    """The interval begins with what was published."""
    turns = Conflation(TEN)
    turns.mark("a", 100)
    turns.due(100)
    turns.mark("a", 101)
    assert turns.due(101) == ["a"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=200), st.integers(1, 3))
def test_everybody_gets_a_turn_and_nobody_two_within_the_interval(steps: list[tuple[int, int]], limit: int) -> None:
    """However small the share that is taken at a time."""
    turns = Conflation(TEN)
    now = 1_000
    dirty: dict[str, int] = {}
    last: dict[str, int] = {}
    for name, wait in [*steps, *[(99, 1)] * 40]:
        now += wait
        turns.mark(str(name), now)
        dirty.setdefault(str(name), now)
        for due in turns.due(now, limit):
            assert now - last.get(due, 0) >= TEN
            del dirty[due]
            last[due] = now
            turns.published(due, now)
    assert all(now - since < 60 for since in dirty.values())


def test_a_clock_that_is_set_back_holds_nobody_up() -> None:
    """Neither who waits already nor who changes then."""
    turns = Conflation(TEN)
    for name in "ab":
        turns.mark(name, 1_000)
    turns.due(1_000)
    for name in "ab":
        turns.published(name, 1_000)
    turns.mark("a", 1_001)
    turns.mark("b", 100)
    assert sorted(turns.due(100)) == ["a", "b"]


def test_the_longest_due_goes_first() -> None:
    """Also when it changed after another that still has to wait."""
    turns = Conflation(TEN)
    for name in "abc":
        turns.mark(name, 100)
    assert turns.due(100, 2) == ["a", "b"]
    turns.published("a", 100)
    turns.published("b", 100)
    turns.mark("b", 101)
    turns.mark("a", 102)
    turns.mark("d", 103)
    assert turns.due(110) == ["c", "d", "a", "b"]
