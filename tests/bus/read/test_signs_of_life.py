"""A reader says whether a last value is the present one: a dead producer is not taken for a quiet market."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape import Life, liveness
from crosstape.bus import Publisher, Reader, Start, connect
from crosstape.errors import BusError
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, FeedState, Status
from tests.bus.read.test_liveness import cbbo
from tests.bus.tape import BTC, KEYS, QUOTES, fast, publishing, quote
from tests.proxy import proxy
from tests.waiting import wait_until

ALIVE_S = 0.6
CBBO = KEYS.stream("cbbo", BTC)


@pytest.fixture(autouse=True)
def a_short_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status counts for this long."""
    monkeypatch.setattr(liveness.SignsOfLife.__init__, "__defaults__", (ALIVE_S,))


def sign(venue: str, state: FeedState = FeedState.LIVE, kind: str = VENUE_WIDE) -> Status:
    """A sign of life of now."""
    return Status(venue, VENUE_WIDE, None, time.time_ns(), kind, state)


@asynccontextmanager
async def living(publisher: Publisher, venue: str, kind: str = VENUE_WIDE) -> AsyncIterator[None]:
    """Publishes signs of life until the end of the block, and no `down` then, like a killed producer."""

    async def go_on() -> None:
        while True:
            publisher.publish(sign(venue, kind=kind))
            await asyncio.sleep(ALIVE_S / 6)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def reading(url: str, *streams: str, **options: Any) -> AsyncIterator[Reader]:
    """Opens a reader that follows signs of life."""
    async with (
        connect(fast(url)) as own,
        Reader(own, KEYS, streams=streams, start=Start.LAST_THEN_NOW, signs_of_life=True, backoff_s=0.05, **options) as reader,
    ):
        yield reader


async def test_a_quote_of_a_dead_connector_is_not_current(client: Redis, valkey: str) -> None:
    """The quote of a quiet market would look the same; only the signs of life differ. Their entries are not returned."""
    async with publishing(fast(valkey)) as publisher:
        async with living(publisher, "binance"):
            publisher.publish(quote(1))
            assert await publisher.drain(5)
            async with reading(valkey, QUOTES) as reader:
                (entry,) = await reader.read(timeout_s=5)
                assert reader.is_current(entry.event)
                assert not await reader.read(timeout_s=2 * ALIVE_S)
                assert reader.is_current(entry.event)
        async with reading(valkey, QUOTES) as reader:
            (entry,) = await reader.read(timeout_s=5)
            await wait_until(lambda: not reader.is_current(entry.event), what="it is silent")
            publisher.publish(sign("binance"))
            await wait_until(lambda: reader.is_current(entry.event), what="it is alive again")
            publisher.publish(sign("binance", FeedState.DOWN))
            started = time.monotonic()
            await wait_until(lambda: not reader.is_current(entry.event), what="it has ended in order")
            assert time.monotonic() - started < ALIVE_S


