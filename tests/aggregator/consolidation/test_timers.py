"""Moments to look at names again."""

from __future__ import annotations

from crosstape_aggregator.consolidation.timers import GRID, Timers


def test_a_name_is_due_at_its_moment_rounded_up() -> None:
    """Never too early; close moments are one."""
    timers = Timers()
    timers.set("a", GRID + 1)
    timers.set("b", 2 * GRID)
    assert timers.next_ts() == 2 * GRID
    assert timers.due(2 * GRID - 1) == []
    assert timers.due(2 * GRID) == ["a", "b"]
    assert timers.next_ts() is None


def test_the_earliest_moment_holds() -> None:
    """A later one is not noted: whoever looks sets the next. An earlier one replaces it, and one look is enough."""
    timers = Timers()
    timers.set("a", 5 * GRID)
    timers.set("a", 9 * GRID)
    timers.set("a", 2 * GRID)
    assert timers.due(2 * GRID) == ["a"]
    assert timers.due(9 * GRID) == []
    timers.set("a", 9 * GRID)
    assert timers.due(9 * GRID) == ["a"]
