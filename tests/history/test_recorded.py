"""A recorder with each store: what was on the tape comes back from the history, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history.arrow import events_of
from crosstape.history.batch import Batch
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape.settings import RunSettings
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


async def test_each_store_takes_the_gaps_of_a_recorder(client: Redis, valkey: str, store_factory: StoreFactory) -> None:
    """What was trimmed unread is a gap there, once, though the recorder finds it again after a crash. `check` takes it for the reason."""
    store, settings = await store_factory(), settings_of(valkey, kinds=("trade",))
    hasty = msgspec.structs.replace(settings, run=RunSettings(drain_s=0.1))
    async with publishing(settings.bus) as publisher:

        async def more(first: int, last: int) -> None:
            for number in range(first, last + 1):
                publisher.publish(trade(number))
            assert await publisher.drain(10)

        await more(1, 10)
        async with recording(settings, store):
            await wait_until(lambda: has(store, "trade", 10), what="they are recorded")
        await more(11, 50)
        await client.xtrim(TRADES, maxlen=10, approximate=False)
        async with recording(hasty, cast("Store", Unfinished(store))):
            await wait_until(lambda: has(store, "gap", 1), what="the gap is recorded")
        assert await count(store, "trade") == 10
        async with recording(settings, store):
            await wait_until(lambda: has(store, "trade", 20), what="they are recorded")

    tables = [table async for table in store.read(Query(kind="gap"))]
    (row,) = [row for table in tables for row in table.to_pylist()]
    assert (row["source"], row["kind"], row["venue"], row["seq"], row["missed"]) == ("recorder", "trade", "binance", 11, 30)
    assert not (await store.check()).findings


async def has(store: Store, kind: str, rows: int) -> bool:
    """Whether the history has this many rows of a kind."""
    return await count(store, kind) == rows


class Unfinished:
    """A store that takes gaps, and fails before it takes the trades behind them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, batch: Batch, marks: Mapping[str, Bookmark], *, after: int) -> int | None:
        """See `Store`."""
        if batch.kind != "gap":
            raise HistoryError("it is full")
        return await self._store.append(batch, marks, after=after)
