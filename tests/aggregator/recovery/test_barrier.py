"""Tests that the barrier is held while events that were read are not all applied."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from crosstape_aggregator.recovery.barrier import Barrier


async def test_the_barrier_is_free_when_the_last_part_is_applied() -> None:
    """It is free when nobody holds it any more. A waiter then runs before the next events are applied."""
    barrier, taken, go = Barrier(), list[int](), asyncio.Event()

    async def pause(part: int) -> None:
        await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for parts in ([1, 2], [3]):
            tasks.create_task(barrier.apply(parts, taken.append, pause))
        waiting = tasks.create_task(barrier.free())
        await asyncio.sleep(0)
        assert (taken, barrier.held, waiting.done()) == ([1, 3], True, False)
        go.set()
    assert (taken, barrier.held) == ([1, 3, 2], False)
    await barrier.free()


async def test_a_cancelled_reader_applies_the_rest_at_once() -> None:
    """Events that were read are not read again, so they must be applied and be in the checkpoint."""
    barrier, taken = Barrier(), list[int]()
    task = asyncio.create_task(barrier.apply([1, 2, 3], taken.append, lambda _: asyncio.sleep(3_600)))
    await asyncio.sleep(0)
    assert (taken, barrier.held) == ([1], True)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (taken, barrier.held) == ([1, 2, 3], False)


async def test_after_a_fault_the_barrier_is_never_free() -> None:
    """A part may be half applied: it must not get into a checkpoint."""
    barrier = Barrier()

    def fail(part: int) -> None:
        raise ValueError(part)

    with pytest.raises(ValueError, match="1"):
        await barrier.apply([1], fail, lambda _: asyncio.sleep(0))
    assert barrier.held
