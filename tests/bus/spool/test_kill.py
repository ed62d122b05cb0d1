"""Producers and servers killed at random moments, for long: what is on the tape in the end, and what it says is missing."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape_schemas import Gap, GapCause, Trade
from tests.bus.tape import BTC, ETH, KEYS, on_tape
from tests.rare import rare_but
from tests.spools import spooled_bytes
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCRIPT = Path(__file__).with_name("spool_producer.py")
ROOT = Path(__file__).parents[3]
INSTRUMENTS = (BTC, ETH)
COUNT = 40_000
PENDING = 400
MUCH = 1 << 30
LITTLE = 512 << 10


class Producer:
    """The process, and what it said."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.began: int | None = None
        self.safe = 0
        self.done = False

    async def listen(self) -> None:
        """Read its output until it has ended."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            match line.split():
                case [b"from", number]:
                    self.began = int(number)
                case [b"safe", number]:
                    self.safe = int(number)
                case [b"done"]:
                    self.done = True


class World:
    """A server that keeps what it acknowledged, and one producer at a time."""

    def __init__(self, path: Path, spool_bytes: int, tasks: asyncio.TaskGroup) -> None:
        self.spool = path / "spool"
        self.server = EmbeddedServer(path / "server", options={"appendonly": "yes", "appendfsync": "always"})
        self.safe = 0
        self._spool_bytes = spool_bytes
        self._tasks = tasks
        self.up = False
        self.kills = 0

    async def start_server(self) -> None:
        """Start the server with all data that it had acknowledged."""
        if not self.up:
            await self.server.start()
            self.up = True

    async def kill_server(self) -> None:
        """Kill the server, as `kill -9` does."""
        if self.up:
            self.server.kill()
            await self.server.stop()
            self.up = False

    async def start(self) -> Producer:
        """A producer, a successor of those before."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SCRIPT), self.server.url, str(self.spool)),
            *(str(COUNT), str(PENDING), str(self._spool_bytes), *INSTRUMENTS),
            stdout=PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        producer = Producer(process)
        self._tasks.create_task(self._follow(producer))
        return producer

    async def _follow(self, producer: Producer) -> None:
        before = self.safe
        await producer.listen()
        assert producer.began is None or producer.began >= before, "what was in the spool is on the tape before anything else"
        self.safe = max(self.safe, producer.safe)

    async def kill(self, producer: Producer) -> None:
        """Without a chance to do anything."""
        self.kills += producer.process.returncode is None
        with suppress(ProcessLookupError):
            producer.process.kill()
        await producer.process.wait()

    def has_spooled(self, wanted: int, producer: Producer) -> bool:
        """Whether the spool has this many bytes, or is full."""
        over = producer.done or producer.process.returncode is not None
        return over or self.spooled() >= min(wanted, self._spool_bytes * 9 // 10)

    def spooled(self) -> int:
        """Bytes in the spool."""
        return spooled_bytes(self.spool)


def claimed(producer: Producer) -> bool:
    """Whether it has begun to publish."""
    return producer.began is not None or producer.done


async def check(client: Redis, kills: int) -> None:
    """Check that every trade is there once and in order, or in a gap with the exact count; and that no number is missing in any epoch."""
    for name in INSTRUMENTS:
        events = await on_tape(client, KEYS.stream("trade", name))
        ids = [int(event.trade_id) for event in events if isinstance(event, Trade)]
        assert ids == sorted(ids)
        twice = [number for number, times in Counter(ids).items() if times > 1]
        assert not twice
        holes = [after - before - 1 for before, after in itertools.pairwise([0, *ids, COUNT + 1]) if after != before + 1]
        gaps = [event for event in await on_tape(client, KEYS.stream("gap", name)) if isinstance(event, Gap)]
        assert all(gap.cause is GapCause.OVERFLOW and gap.kind == "trade" for gap in gaps)
        assert sum(gap.missed or 0 for gap in gaps) == sum(holes)
        for _, group in itertools.groupby(events, lambda event: event.epoch):
            seqs = [event.seq for event in group]
            assert seqs == list(range(1, len(seqs) + 1))
    damage = await on_tape(client, KEYS.venue("binance"))
    assert all(isinstance(event, Gap) and event.cause is GapCause.BUS and event.missed is None for event in damage)
    assert len(damage) <= kills, "a kill may cut the entry that is being written, and nothing else is damaged"


@pytest.mark.parametrize(("seed", "spool_bytes"), rare_but(product(range(3), (MUCH, LITTLE)), (0, MUCH), (1, LITTLE), (2, LITTLE)))
async def test_every_trade_is_there_once_or_told(tmp_path: Path, seed: int, spool_bytes: int) -> None:
    """Whenever the producer is killed: filling the spool, with the server away, catching up, catching up again."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        world = World(tmp_path, spool_bytes, tasks)
        stack.push_async_callback(world.kill_server)
        producer: Producer | None = None
        for _ in range(6):
            await world.start_server()
            if producer is None:
                producer = await world.start()
                stack.push_async_callback(world.kill, producer)
            await wait_until(partial(claimed, producer), what="it has claimed", timeout_s=60)
            await asyncio.sleep(chance.uniform(0, 0.3))  # a moment that nothing announces
            await world.kill_server()
            wanted = world.spooled() + chance.choice([0, 1, 100_000, 400_000])
            await wait_until(partial(world.has_spooled, wanted, producer), what="it is spooled", timeout_s=60)
            if chance.random() < 0.7:
                await world.kill(producer)
                producer = None
                if chance.random() < 0.5:  # and once more, in the middle of catching up
                    await world.start_server()
                    again = await world.start()
                    stack.push_async_callback(world.kill, again)
                    await asyncio.sleep(chance.uniform(0.3, 1.2))
                    await world.kill(again)
        await world.start_server()
        if producer is None:
            producer = await world.start()
            stack.push_async_callback(world.kill, producer)
        last = producer
        await wait_until(lambda: last.done, what="all is on the tape", timeout_s=120)
        async with Redis.from_url(world.server.url) as client:
            await check(client, world.kills)
        assert not world.spooled()
