"""What others have put on the bus: the recorder leaves it out, says so, and records all else."""

from __future__ import annotations

import msgspec
from redis.asyncio import Redis

from crosstape_schemas import Keys, encode
from tests.bus.tape import BTC, KEYS, fast, publishing, trade, whole
from tests.recorder.memory_store import MemoryStore
from tests.recorder.recording import recorded, recording, seqs, settings_of


async def test_a_key_that_holds_something_else_stops_nothing(client: Redis, valkey: str) -> None:
    """It has the name of a stream, and is in the registry."""
    store, settings = MemoryStore(), settings_of(valkey)
    other = KEYS.stream("trade", "ETH-USDT")
    await client.set(other, "no stream")
    await client.sadd(KEYS.registry(0), other, "tape:trade", b"\xff\xfe", "x" * 5_000)
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for number in range(1, 101):
            publisher.publish(trade(number))
        await recorded(store, "trade", 100)

    assert seqs(store.disk.events("trade")) == whole(100)


async def test_entries_with_ids_of_the_far_future_do_not_end_a_stream(client: Redis, valkey: str) -> None:
    """Whoever writes them decides the ids of all that follow; what cannot be stored is left out."""
    store, settings = MemoryStore(), settings_of(valkey)
    stream = KEYS.stream("trade", BTC)
    async with publishing(settings.bus) as publisher, recording(settings, store):
        publisher.publish(trade(1))
        await recorded(store, "trade", 1)
        await client.xadd(stream, {"e": b"no event"}, id=f"{2**45}-0")
        await client.xadd(stream, {"other": encode(trade(7))}, id=f"{2**45}-1")
        for number in range(2, 101):
            publisher.publish(trade(number))
        await recorded(store, "trade", 100)

    assert seqs(store.disk.events("trade")) == whole(100)
    (mark,) = [mark for name, mark in store.disk.position("trade").marks.items() if name == stream]
    assert int(mark.id.partition("-")[0]) >= 2**45


async def test_thousands_of_streams_on_three_partitions(client: Redis, valkey: str) -> None:
    """Each has its mark."""
    store, keys = MemoryStore(), Keys(partitions=3)
    settings = settings_of(valkey, bus=msgspec.structs.replace(fast(valkey), partitions=3))
    names = [f"COIN{number}-USDT" for number in range(2_000)]
    async with publishing(settings.bus, keys=keys) as publisher, recording(settings, store) as recorder:
        for number, name in enumerate(names):
            publisher.publish(trade(number, name))
        await recorded(store, "trade", len(names), timeout_s=60)
        assert recorder.ready()[1]["streams"] >= len(names)

    assert {event.instrument for event in store.disk.events("trade")} == set(names)
    assert len(store.disk.events("trade")) == len(names)
