"""Two replicas on a real server: which one has the lease, which one can write, and the status that each reports."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from crosstape.bus import Client, connect
from crosstape.bus.lease.fencing import claim
from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.settings import BusSettings, ConnectorSettings, Settings
from crosstape_connector.failover.replica import Replica
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.metrics.counters import Counters
from crosstape_schemas import VENUE_WIDE, AnyEvent, FeedState, Gap, GapCause, Keys, Side, Status, Trade, decode
from tests.connector.fake_venue import fake, instrument
from tests.waiting import wait_until

KEYS = Keys()
NAME = "AAA-USD"
TOPIC = Topic("main", "trades", "AAAUSD")
LEASE_S = 0.6


class RunningReplica:
    """One replica without sessions: a test passes trades to it, and sets its health."""

    def __init__(self, client: Client, keys: Keys, name: str, bus: BusSettings, spool: Path) -> None:
        settings = Settings(bus=bus, connector=ConnectorSettings(replica=name, lease_s=LEASE_S))
        self.feeds = FeedHandler(fake(), {NAME: instrument("AAAUSD")}, ("trade",), book_depth=5, book_interval_ns=0)
        self.counters = Counters()
        self.writer = Replica(
            client,
            keys,
            settings,
            feeds=self.feeds,
            counters=self.counters,
            producer="connector.fake",
            spool=spool,
            metrics=PublisherMetrics(),
        )
        self.sink = self.writer.sink
        self.healthy = True
        self.sink.publish(self.feeds.open_topics([TOPIC], 1))
        self.task: asyncio.Task[None] | None = None

    def is_healthy(self) -> bool:
        """See `VenueHealth`."""
        return self.healthy

    def connections(self) -> int:
        """See `VenueHealth`."""
        return 1

    def statuses(self) -> Iterator[Status]:
        """See `VenueHealth`."""
        yield Status("fake", VENUE_WIDE, None, time.time_ns(), VENUE_WIDE, FeedState.LIVE, "")

    def read(self, *numbers: int) -> None:
        """Receive these trades from the venue."""
        for number in numbers:
            now = time.time_ns()
            self.sink.publish(self.feeds.apply(Trade("fake", NAME, now, now, Decimal(1), Decimal(1), Side.BUY, str(number))))

    def start(self) -> None:
        """Start the writer, which competes for the lease."""
        self.task = asyncio.create_task(self.writer.run(self))

    async def kill(self) -> None:
        """End as a killed process does: the lease is not released."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    @property
    def active(self) -> bool:
        """Whether it publishes."""
        reading = self.writer.reading()
        assert reading is not None
        return reading.active

    async def publishes(self) -> None:
        """Wait until it publishes."""
        await wait_until(lambda: self.active, what="it publishes")


@asynccontextmanager
async def two(valkey: str, path: Path, keys: Keys = KEYS) -> AsyncIterator[tuple[RunningReplica, RunningReplica]]:
    """Start two replicas: the first is active, the second a standby, and each knows that the other is healthy."""
    bus = BusSettings(url=valkey, partitions=keys.partitions)
    async with connect(bus) as client:
        replicas = [RunningReplica(client, keys, name, bus, path / name) for name in "ab"]
        first, second = replicas
        try:
            first.start()
            await first.publishes()
            second.start()
            await wait_until(lambda: all(replica.writer.details()["covered"] for replica in replicas), what="both are healthy")
            yield first, second
        finally:
            for replica in replicas:
                if replica.task is not None and not replica.task.done():
                    await replica.kill()
            for replica in replicas:
                if replica.task is not None and not replica.task.cancelled():
                    replica.task.result()


async def stream(client: Redis, kind: str, keys: Keys = KEYS) -> list[AnyEvent]:
    """Return the events of one kind on the tape."""
    entries: Any = await client.xrange(keys.stream(kind, NAME))
    return [decode(fields[b"d"]) for _, fields in entries]


async def ids(client: Redis, keys: Keys = KEYS) -> list[int]:
    """Return the ids of the trades on the tape."""
    return [int(event.trade_id) for event in await stream(client, "trade", keys) if isinstance(event, Trade)]


async def has(client: Redis, *numbers: int, keys: Keys = KEYS) -> None:
    """Wait until exactly these are on the tape."""

    async def so() -> bool:
        return await ids(client, keys) == list(numbers)

    await wait_until(so, what=f"trades {numbers} on the tape")


