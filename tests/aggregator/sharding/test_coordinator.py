"""Tests aggregators that divide the instruments and replace one another, in this process, on a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from crosstape.bus import connect
from crosstape.bus.lease.fencing import claim
from crosstape.bus.lease.table import LeaseSnapshot, LeaseTable, Want
from crosstape.errors import SettingsError
from crosstape_aggregator.service import AggregatorProcess
from crosstape_aggregator.sharding.assignment import Shard
from crosstape_schemas import Cbbo
from tests.aggregator.builders import X, trade
from tests.aggregator.running import KEYS, FakeVenue, aggregator, newest, published, settings_for, venue, wait_for_legs
from tests.proxy import proxy
from tests.waiting import wait_until

NAMES = [f"{name}-USDT" for name in ("ADA", "BTC", "DOGE", "ETH", "LTC", "SOL", "XRP", "LINK")]
LONG_S = 60.0
"""Life of a lease that does not expire during a test."""
SHORT_S = 0.6


def metric(name: str) -> float:
    """Return a metric, summed over the aggregators of this process."""
    return REGISTRY.get_sample_value(f"crosstape_aggregator_{name}") or 0.0


async def quoted(client: Redis, kraken: FakeVenue, names: list[str], price: str) -> None:
    """Publish a new quote for each instrument, and wait until its consolidated quote shows it."""
    for name in names:
        await kraken.quote(price, f"{price}.5", instrument=name)

    async def shown() -> bool:
        found = [await newest(client, name) for name in names]
        return all(one is not None and str(one.bid_price) == price for one in found)

    await wait_until(shown, what=f"quotes at {price}")


async def in_order(client: Redis, names: list[str]) -> dict[str, list[int]]:
    """Return the epochs of each instrument's consolidated quotes in order. Checks that no epoch comes back, and that each begins with 1."""
    found = {}
    for name in names:
        every = await published(client, name)
        epochs = list(dict.fromkeys(one.epoch for one in every))
        assert [one.epoch for one in every] == sorted(one.epoch for one in every)
        for epoch in epochs:
            seqs = [one.seq for one in every if one.epoch == epoch]
            assert seqs == list(range(1, len(seqs) + 1))
        found[name] = epochs
    return found


async def wait_for(process: AggregatorProcess, **expected: Any) -> None:
    """Wait until `/readyz` returns these values."""
    await wait_until(lambda: expected.items() <= process.ready()[1].items(), what=f"{expected}, not {process.ready()[1]}")


async def test_a_second_aggregator_stands_by_and_takes_over(client: Redis, valkey: str) -> None:
    """An instance that stops in order releases its lease, so nobody waits until it expires. It publishes no later quote."""
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        async with aggregator(valkey, lease_s=LONG_S) as first:
            await quoted(client, kraken, [X], "100")
            settings = settings_for(valkey, lease_s=1.0)
            async with connect(settings.bus) as bus:
                second = AggregatorProcess(settings, bus)
                running = asyncio.create_task(second.coordinator.run())
                await wait_for(second, standby=True, shares_held=0, shares=1, bus=True)
                assert second.ready()[0]
                await quoted(client, kraken, [X], "101")
                assert not first.done()
                first.cancel()
                await wait_for(second, standby=False, shares_held=1, instruments_with_a_counting_leg=1)
                assert second.ready()[0]
                await quoted(client, kraken, [X], "102")
                running.cancel()
                await asyncio.wait({running})
    assert len((await in_order(client, [X]))[X]) == 2
    assert await client.keys("*lease*") == await client.keys("*instances*") == []


async def test_two_divide_the_shards_and_one_serves_all_when_it_is_alone(client: Redis, valkey: str) -> None:
    """Every instrument always has a quote, from one of them. The metrics show how many shards are held."""
    lost = metric("leases_lost_total")
    settings = settings_for(valkey, shares=4, lease_s=1.0)
    async with venue(valkey, "kraken") as kraken, connect(settings.bus) as bus:
        await kraken.live_on()
        first, second = AggregatorProcess(settings, bus), AggregatorProcess(settings, bus)
        running = [asyncio.create_task(first.coordinator.run())]
        await quoted(client, kraken, NAMES, "100")
        await wait_for(first, shares_held=4, instruments=len(NAMES))
        assert (metric("leases"), metric("shares")) == (4, 4)
        await wait_until(lambda: metric("instruments") == len(NAMES), what="the instruments of all boards")

        running.append(asyncio.create_task(second.coordinator.run()))
        await wait_for(first, shares_held=2)
        await wait_for(second, shares_held=2)
        await quoted(client, kraken, NAMES, "101")
        assert first.ready()[1]["instruments"] + second.ready()[1]["instruments"] == len(NAMES)
        await wait_until(lambda: first.ready()[0] and second.ready()[0], what="both to be ready")

        running[0].cancel()
        await wait_for(second, shares_held=4, instruments=len(NAMES))
        await quoted(client, kraken, NAMES, "102")
        running[1].cancel()
        await asyncio.wait(running)
    epochs = await in_order(client, NAMES)
    assert {len(found) for found in epochs.values()} <= {2, 3}
    assert set(await client.keys("tape:cursor:aggregator*")) == {f"tape:cursor:{Shard(number, 4).producer}".encode() for number in range(4)}
    assert (metric("leases"), metric("leases_lost_total"), metric("instruments")) == (0, lost, 0)


