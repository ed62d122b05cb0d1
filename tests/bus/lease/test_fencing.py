"""Epochs grow from what is there: no clock that was wrong once keeps a producer out, and no two that live take turns for ever."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from crosstape.bus import Client, Publisher, connect
from crosstape.bus.lease.fencing import claim
from crosstape.errors import BusError, Superseded
from crosstape_schemas import Gap, Keys
from tests.bus.tape import GAPS, KEYS, fast, numbers, on_tape, publishing, trade
from tests.waiting import wait_until

HOUR_NS = 3_600_000_000_000
NAME = "connector.binance"
CURSOR = KEYS.cursor(NAME)


@pytest.fixture(autouse=True)
def a_short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the time after which a rival that writes nothing counts as dead."""
    monkeypatch.setattr("crosstape.bus.lease.fencing.ALIVE_S", 0.5)


@pytest.mark.parametrize("ahead_ns", [2 * HOUR_NS, 5_000_000_000, 24 * 365 * HOUR_NS])
async def test_a_start_with_a_clock_that_was_ahead_locks_nobody_out(client: Redis, valkey: str, ahead_ns: int) -> None:
    """Nor one after which the clock was set back: the next start takes the name over, and the one after that."""
    ahead = time.time_ns() + ahead_ns
    async with connect(fast(valkey)) as shared, asyncio.TaskGroup() as group:
        first = Publisher(shared, KEYS, fast(valkey), producer=NAME, epoch=ahead)
        task = group.create_task(first.run())
        first.publish(trade(1))
        assert await first.drain(5)
        task.cancel()
    for number in (2, 3):
        async with publishing(fast(valkey)) as publisher:
            publisher.publish(trade(number))
            assert await publisher.drain(10)
            assert publisher.epoch == ahead + number - 1
    assert [event.epoch for event in await on_tape(client)] == [ahead, ahead + 1, ahead + 2]


@pytest.mark.parametrize("partition", range(4))
async def test_so_it_is_in_each_partition(client: Redis, valkey: str, partition: int) -> None:
    """Whichever of them has the greatest epoch."""
    keys = Keys(partitions=4)
    ahead = time.time_ns() + HOUR_NS
    await client.hset(keys.cursor(NAME, partition), mapping={"epoch": ahead, "batch": 7})
    async with publishing(fast(valkey), keys=keys) as publisher:
        publisher.publish_all(trade(1, f"X{number}-USD") for number in range(20))
        assert await publisher.drain(10)
        assert publisher.epoch == ahead + 1


