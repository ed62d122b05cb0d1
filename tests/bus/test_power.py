"""The machine of a server, or of server and publisher, loses power at random moments: the newest second of the server's file with it."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape_schemas import Gap, GapCause
from tests.bus.spool.spooling import trade_ids
from tests.bus.spool.test_kill import COUNT, INSTRUMENTS, MUCH, Producer, World, claimed
from tests.bus.tape import KEYS, numbers, on_tape
from tests.power import forget, written
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

UNSYNCED_S = 1.0
"""Seconds of data that a server with `appendfsync everysec` may lose."""

TIMES = 4


class Machine(World):
    """A server that may lose what it acknowledged last, so that nothing is safe by being on its tape."""

    async def _follow(self, producer: Producer) -> None:
        await producer.listen()

    async def moment(self, chance: random.Random) -> int:
        """Wait for a random moment. Returns how many bytes of the server's file are then certainly on the disk."""
        await asyncio.sleep(chance.uniform(0, 0.5))
        size = written(self.server.run_dir)
        await asyncio.sleep(chance.uniform(0, UNSYNCED_S))
        return size

    async def lose_power(self, chance: random.Random, synced: int) -> None:
        """Cut the power of the server's machine."""
        await self.kill_server()
        forget(self.server.run_dir, chance.randint(synced, written(self.server.run_dir)))


async def check(client: Redis) -> None:
    """Check that every trade is there once and in order, or reported as lost; and that no number is missing in any epoch.

    One gap in the numbers is allowed: the producer died together with the server, which forgot entries before the spooled ones. A gap must
    report it.
    """
    told = await on_tape(client, KEYS.venue("binance"))
    assert all(isinstance(event, Gap) and event.cause is GapCause.BUS for event in told)
    for name in INSTRUMENTS:
        events = await on_tape(client, KEYS.stream("trade", name))
        ids = trade_ids(events)
        holes = [after for before, after in itertools.pairwise([0, *ids, COUNT + 1]) if after != before + 1]
        assert ids == sorted(set(ids))
        assert len(holes) <= len(told)
        for epoch in {event.epoch for event in events}:
            seqs = numbers([event for event in events if event.epoch == epoch])
            assert seqs == list(range(1, len(seqs) + 1))
        assert not await client.exists(KEYS.stream("gap", name))


@pytest.mark.parametrize("seed", range(2))
async def test_the_ring_or_the_next_start_makes_up_for_what_the_server_forgot(tmp_path: Path, seed: int) -> None:
    """A publisher that lives sends it again; one that died with the server goes on from what is left, as does what is in its spool."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        machine = Machine(tmp_path, MUCH, tasks)
        stack.push_async_callback(machine.kill_server)
        producer: Producer | None = None
        for _ in range(TIMES):
            await machine.start_server()
            if producer is None:
                producer = await machine.start()
                stack.push_async_callback(machine.kill, producer)
            await wait_until(partial(claimed, producer), what="it has claimed", timeout_s=60)
            synced = await machine.moment(chance)
            if chance.random() < 0.5:  # both in the same moment
                await asyncio.gather(machine.kill(producer), machine.lose_power(chance, synced))
                producer = None
            else:
                await machine.lose_power(chance, synced)
                wanted = machine.spooled() + chance.choice([0, 1, 100_000])
                await wait_until(partial(machine.has_spooled, wanted, producer), what="it is spooled", timeout_s=60)
        await machine.start_server()
        last = producer or await machine.start()
        stack.push_async_callback(machine.kill, last)
        await wait_until(lambda: last.done, what="all is on the tape", timeout_s=120)
        async with Redis.from_url(machine.server.url) as client:
            await check(client)
        assert not machine.spooled()
