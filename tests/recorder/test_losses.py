"""What left the tape before it was read is in the history as a gap, which comes before the events behind it."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from crosstape.history.batch import Source
from crosstape_schemas import VENUE_WIDE, Gap, GapCause
from tests.bus.tape import BTC, KEYS, TRADES, ids, publishing, status, trade, whole
from tests.recorder.memory_store import MemoryStore
from tests.recorder.recording import recorded, recording, seqs, settings_of

OURS = Source.RECORDER.value


def own_gaps(store: MemoryStore) -> list[Gap]:
    """The gaps that the recorder itself has reported."""
    found = []
    for commit in store.disk.commits.get("gap", []):
        for event, source in zip(commit.batch.data, commit.batch.columns["source"], strict=True):
            if source == OURS:
                found.append(event)
    events = [event for event in store.disk.events("gap") if isinstance(event, Gap)]
    return [event for event in events if event.cause is GapCause.BUS and len(found)]


async def trimmed(client: Redis, valkey: str, store: MemoryStore) -> None:
    """Record trades 1 … 10, and then, while no recorder runs, 11 … 50 come and all but the last ten of them are trimmed."""
    settings = settings_of(valkey)
    async with publishing(settings.bus) as publisher:
        async with recording(settings, store):
            for number in range(1, 11):
                publisher.publish(trade(number))
            await recorded(store, "trade", 10)
        for number in range(11, 51):
            publisher.publish(trade(number))
        assert await publisher.drain(10)
    await client.xtrim(TRADES, maxlen=10, approximate=False)


async def test_what_was_trimmed_unread_is_a_gap(client: Redis, valkey: str) -> None:
    """It says which events are missing: of which venue, from which number on, how many, between which times."""
    store = MemoryStore()
    await trimmed(client, valkey, store)
    async with recording(settings_of(valkey), store):
        await recorded(store, "trade", 20)

    assert seqs(store.disk.events("trade")) == [*whole(10), *range(41, 51)]
    (gap,) = own_gaps(store)
    assert (gap.venue, gap.instrument, gap.kind, gap.missed, gap.seq) == ("binance", BTC, "trade", 30, 11)
    assert gap.epoch == store.disk.events("trade")[0].epoch
    assert gap.from_ts <= gap.to_ts == 1_041
    columns = store.disk.commits["gap"][-1].batch.columns
    next_id = (await ids(client))[0]
    assert (columns["source"], f"{columns['id_ms'][0]}-{columns['id_n'][0]}") == ([OURS], next_id)


async def test_a_gap_is_committed_before_what_is_behind_it(client: Redis, valkey: str) -> None:
    """Were it the other way round, a crash between both would leave a hole that nobody is told of."""
    store = MemoryStore()
    await trimmed(client, valkey, store)
    seen: list[tuple[int, int]] = []
    append = store.append

    async def spied(batch, marks, *, after):  # type: ignore[no-untyped-def]
        if batch.kind == "trade":
            seen.append((len(own_gaps(store)), len(batch)))
        return await append(batch, marks, after=after)

    store.append = spied  # type: ignore[method-assign]
    async with recording(settings_of(valkey), store):
        await recorded(store, "trade", 20)

    assert seen[0] == (1, 10)


async def test_a_crash_between_gap_and_events_makes_no_second_gap(client: Redis, valkey: str) -> None:
    """It is found again at the next start, and is in the history already."""
    store = MemoryStore()
    await trimmed(client, valkey, store)
    before = len(store.disk.commits["trade"])
    for _ in range(3):
        async with recording(settings_of(valkey), store):
            await recorded(store, "trade", 20)
        del store.disk.commits["trade"][before:]
    async with recording(settings_of(valkey), store):
        await recorded(store, "trade", 20)

    assert len(own_gaps(store)) == 1


async def test_a_lost_answer_makes_no_second_gap(client: Redis, valkey: str) -> None:
    """The gap was committed, and the recorder was told that it was not."""
    store = MemoryStore()
    await trimmed(client, valkey, store)
    store.loses_answers = 1
    async with recording(settings_of(valkey), store):
        await recorded(store, "trade", 20)

    assert len(own_gaps(store)) == 1
    assert not store.loses_answers


async def test_a_stream_trimmed_to_its_end_is_a_gap_too(client: Redis, valkey: str) -> None:
    """How many events are missing is not known then."""
    store = MemoryStore()
    await trimmed(client, valkey, store)
    await client.xtrim(TRADES, maxlen=0, approximate=False)
    async with recording(settings_of(valkey), store):
        await recorded(store, "gap", 1)

    (gap,) = own_gaps(store)
    assert (gap.venue, gap.kind, gap.missed, gap.seq, gap.epoch) == ("binance", "trade", None, 0, 0)


async def test_a_history_begins_with_what_is_there(client: Redis, valkey: str) -> None:
    """What was trimmed before there was a recorder is not missing from its history."""
    store, settings = MemoryStore(), settings_of(valkey)
    async with publishing(settings.bus) as publisher:
        for number in range(1, 51):
            publisher.publish(trade(number))
        assert await publisher.drain(10)
        await client.xtrim(TRADES, maxlen=10, approximate=False)
        async with recording(settings, store):
            await recorded(store, "trade", 10)

    assert not store.disk.events("gap")


async def test_a_new_stream_that_was_trimmed_while_no_recorder_ran_is_a_gap(client: Redis, valkey: str) -> None:
    """Its numbering began when there was a history."""
    store, settings = MemoryStore(), settings_of(valkey)
    async with publishing(settings.bus) as publisher, recording(settings, store):
        publisher.publish(trade(1, "ETH-USDT"))
        await recorded(store, "trade", 1)
    async with publishing(settings.bus) as publisher:
        for number in range(1, 51):
            publisher.publish(trade(number))
        assert await publisher.drain(10)
    await client.xtrim(TRADES, maxlen=10, approximate=False)
    async with recording(settings, store):
        await recorded(store, "trade", 11)

    (gap,) = own_gaps(store)
    assert (gap.seq, gap.missed) == (1, 40)


@pytest.mark.parametrize("kept", [1, 0])
async def test_a_gap_of_a_venues_own_stream_is_one_of_its_statuses(client: Redis, valkey: str, kept: int) -> None:
    """Not of every feed of the venue."""
    store, settings = MemoryStore(), settings_of(valkey)
    stream = KEYS.venue("binance")
    async with publishing(settings.bus) as publisher:
        async with recording(settings, store):
            publisher.publish(status("*", instrument=VENUE_WIDE))
            await recorded(store, "status", 1)
        for _ in range(5):
            publisher.publish(status("*", instrument=VENUE_WIDE))
        assert await publisher.drain(10)
        await client.xtrim(stream, maxlen=kept, approximate=False)
        async with recording(settings, store):
            await recorded(store, "gap", 1)

    (gap,) = own_gaps(store)
    assert (gap.venue, gap.instrument, gap.kind, gap.missed) == ("binance", VENUE_WIDE, "status", 4 if kept else None)


async def test_a_server_that_was_emptied_while_no_recorder_ran(client: Redis, valkey: str) -> None:
    """Its producers write the last seconds again, under other ids. The numbers show that nothing is missing, and what is recorded."""
    store, settings = MemoryStore(), settings_of(valkey)
    async with publishing(settings.bus) as publisher:
        async with recording(settings, store):
            for number in range(1, 11):
                publisher.publish(trade(number))
            await recorded(store, "trade", 10)
        await client.flushall()
        for number in range(11, 21):
            publisher.publish(trade(number))
        assert await publisher.drain(10)
        async with recording(settings, store):
            await recorded(store, "trade", 20)

    assert seqs(store.disk.events("trade")) == whole(20)
    assert not store.disk.events("gap")


async def test_a_venue_that_is_silent_since_may_have_lost_something(client: Redis, valkey: str) -> None:
    """Of two venues on one stream, one goes on without a gap; of the other nothing came since, and it is not known whether it had more."""
    store, settings = MemoryStore(), settings_of(valkey)
    async with publishing(settings.bus) as publisher, publishing(settings.bus, producer="connector.kraken") as other:
        async with recording(settings, store):
            publisher.publish(trade(1))
            other.publish(trade(1, venue="kraken"))
            await recorded(store, "trade", 2)
        other.publish(trade(2, venue="kraken"))
        assert await other.drain(10)
        publisher.publish(trade(2))
        assert await publisher.drain(10)
        await client.xtrim(TRADES, maxlen=1, approximate=False)
        async with recording(settings, store):
            await recorded(store, "trade", 3)
            await recorded(store, "gap", 1)

    (gap,) = own_gaps(store)
    assert (gap.venue, gap.missed) == ("kraken", None)