@pytest.mark.parametrize("left", [b"5", b"99999999999", b"0", b"1795644915242000000"])
async def test_epochs_are_compared_as_numbers(client: Redis, valkey: str, left: bytes) -> None:
    """As texts, 5 would come after all of them. A small epoch comes from another clock or from a test."""
    await client.hset(CURSOR, mapping={"epoch": left, "batch": 7})
    async with publishing(fast(valkey)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(10)
        assert publisher.epoch > max(int(left), time.time_ns() - HOUR_NS)
    async with connect(fast(valkey)) as shared:
        older = Publisher(shared, KEYS, fast(valkey), producer=NAME, epoch=99_999)
        with pytest.raises(Superseded):
            await older.run()


@pytest.mark.parametrize("left", [b"soon", b"-5", b"0007", b"00%d" % 10**18, b"9" * 30, str((1 << 63) - 1).encode()])
async def test_what_is_no_epoch_is_named(client: Redis, valkey: str, left: bytes) -> None:
    """No later epoch could follow."""
    await client.hset(CURSOR, mapping={"epoch": left, "batch": 7})
    async with connect(fast(valkey)) as shared:
        with pytest.raises(BusError, match=f"{CURSOR}: its epoch is no number"):
            await Publisher(shared, KEYS, fast(valkey), producer=NAME).run()


async def test_many_starts_at_once_are_of_as_many_epochs(client: Redis, valkey: str) -> None:
    """All start at the same ns: the last one has the name, and the others end."""
    async with connect(fast(valkey)) as shared:
        epochs = [one.epoch for one in await asyncio.gather(*(claim(shared, KEYS, NAME) for _ in range(50)))]
        publishers = [Publisher(shared, KEYS, fast(valkey), producer=NAME) for _ in range(10)]
        runs = [asyncio.create_task(publisher.run()) for publisher in publishers]
        for publisher in publishers:
            publisher.publish(trade(1))
        await wait_until(lambda: sum(run.done() for run in runs) == 9, what="all but one have ended")
        (alive,) = (publisher for publisher, run in zip(publishers, runs, strict=True) if not run.done())
        assert await alive.drain(5)
        for run in runs:
            run.cancel()
        found = await asyncio.gather(*runs, return_exceptions=True)
    assert len(set(epochs)) == 50
    assert sum(isinstance(one, Superseded) for one in found) == 9
    assert alive.epoch == max(publisher.epoch for publisher in publishers) > max(epochs)


async def lively(publisher: Publisher) -> None:
    """Publish as a connector does its signs of life."""
    number = 0
    while True:
        number += 1
        publisher.publish(trade(number))
        await asyncio.sleep(0.05)


async def superseded(client: Client, url: str, *, yields: bool) -> str:
    """How a second one of the name ends."""
    second = Publisher(client, KEYS, fast(url), producer=NAME, yields=yields)
    async with asyncio.timeout(10):
        with pytest.raises(Superseded) as caught:
            await second.run()
    return str(caught.value)


@pytest.mark.parametrize("cause", ["its epoch is ahead", "we were superseded"])
async def test_a_rival_that_lives_keeps_the_name(client: Redis, valkey: str, cause: str) -> None:
    """The rival continues to write: the error says who has the name, and what to do. Once the rival is silent, the name is free."""
    epoch = time.time_ns() + (HOUR_NS if cause == "its epoch is ahead" else 0)
    yields = cause == "we were superseded"
    async with connect(fast(valkey)) as shared:
        async with asyncio.TaskGroup() as group:
            first = Publisher(shared, KEYS, fast(valkey), producer=NAME, epoch=epoch)
            tasks = [group.create_task(first.run()), group.create_task(lively(first))]
            await first.claimed()
            text = await superseded(shared, valkey, yields=yields)
            acknowledged = first.acknowledged
            await wait_until(lambda: first.acknowledged > acknowledged + 2, what="the first goes on")
            for task in tasks:
                task.cancel()
        assert f"{NAME} is running elsewhere: its epoch is {epoch}" in text
        assert "stop that one first" in text

        after = Publisher(shared, KEYS, fast(valkey), producer=NAME, yields=yields)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(after.run())
            await after.claimed()
            task.cancel()
        assert after.epoch > epoch


async def test_a_rival_with_a_right_clock_gives_way_to_the_newer(client: Redis, valkey: str) -> None:
    """The last to start has the name, as always, and does not wait."""
    async with connect(fast(valkey)) as shared, asyncio.TaskGroup() as group:
        first = Publisher(shared, KEYS, fast(valkey), producer=NAME)
        running, living = asyncio.create_task(first.run()), group.create_task(lively(first))
        await first.claimed()
        second = Publisher(shared, KEYS, fast(valkey), producer=NAME)
        task = group.create_task(second.run())
        with pytest.raises(Superseded):
            await running
        assert second.epoch > first.epoch
        living.cancel()
        task.cancel()


async def test_an_epoch_ahead_of_the_clock_is_no_time(client: Redis, valkey: str) -> None:
    """Events that a server lost are missing since our start, not since two hours from now."""
    before = time.time_ns()
    await client.hset(CURSOR, mapping={"epoch": before + 2 * HOUR_NS, "batch": 7})
    async with publishing(fast(valkey, retransmit_s=0, retransmit_bytes=1)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(10)
        await client.flushall()
        publisher.publish(trade(2))
        assert await publisher.drain(10)
        assert numbers(await on_tape(client)) == [2]
        await wait_until(lambda: publisher.drain(1), what="all is told")
    (gap,) = await on_tape(client, GAPS)
    assert isinstance(gap, Gap)
    assert gap.missed == 1
    assert gap.from_ts <= gap.to_ts < time.time_ns()
