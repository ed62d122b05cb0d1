"""The table of leases on a real server, and the claim that stands behind them."""

from __future__ import annotations

import math
import time

import pytest
from redis.asyncio import Redis

from crosstape.bus import Client, Publisher, connect
from crosstape.bus.lease.fencing import claim
from crosstape.bus.lease.table import LeaseCountMismatch, LeaseTable, Want
from crosstape.errors import BusError, Superseded
from crosstape.settings import BusSettings
from crosstape_schemas import Keys
from tests.aggregator.builders import quote
from tests.waiting import wait_until

KEYS = Keys()
HOLD, RELEASE, OBSERVE = Want.HOLD, Want.RELEASE, Want.OBSERVE
LONG_S = 60.0


def table(bus: Client, keys: Keys, me: str, leases: int) -> LeaseTable:
    """Returns the table of one instance, of a service with this many leases."""
    return LeaseTable(bus, keys, me, "p", [f"p.{number}" for number in range(leases)])


async def test_a_lease_is_one_instances_until_it_gives_it_back(client: Redis, valkey: str) -> None:
    """Another that wants it does not get it, and cannot release it."""
    async with connect(BusSettings(url=valkey)) as bus:
        one, other = table(bus, KEYS, "one", 2), table(bus, KEYS, "other", 2)
        assert await one.exchange([OBSERVE, OBSERVE], LONG_S) == (("one",), (None, None), math.inf)
        assert (await one.exchange([HOLD, OBSERVE], LONG_S)).holders == ("one", None)
        seen = await other.exchange([HOLD, HOLD], LONG_S)
        assert seen[:2] == (("one", "other"), ("one", "other"))
        assert LONG_S / 2 < seen.next_expiry_s <= LONG_S
        assert (await other.exchange([RELEASE, HOLD], LONG_S)).holders == ("one", "other")
        assert (await one.exchange([RELEASE, OBSERVE], LONG_S)).holders == (None, "other")
        assert await other.exchange([RELEASE, RELEASE], 0) == (("one",), (None, None), math.inf)
        assert await client.keys("*lease*") == []
        await one.close()
        await other.close()


async def test_leases_and_their_holder_expire_together(client: Redis, valkey: str) -> None:
    """Whoever sees the lease free sees one instance less."""
    async with connect(BusSettings(url=valkey)) as bus:
        await table(bus, KEYS, "one", 1).exchange([HOLD], 0.3)
        other = table(bus, KEYS, "other", 1)
        assert (await other.exchange([OBSERVE], LONG_S)).instances == ("one", "other")

        async def free() -> bool:
            found = await other.exchange([OBSERVE], LONG_S)
            return found.holders == (None,) and found.instances == ("other",)

        await wait_until(free, what="the lease to expire")


async def test_instances_that_disagree_on_the_count_get_nothing(client: Redis, valkey: str) -> None:
    """The first to come is right, until it is gone."""
    async with connect(BusSettings(url=valkey)) as bus:
        one, other = table(bus, KEYS, "one", 1), table(bus, KEYS, "other", 2)
        await one.exchange([HOLD], LONG_S)
        with pytest.raises(LeaseCountMismatch) as failure:
            await other.exchange([HOLD, HOLD], LONG_S)
        assert failure.value.theirs == 1
        await one.exchange([RELEASE], 0)
        assert (await other.exchange([HOLD, HOLD], LONG_S)).holders == ("other", "other")


async def test_names_on_a_cluster_lie_in_one_slot(client: Redis, valkey: str) -> None:
    """All keys of one call have the tag of the first partition."""
    keys = Keys(partitions=3)
    async with connect(BusSettings(url=valkey, partitions=3)) as bus:
        await table(bus, keys, "one", 2).exchange([HOLD, HOLD], LONG_S)
    assert set(await client.keys("*")) == {b"tape:{0}:instances:p", b"tape:{0}:lease:p.0", b"tape:{0}:lease:p.1"}


@pytest.mark.parametrize("partitions", [1, 3])
async def test_a_claim_is_newer_than_a_predecessor_whose_clock_was_ahead(client: Redis, valkey: str, partitions: int) -> None:
    """On every partition. No two claims are the same, and a predecessor is refused from the claim on."""
    keys, settings = Keys(partitions=partitions), BusSettings(url=valkey, partitions=partitions)
    ahead = time.time_ns() + 3_600_000_000_000
    async with connect(settings) as bus:
        before = Publisher(bus, keys, settings, producer="p", epoch=ahead)
        before.publish(quote("consolidated", "1", "2"))
        assert await before.drain(10)
        first, second = [(await claim(bus, keys, "p")).epoch for _ in range(2)]
        assert ahead < first < second
        after = Publisher(bus, keys, settings, producer="p", epoch=second)
        after.publish(quote("consolidated", "1", "2"))
        assert await after.drain(10)
        before.publish(quote("consolidated", "1", "3"))
        assert not await before.drain(10)
        with pytest.raises(Superseded):
            await before.run()
    assert await client.xlen(keys.stream("quote", "BTC-USDT")) == 2


async def test_a_cursor_that_is_none_is_an_error(client: Redis, valkey: str) -> None:
    """The error names the key; no claim would ever succeed."""
    await client.hset(KEYS.cursor("p"), "epoch", "zebra")
    async with connect(BusSettings(url=valkey)) as bus:
        with pytest.raises(BusError, match="tape:cursor:p"):
            await claim(bus, KEYS, "p")


async def test_a_claim_tells_whose_line_published_last(client: Redis, valkey: str) -> None:
    """The producer has replicas ("lines"). If a producer without replicas has written since, under its own epoch, no replica is named."""
    settings = BusSettings(url=valkey)
    async with connect(settings) as bus:
        assert (await claim(bus, KEYS, "p", "a")).previous is None
        assert (await claim(bus, KEYS, "p", "b")).previous == "a"
        assert (await claim(bus, KEYS, "p", "b")).previous == "b"
        plain = Publisher(bus, KEYS, settings, producer="p", epoch=(await claim(bus, KEYS, "p")).epoch + 1)
        plain.publish(quote("consolidated", "1", "2"))
        assert await plain.drain(10)
        assert (await claim(bus, KEYS, "p", "b")).previous == ""


async def test_a_claim_keeps_what_tells_whether_the_last_batch_was_written(client: Redis, valkey: str) -> None:
    """The predecessor's epoch and batch, by which its spool is taken up; a claim that wrote nothing keeps those of the one before."""
    settings = BusSettings(url=valkey)
    async with connect(settings) as bus:
        first = Publisher(bus, KEYS, settings, producer="p")
        first.publish(quote("consolidated", "1", "2"))
        assert await first.drain(10)
        _, batch = await client.hmget(KEYS.cursor("p"), "epoch", "batch")
        for _ in range(2):
            await claim(bus, KEYS, "p")
            assert await client.hmget(KEYS.cursor("p"), "prior_epoch", "prior_batch") == [b"%d" % first.epoch, batch]
