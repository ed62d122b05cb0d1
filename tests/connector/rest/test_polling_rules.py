"""When to poll by REST, which feeds next, and what an answer puts on the tape."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.rest.polling_rules import POLL_S, Absence, PollSchedule


def test_an_absence_counts_from_when_it_began() -> None:
    """A connection in between ends it; before the first look there is none."""
    absence = Absence(5.0)
    looks = ((10.0, False), (14.9, False), (15.0, False), (16.0, True), (20.0, False), (24.9, False))
    assert [absence.is_too_long(now, connected=connected) for now, connected in looks] == [False, False, True, False, False, False]
    assert absence.is_too_long(25.0, connected=False)


def test_an_absence_has_a_time_when_it_becomes_too_long() -> None:
    """There is nothing to wait for without an absence, or once it is too long."""
    absence = Absence(5.0)
    assert absence.due_in(9.0) == math.inf
    absence.is_too_long(10.0, connected=False)
    assert (absence.due_in(12.0), absence.due_in(15.0)) == (3.0, math.inf)
    absence.is_too_long(16.0, connected=True)
    assert absence.due_in(17.0) == math.inf


def test_the_interval_follows_from_the_limit_and_the_number_of_feeds() -> None:
    """Never below `POLL_S`."""
    turns = PollSchedule(per_minute=60, batch=2)
    assert (turns.interval_s(1), turns.interval_s(2), turns.interval_s(5)) == (POLL_S, POLL_S, 3.0)


@given(count=st.integers(1, 30), batch=st.integers(1, 5), per_minute=st.integers(1, 600))
def test_all_feeds_are_polled_in_turn_within_the_limit(count: int, batch: int, per_minute: int) -> None:
    """Each once in each interval, in as few requests as possible."""
    turns = PollSchedule(per_minute=per_minute, batch=batch)
    assert turns.due_in(0.0) == math.inf
    names = [str(number) for number in range(count)]
    interval_s = turns.interval_s(count)
    for round_ in range(3):
        asked = []
        while turn := turns.next_names(names, round_ * interval_s):
            asked.append(turn)
        assert sorted(name for turn in asked for name in turn) == sorted(names)
        assert len(asked) == -(-count // batch)
        assert turns.next_names(names, round_ * interval_s + interval_s / 2) == []
        assert turns.due_in(round_ * interval_s + interval_s / 2) == pytest.approx(interval_s / 2)