async def test_the_last_value_of_one_that_died_long_ago_is_never_current(client: Redis, valkey: str) -> None:
    """Read at the start, it is judged by the time that it bears."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([quote(1), msgspec.structs.replace(sign("binance"), received_ts=time.time_ns() - 10_000_000_000)])
        assert await publisher.drain(5)
    async with reading(valkey, QUOTES) as reader:
        (entry,) = await reader.read(timeout_s=5)
        assert not reader.is_current(entry.event)


@pytest.mark.parametrize("kind", [VENUE_WIDE, "share.3"])
async def test_a_consolidated_quote_is_current_while_its_aggregator_lives(client: Redis, valkey: str, kind: str) -> None:
    """Only its own aggregator counts, known by the epoch: the sign of life of the next one does not make the old quote current."""
    name = "aggregator.3"
    async with publishing(fast(valkey), producer=name) as publisher, living(publisher, CONSOLIDATED, kind):
        publisher.publish(cbbo())
        assert await publisher.drain(5)
        async with reading(valkey, CBBO) as reader:
            (entry,) = await reader.read(timeout_s=5)
            assert reader.is_current(entry.event)
            async with publishing(fast(valkey), producer="aggregator.4") as other, living(other, CONSOLIDATED, "share.4"):
                publisher.close()
    async with publishing(fast(valkey), producer=name) as after, living(after, CONSOLIDATED, kind), reading(valkey, CBBO) as reader:
        (entry,) = await reader.read(timeout_s=5)
        await wait_until(lambda: not reader.is_current(entry.event), what="the next one's sign of life does not count for it")


async def test_silence_is_told_though_no_event_comes(client: Redis, valkey: str) -> None:
    """Also to a caller that does not read just now; a venue that appears later is heard of, too."""
    told: list[Life] = []
    async with publishing(fast(valkey)) as publisher, reading(valkey, QUOTES, on_life=told.append) as reader:
        async with living(publisher, "binance"):
            assert not await reader.read(timeout_s=0.1)
            await wait_until(lambda: told, what="it is alive")
        await wait_until(lambda: len(told) == 2, what="it is silent")
    assert [(life.venue, life.kind, life.alive) for life in told] == [("binance", VENUE_WIDE, True), ("binance", VENUE_WIDE, False)]
    assert {life.epoch for life in told} == {publisher.epoch}


async def test_while_the_server_is_away_nothing_is_current(client: Redis, valkey: str) -> None:
    """And once it is back, what held on is: signs of life that an outage held back are no new ones."""
    told: list[bool] = []
    async with publishing(fast(valkey)) as publisher, proxy(valkey) as net, living(publisher, "binance"):
        publisher.publish(quote(1))
        assert await publisher.drain(5)
        async with reading(net.url, QUOTES, on_life=lambda life: told.append(life.alive)) as reader:
            (entry,) = await reader.read(timeout_s=5)
            assert reader.is_current(entry.event)
            net.refusing = True
            net.cut()
            await wait_until(lambda: not reader.is_current(entry.event), what="nothing is known")
            await wait_until(lambda: told == [True, False], what="that is told")
            net.refusing = False
            await wait_until(lambda: reader.is_current(entry.event), what="it is alive")
    assert told == [True, False, True]


async def test_a_caller_that_is_slow_does_not_make_a_producer_silent(client: Redis, valkey: str) -> None:
    """The signs of life are followed at a pace of their own."""
    async with publishing(fast(valkey)) as publisher, living(publisher, "binance"), reading(valkey, QUOTES) as reader:
        publisher.publish(quote(1))
        (entry,) = await reader.read(timeout_s=5)
        await wait_until(lambda: reader.is_current(entry.event), what="the venue, which is new, is found")
        started = time.monotonic()
        while time.monotonic() < started + 3 * ALIVE_S:  # it computes, and reads nothing
            await asyncio.sleep(0.01)
            assert reader.is_current(entry.event)


async def test_iterating_judges_too(client: Redis, valkey: str) -> None:
    """The reader knows which producers are alive from the first event on."""
    async with publishing(fast(valkey)) as publisher, living(publisher, "binance"):
        publisher.publish(quote(1))
        assert await publisher.drain(5)
        async with reading(valkey, QUOTES) as reader:
            async for entry in reader:
                assert reader.is_current(entry.event)
                break


async def test_streams_of_venues_are_given_out_to_who_asks_for_them(client: Redis, valkey: str) -> None:
    """The judging takes nothing away."""
    async with publishing(fast(valkey)) as publisher, living(publisher, "binance"), reading(valkey, KEYS.venue("binance")) as reader:
        entries = [await reader.read(timeout_s=5) for _ in range(3)]
        assert all(isinstance(entry.event, Status) for some in entries for entry in some)
        assert all(entries)


async def test_an_old_reader_is_as_it_was(client: Redis, valkey: str) -> None:
    """Without the option it reads nothing more, and `is_current` raises an error."""
    async with connect(fast(valkey)) as own, Reader(own, KEYS, streams=[QUOTES]) as reader:
        assert not await reader.read(timeout_s=0.05)
        with pytest.raises(BusError, match="signs_of_life=True"):
            reader.is_current(quote(1))


async def test_a_wrong_password_is_said_all_the_same(client: Redis, valkey: str) -> None:
    """Whichever connection is refused first raises the error."""
    async with (
        connect(fast(valkey, username="nobody", password="hunter2")) as own,
        Reader(own, KEYS, streams=[QUOTES], signs_of_life=True) as reader,
        asyncio.timeout(10),
    ):
        for _ in range(2):
            with pytest.raises(BusError, match=r"refuses bus\.username"):
                await reader.read(timeout_s=None)
