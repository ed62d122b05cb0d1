"""The table of leases on a real server, and the claim that stands behind them."""

from __future__ import annotations

import math
import time

import pytest
from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from crosstape.bus.claim import claim
from crosstape.errors import BusError, Superseded
from crosstape.settings import BusSettings
from crosstape_aggregator.lease_table import Disagreement, LeaseTable
from crosstape_aggregator.leases import Want
from crosstape_schemas import Keys
from tests.aggregator.builders import quote
from tests.waiting import wait_until

KEYS = Keys()
HAVE, GIVE, LOOK = Want.HAVE, Want.GIVE, Want.LOOK
LONG_S = 60.0


async def test_a_lease_is_one_instances_until_it_gives_it_back(client: Redis, valkey: str) -> None:
    """Another that wants it does not get it, and cannot release it."""
    async with connect(BusSettings(url=valkey)) as bus:
        one, other = LeaseTable(bus, KEYS, "one", 2), LeaseTable(bus, KEYS, "other", 2)
        assert await one.exchange([LOOK, LOOK], LONG_S) == (("one",), (None, None), math.inf)
        assert (await one.exchange([HAVE, LOOK], LONG_S)).holders == ("one", None)
        seen = await other.exchange([HAVE, HAVE], LONG_S)
        assert seen[:2] == (("one", "other"), ("one", "other"))
        assert LONG_S / 2 < seen.next_expiry_s <= LONG_S
        assert (await other.exchange([GIVE, HAVE], LONG_S)).holders == ("one", "other")
        assert (await one.exchange([GIVE, LOOK], LONG_S)).holders == (None, "other")
        assert await other.exchange([GIVE, GIVE], 0) == (("one",), (None, None), math.inf)
        assert await client.keys("*lease*") == []
        await one.close()
        await other.close()


async def test_leases_and_their_holder_expire_together(client: Redis, valkey: str) -> None:
    """Whoever sees the lease free sees one instance less."""
    async with connect(BusSettings(url=valkey)) as bus:
        await LeaseTable(bus, KEYS, "one", 1).exchange([HAVE], 0.3)
        other = LeaseTable(bus, KEYS, "other", 1)
        assert (await other.exchange([LOOK], LONG_S)).instances == ("one", "other")

        async def free() -> bool:
            found = await other.exchange([LOOK], LONG_S)
            return found.holders == (None,) and found.instances == ("other",)

        await wait_until(free, what="the lease to expire")


async def test_instances_that_disagree_on_the_count_get_nothing(client: Redis, valkey: str) -> None:
    """The first to come is right, until it is gone."""
    async with connect(BusSettings(url=valkey)) as bus:
        one, other = LeaseTable(bus, KEYS, "one", 1), LeaseTable(bus, KEYS, "other", 2)
        await one.exchange([HAVE], LONG_S)
        with pytest.raises(Disagreement) as failure:
            await other.exchange([HAVE, HAVE], LONG_S)
        assert failure.value.theirs == 1
        await one.exchange([GIVE], 0)
        assert (await other.exchange([HAVE, HAVE], LONG_S)).holders == ("other", "other")


async def test_names_on_a_cluster_lie_in_one_slot(client: Redis, valkey: str) -> None:
    """All that one call touches has the first partition's tag."""
    keys = Keys(partitions=3)
    async with connect(BusSettings(url=valkey, partitions=3)) as bus:
        await LeaseTable(bus, keys, "one", 2).exchange([HAVE, HAVE], LONG_S)
    assert set(await client.keys("*")) == {b"tape:{0}:instances:aggregator", b"tape:{0}:lease:aggregator.0", b"tape:{0}:lease:aggregator.1"}


@pytest.mark.parametrize("partitions", [1, 3])
async def test_a_claim_is_newer_than_a_predecessor_whose_clock_was_ahead(client: Redis, valkey: str, partitions: int) -> None:
    """On every partition; no two claims are the same, and a predecessor is refused from the claim on."""
    keys, settings = Keys(partitions=partitions), BusSettings(url=valkey, partitions=partitions)
    ahead = time.time_ns() + 3_600_000_000_000
    async with connect(settings) as bus:
        before = Publisher(bus, keys, settings, producer="p", epoch=ahead)
        before.publish(quote("consolidated", "1", "2"))
        assert await before.drain(10)
        first, second = await claim(bus, keys, "p"), await claim(bus, keys, "p")
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
    """That names the key, in place of a claim that can never be had."""
    await client.hset(KEYS.cursor("p"), "epoch", "zebra")
    async with connect(BusSettings(url=valkey)) as bus:
        with pytest.raises(BusError, match="tape:cursor:p"):
            await claim(bus, KEYS, "p")
