"""A recorder with each store: what was on the tape comes back from the history, byte for byte."""

from __future__ import annotations

from redis.asyncio import Redis

from crosstape.history.arrow import events_of
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_schemas import VENUE_WIDE, encode
from tests.bus.tape import ETH, KEYS, TRADES, candle, on_tape, publishing, quote, status, trade
from tests.history.stores import StoreFactory
from tests.recorder.recording import recording, settings_of
from tests.waiting import wait_until


async def events(store: Store, kind: str, instrument: str) -> list[bytes]:
    """All that the history has of one instrument."""
    found: list[bytes] = []
    async for table in store.read(Query(kind=kind, instrument=instrument)):
        found += events_of(table)
    return found


async def count(store: Store, kind: str) -> int:
    """How many rows of a kind the history has."""
    return sum([len(table) async for table in store.read(Query(kind=kind))])


async def test_each_store_gives_back_what_was_on_the_tape(client: Redis, valkey: str, store_factory: StoreFactory) -> None:
    """Over several starts of the recorder, with events of several kinds; `check` finds nothing wrong."""
    store, settings = await store_factory(), settings_of(valkey)
    async with publishing(settings.bus) as publisher:
        for start in range(3):
            async with recording(settings, store):
                for number in range(1, 101):
                    publisher.publish(trade(100 * start + number))
                    publisher.publish(trade(100 * start + number, ETH))
                publisher.publish(quote(start))
                publisher.publish(candle(start, closed=True))
                publisher.publish(candle(start + 1))
                publisher.publish(status("*", instrument=VENUE_WIDE))
                assert await publisher.drain(10)

                async def complete(start: int = start) -> bool:
                    return await count(store, "trade") == 200 * (start + 1) and await count(store, "status") == start + 1

                await wait_until(complete, what="all is recorded", timeout_s=60)

    assert await events(store, "trade", "BTC-USDT") == [encode(event) for event in await on_tape(client, TRADES)]
    assert await events(store, "trade", ETH) == [encode(event) for event in await on_tape(client, KEYS.stream("trade", ETH))]
    assert await events(store, "status", VENUE_WIDE) == [encode(event) for event in await on_tape(client, KEYS.venue("binance"))]
    assert await count(store, "candle") == 3
    assert await count(store, "gap") == 0
    checked = await store.check()
    assert not checked.findings
    assert [tape.id.encode() for tape in await store.tapes()] == [await client.hget(KEYS.identity(), "id")]
