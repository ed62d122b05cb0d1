"""A cluster of three masters: the tape is spread over them by partition, and works as on one server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape.bus import Reader, Start, connect
from crosstape.bus.read import bell_turns, poller
from crosstape.settings import BusSettings
from crosstape_aggregator.service import run
from crosstape_schemas import Keys, decode
from tests.aggregator.running import FakeVenue, settings_for
from tests.bus.tape import Counts, Gaps, command, fast, publishing, read_until, trade, whole
from tests.cli.running import line, started
from tests.cluster import Cluster, cluster
from tests.waiting import wait_until

PARTITIONS = 6
KEYS = Keys(partitions=PARTITIONS)
NAMES = [f"C{number}-USDT" for number in range(30)]
STREAMS = [KEYS.stream("trade", name) for name in NAMES]

pytestmark = pytest.mark.slow


@pytest.fixture
async def three(engine: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A new one."""
    async with cluster(engine, partial(tmp_path_factory.mktemp, "node")) as one:
        yield one


def over(three: Cluster) -> BusSettings:
    """Settings for it."""
    return fast(three.url, partitions=PARTITIONS, retransmit_s=600.0)


async def test_publisher_reader_aggregator_and_watch_over_three_masters(three: Cluster) -> None:
    """Each event once, consolidated quotes of all instruments, and no master is left out."""
    bus = over(three)
    async with publishing(bus, keys=KEYS) as publisher, connect(bus) as own, asyncio.TaskGroup() as group:
        venue = FakeVenue("binance", publisher)
        await venue.live_on()
        publisher.publish_all(trade(number, name) for number in range(1, 51) for name in NAMES)
        for name in NAMES:
            await venue.quote("1", "2", instrument=name)
        aggregator = group.create_task(run(msgspec.structs.replace(settings_for(""), bus=bus)))
        async with started("watch", variables={"CROSSTAPE_BUS__URL": three.url, "CROSSTAPE_BUS__PARTITIONS": str(PARTITIONS)}) as watch:
            missing = set(NAMES)
            while missing:  # each line has its timeout
                missing -= set((await line(watch)).split())

        assert set(await publisher.last("trade", NAMES, "binance")) == set(NAMES)
        gaps = Gaps()
        async with Reader(own, KEYS, streams=STREAMS, start=Start.BEGINNING, on_gap=gaps) as reader:
            events = await read_until(reader, 50 * len(NAMES))
        for name in NAMES:
            assert [event.seq for event in events if event.instrument == name] == whole(50)
        assert not gaps.missed
        aggregator.cancel()
    for master in three.masters:
        async with Redis(port=master.port) as admin:
            assert await command(admin, "KEYS", "tape:*:trade:*")


async def test_a_listener_on_another_master_hears_all(three: Cluster) -> None:
    """The masters pass on to one another what is published; the one that has the stream does not count who listens elsewhere."""
    async with publishing(over(three), keys=KEYS) as publisher, contextlib.AsyncExitStack() as stack:
        listeners = []
        for index, master in enumerate(three.masters):
            if index == three.holder(STREAMS[0]):
                continue
            pubsub = await stack.enter_async_context((await stack.enter_async_context(Redis(port=master.port))).pubsub())
            await pubsub.subscribe(STREAMS[0])
            assert await pubsub.get_message(timeout=5)
            listeners.append(pubsub)
        publisher.publish_all(trade(number, NAMES[0]) for number in range(1, 101))
        assert await publisher.drain(20)
        for pubsub in listeners:
            heard = [await pubsub.get_message(timeout=5) for _ in range(100)]
            assert [decode(message["data"]).seq for message in heard if message] == whole(100)


async def test_each_partition_is_read_by_its_bell(three: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of many streams wait for the bells of the partitions, each on its node; no sweep helps here."""
    monkeypatch.setattr(poller, "LISTEN", 0)
    monkeypatch.setattr(bell_turns, "SWEEP_S", 3_600.0)
    bus = over(three)
    async with (
        publishing(bus, keys=KEYS) as publisher,
        connect(bus) as own,
        Reader(own, KEYS, streams=STREAMS) as reader,
    ):
        publisher.publish_all(trade(1, f"OTHER{number}-USDT") for number in range(50))
        assert await publisher.drain(20)
        while len(reader.cursors) < len(STREAMS) or reader.behind(time.monotonic()):
            assert not await reader.read(timeout_s=0.02)
        for number in (1, 2, 3):
            publisher.publish_all(trade(number, name) for name in NAMES)
            events = await read_until(reader, len(NAMES))
            assert sorted((event.instrument, event.seq) for event in events) == sorted((name, number) for name in NAMES)


async def test_a_master_that_is_killed_and_comes_back_empty(three: Cluster) -> None:
    """Meanwhile the others are written; then it gets again what it lost, and a reader of all of them reads each event once."""
    bus, counts, gaps = over(three), Counts(), Gaps()
    async with (
        publishing(bus, keys=KEYS, metrics=counts) as publisher,
        connect(bus) as own,
        Reader(own, KEYS, streams=STREAMS, start=Start.BEGINNING, on_gap=gaps, backoff_s=0.05) as reader,
    ):
        publisher.publish_all(trade(number, name) for number in range(1, 11) for name in NAMES)
        assert await publisher.drain(20)
        events = await read_until(reader, 10 * len(NAMES))

        await three.masters[1].kill()
        publisher.publish_all(trade(number, name) for number in range(11, 21) for name in NAMES)
        await wait_until(lambda: not publisher.availability.answering, what="its absence is noticed")
        await three.masters[1].start()
        assert await publisher.drain(60)
        events += await read_until(reader, 10 * len(NAMES), timeout_s=60)
    for name in NAMES:
        assert [event.seq for event in events if event.instrument == name] == whole(20)
    assert not gaps.missed
    assert counts.of["retransmitted"]
