"""Two recorders at once, and others that write to the same store: each event is kept once."""

from __future__ import annotations

import structlog
from redis.asyncio import Redis

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.history.batch import Batch
from crosstape.history.columns import BatchBuilder
from crosstape.history.text_events import decode
from crosstape_schemas import encode
from tests.bus.tape import TRADES, ids, on_tape, publishing, trade, whole
from tests.recorder.memory_store import Commit, Disk, MemoryStore
from tests.recorder.recording import recorded, recording, seqs, settings_of


def empty(kind: str) -> Batch:
    """No rows: what a backfill or another program commits leaves the marks as they are."""
    return BatchBuilder(kind).build()


async def test_two_recorders_keep_each_event_once(client: Redis, valkey: str) -> None:
    """The later one drops what it has, and reads again from the marks of the other. Each says once that there is another."""
    disk = Disk()
    first, second, settings = MemoryStore(disk), MemoryStore(disk), settings_of(valkey, commit_s=0.02)
    with structlog.testing.capture_logs() as logs:
        async with publishing(settings.bus) as publisher, recording(settings, first):
            async with recording(settings, second):
                for number in range(1, 1_001):
                    publisher.publish(trade(number))
                    if not number % 100:  # the one or the other can use the store, and both read
                        await recorded(first, "trade", number)
                        first.is_away = not first.is_away
                        second.is_away = not first.is_away
                first.is_away = second.is_away = False
            publisher.publish(trade(1_001))
            await recorded(first, "trade", 1_001)

    assert seqs(disk.events("trade")) == whole(1_001)
    assert first.largest
    assert second.largest
    assert not disk.events("gap")
    assert [entry["event"] for entry in logs].count("recorder.another") <= 2


async def test_who_comes_later_reads_again_behind_the_other(client: Redis, valkey: str) -> None:
    """The other recorder has committed a part of the same events, and more than once. It is said once."""
    store, settings = MemoryStore(), settings_of(valkey, commit_s=0.5)
    with structlog.testing.capture_logs() as logs:
        async with publishing(settings.bus) as publisher:
            for number in range(1, 101):
                publisher.publish(trade(number))
            assert await publisher.drain(10)
            places, events = await ids(client), await on_tape(client)
            for first, last in ((0, 30), (30, 60)):
                builder = BatchBuilder("trade")
                for place, event in zip(places[first:last], events[first:last], strict=True):
                    ms, _, n = place.partition("-")
                    data = encode(event)
                    builder.add(int(ms), int(n), decode(data), data)
                mark = Bookmark(places[last - 1], (("binance", events[0].epoch, last),))
                store.before_append.append([("trade", Commit(builder.build(), {TRADES: mark}))])
            async with recording(settings, store):
                await recorded(store, "trade", 100)
                for number in range(101, 201):
                    publisher.publish(trade(number))
                await recorded(store, "trade", 200)

    assert seqs(store.disk.events("trade")) == whole(200)
    assert [entry["event"] for entry in logs].count("recorder.another") == 1
    assert not store.before_append


async def test_a_commit_of_a_program_that_records_nothing_is_no_race(client: Redis, valkey: str) -> None:
    """A backfill leaves the marks as they are: the same rows are committed under the next number."""
    store, settings = MemoryStore(), settings_of(valkey)
    with structlog.testing.capture_logs() as logs:
        async with publishing(settings.bus) as publisher, recording(settings, store):
            for number in range(1, 101):
                if not number % 10:
                    store.before_append.append([("trade", Commit(empty("trade"), {}))])
                    await recorded(store, "trade", number - 1)
                publisher.publish(trade(number))
            await recorded(store, "trade", 100)

    assert seqs(store.disk.events("trade")) == whole(100)
    assert "recorder.another" not in [entry["event"] for entry in logs]


async def test_a_lost_answer_behind_a_backfill_is_found_out(client: Redis, valkey: str) -> None:
    """The number alone does not say whose commit it is."""
    store, settings = MemoryStore(), settings_of(valkey)
    store.disk.tapes.append(Identity("0123456789abcdef"))
    await client.hset("tape:identity", "id", "0123456789abcdef")
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for number in range(1, 11):
            store.loses_answers = 1
            publisher.publish(trade(number))
            await recorded(store, "trade", number)
            store.disk.commits["trade"].append(Commit(empty("trade"), {}))

    assert seqs(store.disk.events("trade")) == whole(10)
