"""When quotes are published: each change, a part of them under load, and none while the bus is slow."""

from __future__ import annotations

import time

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from crosstape_aggregator.publishing import quote_publisher
from crosstape_schemas import CONSOLIDATED, Cbbo, decode
from tests.aggregator.builders import quote
from tests.aggregator.running import KEYS, aggregator, published, venue, wait_for_legs
from tests.waiting import wait_until


async def test_every_change_is_published_when_no_interval_is_set(client: Redis, valkey: str) -> None:
    """Each event makes a quote, in order, even if events arrive together."""
    async with venue(valkey, "binance") as binance, aggregator(valkey, min_interval_s=0, windows=()):
        await binance.live_on()
        await binance.quote("100", "101")
        await wait_for_legs(client, {"binance": None})
        await binance.say(*(quote("binance", str(90 + step), "101", time.time_ns()) for step in range(5)))

        async def all_of_them() -> bool:
            return len(await published(client)) == 6

        await wait_until(all_of_them, what="six quotes")
    assert [int(one.bid_price or 0) for one in await published(client)] == [100, 90, 91, 92, 93, 94]


async def test_under_load_the_newest_state_of_every_instrument_arrives(client: Redis, valkey: str) -> None:
    """Far fewer quotes than events, and none of the instruments is forgotten."""
    names = [f"C{number}-USDT" for number in range(100)]
    async with venue(valkey, "binance") as binance, aggregator(valkey, windows=("1m",)):
        await binance.live_on()
        await binance.say(*(quote("binance", "0.5", "1000", time.time_ns(), instrument=name) for name in names))
        await wait_for_legs(client, {"binance": None}, names[0])
        await wait_for_legs(client, {"binance": None}, names[-1])
        for seq in range(1, 101):
            binance.publisher.publish_all(quote("binance", str(seq), "1000", time.time_ns(), instrument=name) for name in names)
        assert await binance.publisher.drain(20)

        async def newest_everywhere() -> bool:
            values = [await client.hget(KEYS.last("cbbo", name), CONSOLIDATED) for name in names]
            quotes = [decode(value) for value in values if value is not None]
            return len(quotes) == 100 and all(isinstance(one, Cbbo) and one.bid_price == 100 for one in quotes)

        await wait_until(newest_everywhere, what="the last quote of each")
        lengths = [await client.xlen(KEYS.stream("cbbo", name)) for name in names]
    assert sum(lengths) < 10_000


async def test_a_slow_bus_has_no_queue_of_quotes(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No quote is computed while too many wait. The newest state is published when the bus accepts quotes again."""
    monkeypatch.setattr(quote_publisher, "MAX_PENDING", 0)
    async with venue(valkey, "binance") as binance, aggregator(valkey):
        await binance.live_on()
        await binance.quote("100", "101")
        before = REGISTRY.get_sample_value("crosstape_aggregator_events_total", {"kind": "quote"}) or 0
        await wait_until(
            lambda: (REGISTRY.get_sample_value("crosstape_aggregator_events_total", {"kind": "quote"}) or 0) > before, what="it taken"
        )
        assert await published(client) == []
        monkeypatch.setattr(quote_publisher, "MAX_PENDING", 10)
        await wait_for_legs(client, {"binance": None})
