"""Tests when each instrument is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape_aggregator.consolidation.schedule import GRID, Schedule

TEN = 10


def due(schedule: Schedule, now: int, limit: int | None = None) -> list[str]:
    """Return the names that are due at this moment. Checks that no look is due."""
    assert schedule.advance(now) == []
    return schedule.due(limit)


def test_the_first_change_is_due_at_once() -> None:
    """The next change is due when the interval is over."""
    schedule = Schedule(TEN)
    schedule.mark("a", 100)
    assert schedule.next_ts() == 0
    assert due(schedule, 100) == ["a"]
    schedule.published("a", 100)
    assert schedule.next_ts() is None
    schedule.mark("a", 101)
    assert schedule.next_ts() == 110
    assert due(schedule, 109) == []
    assert due(schedule, 110) == ["a"]


def test_changes_before_the_turn_are_merged() -> None:
    """Each name is held once."""
    schedule = Schedule(TEN)
    for _ in range(5):
        schedule.mark("a", 100)
    assert (schedule.changed, schedule.merged) == ({"a"}, 4)
    assert due(schedule, 100) == ["a"]
    assert schedule.changed == set()


def test_a_quote_that_said_nothing_new_costs_no_turn() -> None:
    """Only a published quote starts the interval."""
    schedule = Schedule(TEN)
    schedule.mark("a", 100)
    due(schedule, 100)
    schedule.mark("a", 101)
    assert due(schedule, 101) == ["a"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=200), st.integers(1, 3))
def test_everybody_gets_a_turn_and_nobody_two_within_the_interval(steps: list[tuple[int, int]], limit: int) -> None:
    """The `limit` of quotes computed at a time does not matter."""
    schedule = Schedule(TEN)
    now = 1_000
    changed: dict[str, int] = {}
    last: dict[str, int] = {}
    for name, wait in [*steps, *[(99, 1)] * 40]:
        now += wait
        schedule.mark(str(name), now)
        changed.setdefault(str(name), now)
        for one in due(schedule, now, limit):
            assert now - last.get(one, 0) >= TEN
            del changed[one]
            last[one] = now
            schedule.published(one, now)
    assert all(now - since < 60 for since in changed.values())


def test_a_clock_that_is_set_back_holds_nobody_up() -> None:
    """Instruments that wait, that change now, or that have a look scheduled do not wait until the clock has caught up."""
    schedule = Schedule(TEN)
    for name in "ab":
        schedule.mark(name, 1_000)
    due(schedule, 1_000)
    for name in "ab":
        schedule.published(name, 1_000)
    schedule.look_at("c", 1_001)
    schedule.mark("a", 1_001)
    schedule.mark("b", 100)
    assert sorted(due(schedule, 100)) == ["a", "b"]
    assert schedule.next_ts() == GRID


def test_a_clock_that_is_set_back_a_little_makes_nobody_early() -> None:
    """If the clock is set back by less than the interval, instruments that were published before still wait."""
    schedule = Schedule(TEN)
    schedule.mark("a", 1_000)
    due(schedule, 1_000)
    schedule.published("a", 1_000)
    schedule.mark("a", 1_009)
    assert due(schedule, 1_009) == []
    assert due(schedule, 1_005) == []
    assert due(schedule, 1_010) == ["a"]


def test_the_longest_due_goes_first() -> None:
    """It is first even if it changed after another one that must still wait."""
    schedule = Schedule(TEN)
    for name in "abc":
        schedule.mark(name, 100)
    assert due(schedule, 100, 2) == ["a", "b"]
    schedule.published("a", 100)
    schedule.published("b", 100)
    schedule.mark("b", 101)
    schedule.mark("a", 102)
    schedule.mark("d", 103)
    assert due(schedule, 110) == ["c", "d", "a", "b"]


def test_a_look_is_at_its_moment_rounded_up() -> None:
    """A look is never too early, and looks at nearly the same moment are joined."""
    schedule = Schedule(TEN)
    schedule.look_at("a", GRID + 1)
    schedule.look_at("b", 2 * GRID)
    assert schedule.next_ts() == 2 * GRID
    assert schedule.advance(2 * GRID - 1) == []
    assert schedule.advance(2 * GRID) == ["a", "b"]
    assert schedule.next_ts() is None
    assert schedule.due() == []


def test_the_earliest_look_holds() -> None:
    """A later look is not stored: the earlier one schedules the next. An earlier one replaces it, and only one look happens."""
    schedule = Schedule(TEN)
    schedule.look_at("a", 5 * GRID)
    schedule.look_at("a", 9 * GRID)
    schedule.look_at("a", 2 * GRID)
    assert schedule.advance(2 * GRID) == ["a"]
    assert schedule.advance(9 * GRID) == []
    schedule.look_at("a", 9 * GRID)
    assert schedule.advance(9 * GRID) == ["a"]


def test_a_look_and_a_change_of_one_name_are_apart() -> None:
    """A change and a look of the same instrument at the same moment do not disturb each other."""
    schedule = Schedule(GRID)
    schedule.mark("a", GRID)
    schedule.advance(GRID)
    assert schedule.due() == ["a"]
    schedule.published("a", GRID)
    schedule.look_at("a", 2 * GRID)
    schedule.mark("a", GRID + 1)
    assert schedule.advance(2 * GRID) == ["a"]
    assert schedule.due() == ["a"]