async def test_one_publishes_and_when_it_is_gone_the_other_goes_on(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The standby publishes the trades from its buffer that are not on the tape yet, and all states again. No gap is reported."""
    async with two(valkey, tmp_path) as (first, second):
        for replica in (first, second):
            replica.read(1, 2, 3)
        await has(client, 1, 2, 3)
        await first.kill()
        second.read(4, 5)
        await second.publishes()
        second.read(6)
        await has(client, 1, 2, 3, 4, 5, 6)
    trades = await stream(client, "trade")
    epochs = sorted({event.epoch for event in trades})
    assert [[event.seq for event in trades if event.epoch == epoch] for epoch in epochs] == [[1, 2, 3], [1, 2, 3]]
    assert await stream(client, "gap") == []
    restated = [event.state for event in await stream(client, "status") if isinstance(event, Status) and event.epoch == epochs[1]]
    assert restated == [FeedState.LIVE]
    assert await client.xlen(KEYS.venue("fake")) == 3, "the state, by each, and between them the gap in the venue's sign of life"


async def test_what_neither_has_is_a_gap_with_the_count(client: Redis, valkey: str, tmp_path: Path) -> None:
    """No replica has the trades 2 to 4: the takeover reports them as missing."""
    async with two(valkey, tmp_path) as (first, second):
        first.read(1)
        second.read(1)
        await has(client, 1)
        await first.kill()
        second.read(5, 6)
        await second.publishes()
        await has(client, 1, 5, 6)
    (gap,) = await stream(client, "gap")
    assert isinstance(gap, Gap)
    assert (gap.missed, gap.cause.value) == (3, "disconnect")


async def test_one_that_ends_in_order_is_replaced_at_once(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Its pending events are on the tape, its lease is released, and its status is deleted."""
    async with two(valkey, tmp_path) as (first, second):
        for replica in (first, second):
            replica.read(*range(1, 500))
        assert await first.writer.finish(10)
        assert not first.active
        await first.kill()
        await second.publishes()
        second.read(500)
        await has(client, *range(1, 501))
        assert await client.exists(KEYS.line("connector.fake", "a")) == 0
    assert await stream(client, "gap") == []


async def test_a_replica_that_loses_its_connections_hands_over_before_it_reports_them(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The tape has no `down`, and no gap in trades: the other replica has received them."""
    async with two(valkey, tmp_path) as (first, second):
        first.read(1)
        second.read(1)
        await has(client, 1)
        first.sink.publish(first.feeds.close_topics([TOPIC], time.time_ns(), "cut"))
        assert not first.active
        second.read(2, 3)
        first.sink.publish(first.feeds.open_topics([TOPIC], time.time_ns()))
        first.read(4)
        second.read(4)
        await second.publishes()
        await has(client, 1, 2, 3, 4)
        assert (first.counters.gaps["disconnect"], second.counters.gaps["disconnect"]) == (0, 1), "that of the venue's sign of life"
    assert await stream(client, "gap") == []
    assert {event.state for event in await stream(client, "status") if isinstance(event, Status)} <= {FeedState.CONNECTING, FeedState.LIVE}


async def test_lost_connections_are_reported_if_no_healthy_replica_can_take_over(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The standby is unhealthy, too: the active replica reports that its feeds are down, and stays active."""
    async with two(valkey, tmp_path) as (first, second):
        first.read(1)
        await has(client, 1)
        second.healthy = False
        await wait_until(lambda: not first.writer.details()["covered"], what="the standby is unhealthy")
        first.sink.publish(first.feeds.close_topics([TOPIC], time.time_ns(), "cut"))
        assert first.active
        first.sink.publish(first.feeds.open_topics([TOPIC], time.time_ns()))
        first.read(4)
        await has(client, 1, 4)
    states = [event.state for event in await stream(client, "status") if isinstance(event, Status)]
    assert FeedState.DOWN in states
    (gap,) = await stream(client, "gap")
    assert isinstance(gap, Gap)
    assert gap.missed == 2


async def test_one_that_another_has_superseded_publishes_nothing_more(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The server refuses its pending events; they are counted and discarded, in the spool too. The process goes on as a standby."""
    async with two(valkey, tmp_path) as (first, second):
        first.read(1)
        second.read(1)
        await has(client, 1)
        await first.kill()  # its publisher, to have something pending that cannot be written
        await second.publishes()
        second.read(2)
        await has(client, 1, 2)
        async with connect(BusSettings(url=valkey)) as bus:
            await claim(bus, KEYS, "connector.fake", "c")
        second.read(3, 4)
        await wait_until(lambda: not second.active, what="it has stepped back")
        reading = second.writer.reading()
        assert reading is not None
        await wait_until(lambda: (second.writer.reading() or reading).discarded >= 2, what="they are discarded")
        assert await ids(client) == [1, 2]
        await second.publishes()  # no other replica wants the lease
        second.read(5)
        await wait_until(lambda: client.exists(KEYS.stream("gap", NAME)), what="the gap")
    assert await ids(client) == [1, 2, 5]
    (gap,) = await stream(client, "gap")
    assert isinstance(gap, Gap)
    assert gap.missed == 2


async def test_a_spool_is_removed_after_another_replica_has_continued_the_tape(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Nothing from this spool is published."""
    (tmp_path / "b" / "0-of-1").mkdir(parents=True)
    left = tmp_path / "b" / "0-of-1" / "0000000000000000.spool"
    left.write_bytes(b"whatever")
    async with two(valkey, tmp_path) as (first, second):
        first.read(1)
        await has(client, 1)
        assert left.exists()
        await first.kill()
        await second.publishes()
        second.read(2)
        await has(client, 1, 2)
        assert not left.exists()
    entries: Any = await client.xrange(KEYS.venue("fake"))
    gaps = [event for _, fields in entries if isinstance(event := decode(fields[b"d"]), Gap)]
    assert [(gap.kind, gap.cause) for gap in gaps] == [("status", GapCause.DISCONNECT)], "it was looked at, and found damaged"


async def test_each_replica_reports_its_status(client: Redis, valkey: str, tmp_path: Path) -> None:
    """It writes JSON on the server, which expires after the replica ends; `details` shows the same."""
    async with two(valkey, tmp_path) as (first, second):
        second.read(1, 2)
        found = json.loads(await client.get(KEYS.line("connector.fake", "b")) or "null")
        assert (found["line"], found["active"], found["well"], found["covered"], found["feeds"]) == ("b", False, True, True, 1)
        assert 0 < await client.pttl(KEYS.line("connector.fake", "b")) <= 3_000 * LEASE_S
        details = second.writer.details()
        assert (details["replica"], details["role"], details["held"]) == ("b", "standby", 2)
        assert details["other_replicas"] == {"a": "active, healthy"}
        assert (details["line"], details["other_lines"]) == ("b", {"a": "active, well"}), "the old names"
        assert second.writer.healthy
        assert first.writer.details()["role"] == "active"
        await second.kill()
        await wait_until(lambda: not first.writer.details()["covered"], what="there is no standby any more")


async def test_a_standby_drops_trades_that_are_on_the_tape(client: Redis, valkey: str, tmp_path: Path) -> None:
    """It reads the end of the tape again and again; trades that are not on the tape stay in the buffer."""
    async with two(valkey, tmp_path) as (first, second):
        second.read(1, 2, 3, 4)
        first.read(1, 2, 3)
        await wait_until(lambda: second.writer.details()["held"] == 1, what="it has followed the tape")


async def test_with_partitions_each_of_them_is_claimed(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Also a partition that does not hold the lease: the server refuses what the former active replica still writes there."""
    keys = Keys(partitions=3)
    assert keys.partition(NAME) != 0
    async with two(valkey, tmp_path, keys) as (first, second):
        for replica in (first, second):
            replica.read(1, 2)
        await has(client, 1, 2, keys=keys)
        await first.kill()
        second.read(3)
        await second.publishes()
        await has(client, 1, 2, 3, keys=keys)
        epochs = {await client.hget(keys.cursor("connector.fake", partition), "epoch") for partition in range(3)}
        assert epochs == {b"%d" % max(event.epoch for event in await stream(client, "trade", keys))}
    keys_of_replicas: Any = await client.keys("*:l[ei]*:connector.fake*")
    assert all(key.startswith(b"tape:{0}:") for key in keys_of_replicas)
