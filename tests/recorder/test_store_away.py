"""A store that cannot be used for a while: nothing is lost as long as the streams keep it, nothing is recorded twice."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import structlog
from redis.asyncio import Redis

from crosstape.settings import RunSettings
from tests.bus.tape import BTC, KEYS, publishing, quote, trade, whole
from tests.recorder.memory_store import MemoryStore
from tests.recorder.recording import recorded, recording, seqs, settings_of
from tests.waiting import wait_until


async def test_a_store_that_comes_back_gets_all(client: Redis, valkey: str) -> None:
    """While it is away that is seen from outside, and logged once."""
    store, settings = MemoryStore(), settings_of(valkey)
    with structlog.testing.capture_logs() as logs:
        async with publishing(settings.bus) as publisher, recording(settings, store) as recorder:
            publisher.publish(trade(1))
            await recorded(store, "trade", 1)
            assert recorder.ready()[0]
            store.is_away = True
            for number in range(2, 101):
                publisher.publish(trade(number))
            await wait_until(lambda: not recorder.ready()[0], what="it is seen")
            asked = store.asked
            await wait_until(lambda: store.asked > asked + 2, what="it is tried again")
            assert recorder.ready()[1]["store"] is False
            store.is_away = False
            await recorded(store, "trade", 100)
            await wait_until(lambda: recorder.ready()[0], what="it is seen")

    assert seqs(store.disk.events("trade")) == whole(100)
    events = [entry["event"] for entry in logs]
    assert (events.count("recorder.store_unavailable"), events.count("recorder.store_available")) == (1, 1)


async def test_it_waits_for_a_store_at_the_start(client: Redis, valkey: str) -> None:
    """A database may be started after it."""
    store, settings = MemoryStore(), settings_of(valkey)
    store.is_away = True
    async with publishing(settings.bus) as publisher, recording(settings, store) as recorder:
        publisher.publish(trade(1))
        await wait_until(lambda: recorder.ready()[1]["store"] is False, what="it has tried")
        assert not recorder.ready()[0]
        store.is_away = False
        await recorded(store, "trade", 1)


@pytest.mark.parametrize("lost", [1, 3])
async def test_a_lost_answer_makes_nothing_twice(client: Redis, valkey: str, lost: int) -> None:
    """The commit was made, and the recorder was told that it failed: the marks show it."""
    store, settings = MemoryStore(), settings_of(valkey, kinds=("trade",))
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for number in range(1, 301):
            if number % 100 == 1:
                store.loses_answers = lost
            publisher.publish(trade(number))
            if not number % 100:
                await recorded(store, "trade", number)

    assert seqs(store.disk.events("trade")) == whole(300)


async def test_a_slow_store_holds_back_reading(client: Redis, valkey: str) -> None:
    """What waits in memory has a bound: the rows being committed, as many behind them, and one read. The others wait on the tape."""
    store, settings = MemoryStore(), settings_of(valkey, kinds=("trade",), commit_rows=100)
    store.open.clear()
    async with publishing(settings.bus) as publisher:
        for number in range(1, 10_001):
            publisher.publish(trade(number))
        assert await publisher.drain(10)
        async with recording(settings, store) as recorder:
            await wait_until(lambda: store.calls == 1 and recorder.ready()[1].get("lag_s"), what="it is held back")
            assert recorder.ready()[1]["uncommitted_s"] > 0
            await asyncio.sleep(0)
            store.open.set()
            await recorded(store, "trade", 10_000)

    assert seqs(store.disk.events("trade")) == whole(10_000)
    assert store.largest <= 100 + 2_048
    assert KEYS.stream("trade", BTC) in store.disk.position("trade").marks


async def test_a_kind_that_cannot_be_stored_holds_back_no_other(client: Redis, valkey: str) -> None:
    """It is said which one, again and again tried, and recorded once it can be. Meanwhile no more of it is read than without."""
    store, settings = MemoryStore(), settings_of(valkey, kinds=("trade", "quote"), commit_rows=100)
    store.refuses = {"trade"}
    with structlog.testing.capture_logs() as logs:
        async with publishing(settings.bus) as publisher, recording(settings, store) as recorder:
            for number in range(1, 5_001):
                publisher.publish(trade(number))
            assert await publisher.drain(10)
            await wait_until(lambda: not recorder.ready()[0], what="it is seen")
            for number in range(1, 501):
                publisher.publish(quote(number))
            await recorded(store, "quote", 500)
            assert not store.disk.events("trade")
            assert not recorder.ready()[0]
            store.refuses = set()
            await recorded(store, "trade", 5_000)
            await wait_until(lambda: recorder.ready()[0], what="it is seen")

    assert seqs(store.disk.events("trade")) == whole(5_000)
    assert seqs(store.disk.events("quote")) == whole(500)
    assert store.largest <= 100 + 2_048
    unavailable = [entry for entry in logs if entry["event"] == "recorder.store_unavailable"]
    assert [(entry["kind"], entry["reason"]) for entry in unavailable] == [("trade", "memory: a row of trade cannot be stored")]


async def test_a_stop_ends_though_the_store_is_away(client: Redis, valkey: str) -> None:
    """After `drain_s`. The next start reads again what was not committed."""
    store, settings = MemoryStore(), msgspec.structs.replace(settings_of(valkey), run=RunSettings(drain_s=0.3))
    async with publishing(settings.bus) as publisher:
        async with recording(settings, store) as recorder:
            await wait_until(lambda: recorder.ready()[0], what="it works")
            store.is_away = True
            publisher.publish(trade(1))
            await wait_until(lambda: not recorder.ready()[0], what="it is seen")
        assert not store.disk.events("trade")
        store.is_away = False
        async with recording(settings, store):
            await recorded(store, "trade", 1)