async def test_one_that_shows_up_while_all_is_taken_gets_its_part(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It arrives between the answer that all are free and the call that acquires them. A shard that just starts is not released."""
    settings = settings_for(valkey, shares=4, lease_s=1.0)
    exchange = LeaseTable.exchange
    async with connect(settings.bus) as bus:
        first, second = AggregatorProcess(settings, bus), AggregatorProcess(settings, bus)
        early = LeaseTable(bus, KEYS, second.coordinator.instance, "aggregator", [Shard(number, 4).producer for number in range(4)])

        async def beaten_to_it(self: LeaseTable, wants: Sequence[Want], life_s: float) -> LeaseSnapshot:
            if Want.HOLD in wants:
                monkeypatch.undo()
                await early.exchange([Want.OBSERVE] * 4, LONG_S)
            return await exchange(self, wants, life_s)

        monkeypatch.setattr(LeaseTable, "exchange", beaten_to_it)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(first.coordinator.run())]
            await wait_until(lambda: LeaseTable.exchange is exchange, what="the first to take all")
            running.append(group.create_task(second.coordinator.run()))
            await wait_for(first, shares_held=2)
            await wait_for(second, shares_held=2)
            for task in running:
                task.cancel()
        await early.close()


async def test_one_that_hears_nothing_stops_and_publishes_nothing_more(client: Redis, valkey: str) -> None:
    """The server is silent for longer than its lease, and another instance takes over. Events that it still holds are refused."""
    lost = metric("leases_lost_total")
    async with venue(valkey, "kraken") as kraken, proxy(valkey) as between:
        await kraken.live_on()
        settings = settings_for(between.url, lease_s=SHORT_S)
        async with connect(settings.bus) as bus:
            first = AggregatorProcess(settings, bus)
            running = asyncio.create_task(first.coordinator.run())
            await quoted(client, kraken, [X], "100")
            between.swallowing = True
            await wait_until(lambda: first.coordinator.left_s() < 0, what="the lease to run out")
            await wait_until(lambda: not first.ready()[0], what="it to say so")
            async with aggregator(valkey, lease_s=LONG_S):
                await quoted(client, kraken, [X], "101")
                between.swallowing = False
                between.cut()
                await wait_for(first, standby=True)
                await quoted(client, kraken, [X], "102")
            running.cancel()
            await asyncio.wait({running})
    assert len((await in_order(client, [X]))[X]) == 2
    assert metric("leases_lost_total") == lost + 1


async def test_one_that_is_alone_goes_on_after_an_outage_as_it_was(client: Redis, valkey: str) -> None:
    """No other instance acquired its lease: it keeps its windows and its numbering, however long the outage was."""
    lost = metric("leases_lost_total")
    async with venue(valkey, "kraken") as kraken, proxy(valkey) as between:
        await kraken.live_on()
        settings = settings_for(between.url, lease_s=SHORT_S)
        async with connect(settings.bus) as bus:
            only = AggregatorProcess(settings, bus)
            running = asyncio.create_task(only.coordinator.run())
            await quoted(client, kraken, [X], "100")
            between.refusing = True
            between.cut()
            await wait_until(lambda: only.coordinator.left_s() < 0, what="the lease to run out")
            await wait_until(lambda: metric("leases") == 0, what="it to say so")
            between.refusing = False
            await quoted(client, kraken, [X], "101")
            await wait_until(lambda: metric("leases") == 1, what="the lease again")
            running.cancel()
            await asyncio.wait({running})
    assert len((await in_order(client, [X]))[X]) == 1
    assert metric("leases_lost_total") == lost


async def test_one_that_cannot_renew_publishes_nothing_though_it_could(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own clock decides. Quotes computed meanwhile are published when it has its lease again, with the same epoch."""
    renewing, exchange = asyncio.Event(), LeaseTable.exchange
    renewing.set()

    async def hanging(self: LeaseTable, wants: Sequence[Want], life_s: float) -> LeaseSnapshot:
        await renewing.wait()
        return await exchange(self, wants, life_s)

    monkeypatch.setattr(LeaseTable, "exchange", hanging)
    settings = settings_for(valkey, lease_s=SHORT_S)
    async with venue(valkey, "kraken") as kraken, connect(settings.bus) as bus:
        await kraken.live_on()
        only = AggregatorProcess(settings, bus)
        running = asyncio.create_task(only.coordinator.run())
        await quoted(client, kraken, [X], "100")
        renewing.clear()
        await wait_until(lambda: metric("leases") == 0, what="the lease to run out")
        written, taken = len(await published(client)), metric("published_total")
        await kraken.quote("101", "102")
        await wait_until(lambda: metric("published_total") > taken, what="a quote to wait")
        assert len(await published(client)) == written
        renewing.set()
        await quoted(client, kraken, [X], "103")
        running.cancel()
        await asyncio.wait({running})
    assert len((await in_order(client, [X]))[X]) == 1
    assert "101" in {str(one.bid_price) for one in await published(client)}


async def test_a_claim_by_another_is_a_lost_lease_and_no_end(client: Redis, valkey: str) -> None:
    """The shard is stopped and counted as lost. It is acquired again with a newer epoch, since nobody holds its lease."""
    lost = metric("leases_lost_total")
    settings = settings_for(valkey)
    async with venue(valkey, "kraken") as kraken, aggregator(valkey) as running, connect(settings.bus) as bus:
        await kraken.live_on()
        await quoted(client, kraken, [X], "100")
        stranger = (await claim(bus, KEYS, "aggregator")).epoch
        await quoted(client, kraken, [X], "101")
        assert not running.done()
    (before, after) = (await in_order(client, [X]))[X]
    assert before < stranger < after
    assert metric("leases_lost_total") == lost + 1


async def test_another_number_of_shares_is_an_error(client: Redis, valkey: str) -> None:
    """The error names both numbers, after leases of a crashed instance would have expired. No shard is served twice."""
    async with venue(valkey, "kraken") as kraken, aggregator(valkey) as running:
        await kraken.live_on()
        await quoted(client, kraken, [X], "100")
        started = time.monotonic()
        async with connect(settings_for(valkey).bus) as bus:
            with pytest.raises(ExceptionGroup) as failure:
                await AggregatorProcess(settings_for(valkey, shares=2, lease_s=SHORT_S), bus).coordinator.run()
        assert failure.group_contains(SettingsError, match=r"aggregator\.shares = 2: .* have 1")
        assert time.monotonic() - started >= 2 * SHORT_S
        await quoted(client, kraken, [X], "101")
        assert not running.done()


async def test_what_a_crashed_one_of_another_number_left_is_waited_out(client: Redis, valkey: str) -> None:
    """So the number can be changed without a manual cleanup."""
    now_ms = int(time.time() * 1000)
    await client.zadd(KEYS.instances("aggregator"), {"7 crashed": now_ms + 600})
    async with venue(valkey, "kraken") as kraken, aggregator(valkey, shares=2, lease_s=2.0):
        await kraken.live_on()
        await quoted(client, kraken, NAMES, "100")


async def test_every_epoch_begins_with_the_windows_of_all_trades(client: Redis, valkey: str) -> None:
    """A successor reads the trades again, and counts each once."""
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        total = 0
        for price in ("100", "101", "102"):
            async with aggregator(valkey, windows=("1h",)):
                await quoted(client, kraken, [X], price)
                await kraken.say(*(trade("kraken", price, "1", time.time_ns(), trade_id=f"{price}{n}") for n in range(50)))
                total += 50

                async def counted(total: int = total) -> bool:
                    found = await newest(client)
                    return found is not None and found.vwap["1h"].trades == total

                await wait_until(counted, what=f"{total} trades")
    every: list[Cbbo] = await published(client)
    assert max(one.vwap["1h"].trades for one in every) == total
    assert all(before.vwap["1h"].trades <= after.vwap["1h"].trades for before, after in pairwise(every) if before.epoch == after.epoch)
    await wait_for_legs(client, {"kraken": None})
