"""Room counts what is in memory, whatever happens, and says what gives way by the counts alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape.bus.publish.memory_budget import MemoryBudget

STEPS = st.lists(st.tuples(st.sampled_from(["take", "give", "tighten", "conflate", "ease", "ease spooling"]), st.integers(1, 30)))


@given(bound=st.integers(1, 100), steps=STEPS)
def test_what_is_taken_and_not_given_is_held(bound: int, steps: list[tuple[str, int]]) -> None:
    """In each condition and across all changes between them; the fast path has room only while nothing else is to be looked at."""
    room, held = MemoryBudget(bound), 0
    for step, count in steps:
        match step:
            case "take":
                room.take(count)
                held += count
            case "give" if held >= count:
                room.give(count)
                held -= count
            case "conflate" if held >= count:
                room.tighten()
                room.conflate(count)
                held -= count
            case "tighten":
                room.tighten()
            case "ease" | "ease spooling" if room.eased:
                conflating = room.conflating
                assert room.ease(spooling=step == "ease spooling") is conflating
                assert room.tight is (step == "ease spooling")
            case _:
                pass
        assert room.held == held
        assert room.left == bound - held
        assert room.free == (0 if room.tight else bound - held)
        assert room.tight or not room.conflating


def test_it_is_tight_until_a_fourth_is_free() -> None:
    """Not as soon as one is: that would change to and fro with each batch."""
    room = MemoryBudget(100)
    room.take(100)
    room.tighten()
    room.give(25)
    assert not room.eased
    room.give(1)
    assert room.eased


def test_it_is_never_eased_that_was_not_tight() -> None:
    """There is nothing to end then."""
    assert not MemoryBudget(100).eased


def test_a_spool_in_use_keeps_it_tight() -> None:
    """Conflation ends all the same: what happens goes through the spool, and states have room."""
    room = MemoryBudget(100)
    room.tighten()
    room.conflate(0)
    assert room.ease(spooling=True)
    assert room.tight
    assert not room.conflating
    assert not room.ease(spooling=True)


def test_once_it_drops_it_goes_on_until_there_is_some_room() -> None:
    """A sixteenth: so that one long hole is told, and not many short ones."""
    room = MemoryBudget(160)
    room.take(160)
    room.tighten()
    assert room.drops()
    room.dropping = True
    room.give(10)
    assert room.drops()
    room.give(1)
    assert not room.drops()


def test_a_bound_that_is_free_again_forgets_that_it_dropped() -> None:
    """The next shortage begins anew."""
    room = MemoryBudget(100)
    room.tighten()
    room.dropping = True
    room.ease(spooling=False)
    room.tighten()
    room.take(99)
    assert not room.drops()
