"""When to poll over REST, whom next, and what becomes of an answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.rest.polling_rules import POLL_S, Absence, Turns


def test_an_absence_counts_from_when_it_began() -> None:
    """A connection in between begins it anew; from the start there is none."""
    absence = Absence(5.0, 0.0)
    assert [absence.look(now, there=there) for now, there in ((4.9, False), (5.0, False), (6.0, True), (10.0, False), (14.9, False))] == [
        False, True, False, False, False,
    ]  # fmt: skip
    assert absence.look(15.0, there=False)


def test_the_interval_follows_from_the_budget_and_the_number() -> None:
    """Never below `POLL_S`."""
    turns = Turns(per_minute=60, batch=2)
    assert (turns.interval_s(1), turns.interval_s(2), turns.interval_s(5)) == (POLL_S, POLL_S, 3.0)


@given(count=st.integers(1, 30), batch=st.integers(1, 5), per_minute=st.integers(1, 600))
def test_all_are_polled_in_turn_within_the_budget(count: int, batch: int, per_minute: int) -> None:
    """In each interval each once, in as few requests as there can be."""
    turns = Turns(per_minute=per_minute, batch=batch)
    names = [str(number) for number in range(count)]
    interval_s = turns.interval_s(count)
    for round_ in range(3):
        asked = []
        while turn := turns.next(names, round_ * interval_s):
            asked.append(turn)
        assert sorted(name for turn in asked for name in turn) == sorted(names)
        assert len(asked) == -(-count // batch)
        assert turns.next(names, round_ * interval_s + interval_s / 2) == []
