"""Bars on the bus: one publisher has those of many venues, knows when they are on the tape, and reports those that it loses."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from redis.asyncio import Redis

from crosstape_schemas import CONSOLIDATED, Bar, FeedState, Gap, GapCause, Status
from tests.bus.tape import BTC, GAPS, KEYS, fast, numbers, on_tape, publishing
from tests.proxy import proxy
from tests.waiting import wait_until

BARS = KEYS.stream("bar:1m", BTC)
MINUTE = 60_000_000_000
VENUES = ("binance", "kraken", CONSOLIDATED)


def bar(venue: str, minute: int, *, closed: bool = True) -> Bar:
    """A bar that opened at `minute`."""
    opened, price, one = minute * MINUTE, Decimal(7), Decimal(1)
    return Bar(venue, BTC, None, opened, "1m", opened, opened + MINUTE, price, price, price, price, one, price, 1, one, closed=closed)


async def test_bars_that_are_lost_are_a_gap_of_the_consolidated_venue(client: Redis, valkey: str) -> None:
    """Their publisher has numbers for its own gaps only. It goes on with what it can write."""
    await client.set(BARS, "a key that is no stream")
    async with publishing(fast(valkey), producer="aggregator") as publisher:
        publisher.publish_all([Status(CONSOLIDATED, BTC, None, 1, "cbbo", FeedState.LIVE), bar("binance", 1), bar("kraken", 2)])
        assert await publisher.drain(5)
        await client.delete(BARS)
        publisher.publish_all([bar(venue, 3) for venue in VENUES])
        assert await publisher.drain(5)
    gaps = [event for event in await on_tape(client, GAPS) if isinstance(event, Gap)]
    assert {(gap.venue, gap.kind, gap.missed, gap.cause) for gap in gaps} == {(CONSOLIDATED, "bar:1m", 1, GapCause.BUS)}
    assert [(gap.from_ts, gap.to_ts) for gap in gaps] == [(MINUTE, MINUTE), (2 * MINUTE, 2 * MINUTE)]
    assert numbers(await on_tape(client, GAPS)) == [1, 2]
    assert [event.venue for event in await on_tape(client, BARS)] == list(VENUES)


async def test_a_publisher_knows_when_closed_bars_are_on_the_tape(client: Redis, valkey: str) -> None:
    """Those that are open do not matter, unless they are in flight with others."""
    async with proxy(valkey) as network, publishing(fast(network.url), producer="aggregator") as publisher:
        publisher.publish(bar("binance", 1, closed=False))
        assert not publisher.is_writing_candles(BTC)
        assert await publisher.drain(5)
        assert await publisher.candles_written("ETH-USDT", 0.0)
        network.refusing = True
        network.cut()
        publisher.publish_all([bar("binance", 1), bar(CONSOLIDATED, 1)])
        assert publisher.is_writing_candles(BTC)
        assert not await publisher.candles_written(BTC, 0.0)
        assert await publisher.candles_written("ETH-USDT", 0.0)
        waiting = asyncio.create_task(publisher.candles_written(BTC, 10.0))
        network.refusing = False
        await wait_until(waiting.done, what="the bars are written")
        assert waiting.result()
        events = await on_tape(client, BARS)
        assert [event.closed for event in events if isinstance(event, Bar)] == [False, True, True]
