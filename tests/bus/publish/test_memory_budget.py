"""Room counts what is in memory, whatever happens, and says what gives way by the counts alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape.bus.publish.memory_budget import MemoryBudget

STEPS = st.lists(st.tuples(st.sampled_from(["take", "give", "tighten", "conflate", "ease", "ease spooling"]), st.integers(1, 30)))


@given(bound=st.integers(1, 100), steps=STEPS)
def test_what_is_taken_and_not_given_is_held(bound: int, steps: list[tuple[str, int]]) -> None:
    """In each condition and across all changes between them. The fast path has memory only while no event needs a closer look."""
    memory, held = MemoryBudget(bound), 0
    for step, count in steps:
        match step:
            case "take":
                memory.reserve(count)
                held += count
            case "give" if held >= count:
                memory.release(count)
                held -= count
            case "conflate" if held >= count:
                memory.tighten()
                memory.conflate(count)
                held -= count
            case "tighten":
                memory.tighten()
            case "ease" | "ease spooling" if memory.eased:
                conflating = memory.conflating
                assert memory.ease(spooling=step == "ease spooling") is conflating
                assert memory.tight is (step == "ease spooling")
            case _:
                pass
        assert memory.used == held
        assert memory.available == bound - held
        assert memory.free == (0 if memory.tight else bound - held)
        assert memory.tight or not memory.conflating


def test_it_is_tight_until_a_fourth_is_free() -> None:
    """If one free place were enough, it would change with each batch."""
    memory = MemoryBudget(100)
    memory.reserve(100)
    memory.tighten()
    memory.release(25)
    assert not memory.eased
    memory.release(1)
    assert memory.eased


def test_it_is_never_eased_that_was_not_tight() -> None:
    """There is nothing to end then."""
    assert not MemoryBudget(100).eased


def test_a_spool_in_use_keeps_it_tight() -> None:
    """Conflation ends all the same: what happens goes through the spool, and states have memory."""
    memory = MemoryBudget(100)
    memory.tighten()
    memory.conflate(0)
    assert memory.ease(spooling=True)
    assert memory.tight
    assert not memory.conflating
    assert not memory.ease(spooling=True)


def test_once_it_drops_it_goes_on_until_there_is_some_room() -> None:
    """It waits for a sixteenth, so that there is one long gap, not many short ones."""
    memory = MemoryBudget(160)
    memory.reserve(160)
    memory.tighten()
    assert memory.drops()
    memory.dropping = True
    memory.release(10)
    assert memory.drops()
    memory.release(1)
    assert not memory.drops()


def test_a_bound_that_is_free_again_forgets_that_it_dropped() -> None:
    """The next shortage starts without dropping."""
    memory = MemoryBudget(100)
    memory.tighten()
    memory.dropping = True
    memory.ease(spooling=False)
    memory.tighten()
    memory.reserve(99)
    assert not memory.drops()
