"""Polling: `follow` and `get`, and `collect`."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from crosstape import AnyEvent, BusError, Missed, Quote, Start, Trade
from tests.bus.tape import BTC, ETH, KEYS, QUOTES, TRADES, numbers, quote, stamped, trade, whole
from tests.tape.reading import begun, tape_and_publisher, taping, write
from tests.waiting import wait_until


async def test_get_returns_what_is_followed(client: Redis, valkey: str) -> None:
    """Of several kinds; None when there is nothing within the time."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        with pytest.raises(BusError, match="nothing is followed"):
            await tape.get(timeout_s=0)
        tape.follow("trade", BTC, start=Start.BEGINNING)
        tape.follow("quote", BTC, start=Start.BEGINNING)
        assert await tape.get(timeout_s=0.02) is None
        assert await tape.get(timeout_s=0) is None
        await write(publisher, 1, 2)
        await write(publisher, 1, 1, quote)
        found = [await tape.get(timeout_s=10) for _ in range(3)]
        assert [one.seq for one in found if isinstance(one, Trade)] == [1, 2]
        assert [one.seq for one in found if isinstance(one, Quote)] == [1]


async def test_a_caller_that_is_too_slow_gets_exact_counts_and_the_newest_states(client: Redis, valkey: str) -> None:
    """Trades are dropped and counted, quotes replaced."""
    async with taping(valkey, queue_events=100) as tape:
        async with client.pipeline() as pipe:
            for seq in range(1, 5_001):
                pipe.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
                pipe.xadd(QUOTES, {"d": stamped(quote(seq), 5, seq)})
            await pipe.execute()
        tape.follow("trade", BTC, start=Start.BEGINNING)
        tape.follow("quote", BTC, start=Start.BEGINNING)
        queue = tape._followed._queue
        await wait_until(lambda: queue.dropped == 4_900 and len(queue) == 102, what="all is in the queue")
        found = [await tape.get(timeout_s=0) for _ in range(102)]
        assert await tape.get(timeout_s=0) is None
        assert found[0] == Missed(TRADES, "binance", 5, 1, 4_900)
        assert [one.seq for one in found if isinstance(one, Trade)] == list(range(4_901, 5_001))
        assert [one.seq for one in found if isinstance(one, Quote)] == [5_000]


async def test_what_left_the_tape_is_missed_too(client: Redis, valkey: str) -> None:
    """It comes before the events that follow it."""
    async with taping(valkey) as tape:
        for seq in (1, 2, 7):
            await client.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
        tape.follow("trade", BTC, start=Start.BEGINNING)
        found = [await tape.get(timeout_s=10) for _ in range(4)]
        assert Missed(TRADES, "binance", 5, 3, 4) in found[:3]
        assert [one.seq for one in found if isinstance(one, Trade)] == [1, 2, 7]


async def test_each_item_goes_to_one_of_several_callers(client: Redis, valkey: str) -> None:
    """None is lost, also where callers give up."""
    seen: list[AnyEvent] = []
    async with tape_and_publisher(valkey) as (tape, publisher):
        tape.follow("trade", BTC, start=Start.BEGINNING)

        async def worker() -> None:
            while len(seen) < 500:
                event = await tape.get(timeout_s=0.01)
                assert not isinstance(event, Missed)
                if event is not None:
                    seen.append(event)

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(worker())
            for first in range(1, 500, 50):
                await write(publisher, first, first + 49)
        assert sorted(numbers(seen)) == whole(500)


async def test_what_is_not_followed_any_more_does_not_come(client: Redis, valkey: str) -> None:
    """Other streams and other venues of the stream do."""
    async with taping(valkey) as tape:

        async def add(instrument: str, venue: str, seq: int) -> None:
            await client.xadd(KEYS.stream("trade", instrument), {"d": stamped(trade(seq, instrument, venue), 5, seq)})

        for venue in ("binance", "kraken"):
            await add(BTC, venue, 1)
            tape.follow("trade", BTC, venue=venue, start=Start.BEGINNING)
        tape.follow("trade", ETH)
        assert {await _venue(tape.get(timeout_s=10)) for _ in range(2)} == {"binance", "kraken"}
        tape.unfollow("trade", BTC, venue="binance")
        await add(BTC, "binance", 2)
        await add(BTC, "kraken", 2)
        assert await _venue(tape.get(timeout_s=10)) == "kraken"
        tape.unfollow("trade", BTC, venue="kraken")
        tape.unfollow("trade", BTC, venue="kraken")
        await add(BTC, "kraken", 3)
        assert await tape.get(timeout_s=0.05) is None
        tape.follow("trade", BTC, start=Start.BEGINNING)
        assert sorted([await _venue(tape.get(timeout_s=10)) for _ in range(5)]) == ["binance"] * 2 + ["kraken"] * 3


async def _venue(got: object) -> str:
    event = await got  # type: ignore[misc]
    assert isinstance(event, Trade)
    return event.venue


async def test_a_caller_that_waits_gets_none_when_the_tape_is_closed(client: Redis, valkey: str) -> None:
    """It does not wait for ever."""
    async with taping(valkey) as tape:
        tape.follow("trade", BTC)
        waiting = asyncio.create_task(tape.get())
        await asyncio.sleep(0)
    assert await asyncio.wait_for(waiting, 10) is None


async def test_get_says_why_nothing_can_be_read(client: Redis, valkey: str) -> None:
    """A task reads; its error comes where events are waited for."""
    async with taping(valkey, username="nobody", password="wrong") as tape:
        tape.follow("trade", BTC)
        for _ in range(2):
            with pytest.raises(BusError, match="cannot be used"):
                await tape.get(timeout_s=10)


async def test_collect_returns_so_many_events_or_those_within_a_time(client: Redis, valkey: str) -> None:
    """The subscription stays open, and continues behind them."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        trades = tape.trades(BTC)
        await begun(trades)
        await write(publisher, 1, 30)
        assert numbers([*await tape.collect(trades, n=10)]) == whole(10)
        found = await tape.collect(trades, n=1_000, seconds=0.2)
        while len(found) < 20:
            found += await tape.collect(trades, n=1_000, seconds=0.2)
        assert numbers([*found]) == list(range(11, 31))
        with pytest.raises(ValueError, match="at least 1"):
            await tape.collect(trades, n=0)
        await trades.aclose()
        assert await tape.collect(trades) == []
