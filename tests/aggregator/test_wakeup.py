"""An alarm clock for one waiter."""

from __future__ import annotations

import asyncio

import pytest

from crosstape_aggregator.wakeup import Wakeup
from tests.aggregator.builders import MS, S


async def test_it_rings_at_the_earliest_moment() -> None:
    """A moment in the past wakes the waiter at once. A later moment changes nothing."""
    alarm = Wakeup()
    alarm.set(100 * S, 0)
    alarm.set(200 * S, 0)
    alarm.set(5 * MS, 10 * MS)
    async with asyncio.timeout(5):
        await alarm.wait()
    alarm.set(1 * MS, 0)
    async with asyncio.timeout(5):
        await alarm.wait()


async def test_it_does_not_ring_when_nothing_is_set_or_it_is_closed() -> None:
    """The waiter is woken once for each moment."""
    alarm = Wakeup()
    alarm.close()
    alarm.set(10 * MS, 0)
    alarm.close()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await alarm.wait()
