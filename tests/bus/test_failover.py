"""A master of a cluster dies and its replica replaces it: everything in the retransmit buffer is on the tape, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import msgspec
import pytest

from crosstape.bus import Publisher, Reader, Start, connect
from crosstape.settings import BusSettings
from crosstape_aggregator.service import run
from crosstape_schemas import CONSOLIDATED, Cbbo, Event, Keys
from tests.aggregator.running import FakeVenue, settings_for
from tests.bus.tape import Counts, Gaps, fast, publishing, read_until, trade, whole
from tests.cluster import Cluster, cluster
from tests.waiting import wait_until

PARTITIONS = 6
KEYS = Keys(partitions=PARTITIONS)
NAMES = [f"C{number}-USDT" for number in range(30)]
STREAMS = [KEYS.stream("trade", name) for name in NAMES]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
async def six(engine: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Three masters, each with a replica."""
    async with cluster(engine, partial(tmp_path_factory.mktemp, "node"), replicas=True) as one:
        yield one


def over(six: Cluster) -> BusSettings:
    """Settings for it."""
    return fast(six.url, partitions=PARTITIONS, retransmit_s=600.0)


def some(publisher: Publisher, first: int, last: int) -> None:
    """Trades of these numbers, of every instrument."""
    publisher.publish_all(trade(number, name) for number in range(first, last + 1) for name in NAMES)


async def test_publisher_reader_and_aggregator_go_on_with_the_replica(six: Cluster) -> None:
    """Written, read and consolidated without a human: each event once, in order."""
    bus, gaps = over(six), Gaps()
    victim = six.holder(KEYS.lease("aggregator"))
    async with (
        publishing(bus, keys=KEYS) as publisher,
        connect(bus) as own,
        Reader(own, KEYS, streams=STREAMS, start=Start.BEGINNING, on_gap=gaps, backoff_s=0.05) as reader,
        asyncio.TaskGroup() as group,
    ):
        venue = FakeVenue("binance", publisher)
        await venue.live_on()
        aggregator = group.create_task(run(msgspec.structs.replace(settings_for(""), bus=bus)))
        some(publisher, 1, 10)
        for name in NAMES:
            await venue.quote("1", "2", instrument=name)
        events = await read_until(reader, 10 * len(NAMES))
        await wait_until(partial(quoted, publisher, "1"), what="all are consolidated", timeout_s=60)

        failing = group.create_task(six.fail_over(victim))
        some(publisher, 11, 20)
        await failing
        for name in NAMES:
            await venue.quote("1.5", "2", instrument=name)
        events += await read_until(reader, 10 * len(NAMES), timeout_s=60)
        await wait_until(partial(quoted, publisher, "1.5"), what="all are consolidated again", timeout_s=60)
        aggregator.cancel()
    check(events, 20)
    assert not gaps.missed


async def quoted(publisher: Publisher, bid: str) -> bool:
    """Whether the newest consolidated quote of every instrument has this bid."""
    found = await publisher.last("cbbo", NAMES, CONSOLIDATED)
    return all(isinstance(quote := found.get(name), Cbbo) and str(quote.bid_price) == bid for name in NAMES)


async def test_a_replica_that_lagged_gets_the_rest(six: Cluster) -> None:
    """The replica has none of its master's last data: the cursor went back, and the retransmit buffer fills in what is missing."""
    bus, gaps, counts = over(six), Gaps(), Counts()
    async with (
        publishing(bus, keys=KEYS, metrics=counts) as publisher,
        connect(bus) as own,
        Reader(own, KEYS, streams=STREAMS, start=Start.BEGINNING, on_gap=gaps, backoff_s=0.05) as reader,
    ):
        some(publisher, 1, 10)
        assert await publisher.drain(20)
        events = await read_until(reader, 10 * len(NAMES))

        await six.hold_back(1)
        some(publisher, 11, 20)
        assert await publisher.drain(20), "acknowledged, and not replicated"
        events += await read_until(reader, 10 * len(NAMES))
        assert not counts.of["retransmitted"]
        await six.fail_over(1)
        some(publisher, 21, 30)
        assert await publisher.drain(60)
        events += await read_until(reader, 10 * len(NAMES), timeout_s=60)
        mine = [name for name in NAMES if six.holder(KEYS.stream("trade", name)) == 1]
        assert counts.of["retransmitted"] == 10 * len(mine)

        async with Reader(own, KEYS, streams=STREAMS, start=Start.BEGINNING, on_gap=gaps) as anew:
            check(await read_until(anew, 30 * len(NAMES)), 30)
    check(events, 30)
    assert not gaps.missed


def check(events: Sequence[Event], count: int) -> None:
    """Each instrument's events are there once, in order."""
    for name in NAMES:
        assert [event.seq for event in events if event.instrument == name] == whole(count)
