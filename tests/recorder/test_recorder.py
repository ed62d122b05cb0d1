"""What a recorder keeps of a tape: each event once, in the kind that it belongs to."""

from __future__ import annotations

from redis.asyncio import Redis

from crosstape.bus import Bookmark
from crosstape.bus.read.followed import parse_id
from crosstape_schemas import VENUE_WIDE, Gap, GapCause, Keys, encode
from tests.bus.tape import BTC, ETH, KEYS, TRADES, candle, fast, ids, on_tape, publishing, quote, status, trade, whole
from tests.recorder.memory_store import MemoryStore
from tests.recorder.recording import recorded, recording, seqs, settings_of
from tests.waiting import wait_until


def gap(instrument: str = BTC) -> Gap:
    """A gap as a connector reports it."""
    return Gap("binance", instrument, None, 7, "trade", 1, 2, 3, GapCause.DISCONNECT)


async def test_what_is_on_the_tape_and_what_comes_is_recorded(client: Redis, valkey: str) -> None:
    """From the oldest entry on, in order, byte for byte; also of an instrument that comes later."""
    store, settings = MemoryStore(), settings_of(valkey)
    async with publishing(settings.bus) as publisher:
        for number in range(1, 51):
            publisher.publish(trade(number))
        assert await publisher.drain(10)
        async with recording(settings, store):
            await recorded(store, "trade", 50)
            for number in range(51, 101):
                publisher.publish(trade(number))
                publisher.publish(trade(number, ETH))
            publisher.publish(quote(1))
            await recorded(store, "trade", 150)
            await recorded(store, "quote", 1)

    rows = [data for commit in store.disk.commits["trade"] for data in commit.batch.data]
    events = await on_tape(client, TRADES)
    assert [data for data in rows if b"BTC-USDT" in data] == [encode(event) for event in events]
    assert seqs([event for event in store.disk.events("trade") if event.instrument == ETH]) == whole(50)
    mark = store.disk.position("trade").marks[TRADES]
    assert mark == Bookmark((await ids(client))[-1], (("binance", events[0].epoch, 100),))


async def test_chosen_kinds_and_instruments_only(client: Redis, valkey: str) -> None:
    """Gaps come in any case."""
    store, settings = MemoryStore(), settings_of(valkey, kinds=("trade",), instruments=(BTC,))
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for event in (quote(1), trade(1, ETH), trade(1), gap(), gap(VENUE_WIDE), gap(ETH), status("trade")):
            publisher.publish(event)
        assert await publisher.drain(10)
        await recorded(store, "gap", 2)
        await recorded(store, "trade", 1)

    assert store.disk.commits.keys() == {"trade", "gap"}
    assert {event.instrument for event in store.disk.events("gap")} == {BTC, VENUE_WIDE}
    assert [event.instrument for event in store.disk.events("trade")] == [BTC]


async def test_a_venues_own_stream_feeds_two_kinds(client: Redis, valkey: str) -> None:
    """Statuses and gaps have one numbering on the tape; each goes to its kind, once, also after a start that found the kinds apart."""
    store, settings = MemoryStore(), settings_of(valkey)
    stream = KEYS.venue("binance")
    async with publishing(settings.bus) as publisher:
        async with recording(settings, store):
            for event in (status("*", instrument=VENUE_WIDE), gap(VENUE_WIDE), status("trade", instrument=VENUE_WIDE), gap(VENUE_WIDE)):
                publisher.publish(event)
                assert await publisher.drain(10)
            await recorded(store, "gap", 2)
            await recorded(store, "status", 2)
        store.disk.commits["status"].clear()  # as if a crash had come before the commit
        async with recording(settings, store):
            publisher.publish(gap(VENUE_WIDE))
            await recorded(store, "gap", 3)
            await recorded(store, "status", 2)

    assert seqs(store.disk.events("status")) == [1, 3]
    assert seqs(store.disk.events("gap")) == [2, 4, 5]
    assert stream in store.disk.position("gap").marks


async def test_open_candles_are_left_out_and_the_mark_passes_them(client: Redis, valkey: str) -> None:
    """A start does not read them again."""
    store, settings = MemoryStore(), settings_of(valkey)
    stream = KEYS.stream("candle:1m", BTC)
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for close in (1, 2, 3):
            publisher.publish(candle(1, close))
            assert await publisher.drain(10)
        publisher.publish(candle(1, 4, closed=True))
        (closed,) = await recorded(store, "candle", 1)
        publisher.publish(candle(2, 5))
        assert await publisher.drain(10)
        last = (await ids(client, stream))[-1]
        await wait_until(lambda: store.disk.position("candle").marks[stream].id == last, what="the mark of an open candle")

    assert seqs([closed]) == [4]
    assert len(store.disk.events("candle")) == 1


async def test_every_change_of_a_candle_is_kept_for_audits(client: Redis, valkey: str) -> None:
    """With keep = "events"."""
    store, settings = MemoryStore(), settings_of(valkey, keep="events")
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for close in (1, 2, 3):
            publisher.publish(candle(1, close))
            assert await publisher.drain(10)
        await recorded(store, "candle", 3)


async def test_a_start_goes_on_where_the_store_ends(client: Redis, valkey: str) -> None:
    """Nothing twice, nothing missing, and nothing is said to be missing."""
    store, settings = MemoryStore(), settings_of(valkey)
    async with publishing(settings.bus) as publisher:
        for start in range(5):
            async with recording(settings, store):
                for number in range(100):
                    publisher.publish(trade(100 * start + number + 1))
                await recorded(store, "trade", 100 * start + 1)
        assert await publisher.drain(10)
        async with recording(settings, store):
            await recorded(store, "trade", 500)

    assert seqs(store.disk.events("trade")) == whole(500)
    assert not store.disk.events("gap")
    ids = [parse_id(commit.marks[TRADES].id.encode()) for commit in store.disk.commits["trade"]]
    assert ids == sorted(set(ids))


async def test_what_was_read_is_committed_at_the_end(client: Redis, valkey: str) -> None:
    """Long before it is due."""
    store, settings = MemoryStore(), settings_of(valkey, commit_s=3600.0)
    async with publishing(settings.bus) as publisher:
        async with recording(settings, store) as recorder:
            for number in range(1, 101):
                publisher.publish(trade(number))
            assert await publisher.drain(10)
            await wait_until(lambda: recorder.ready()[1].get("uncommitted_s"), what="something was read")
            assert not store.disk.commits
        assert store.disk.commits

    assert seqs(store.disk.events("trade")) == whole(len(store.disk.events("trade")))


async def test_many_rows_are_committed_before_the_time(client: Redis, valkey: str) -> None:
    """After `commit_rows`; a commit has those and the rest of one read."""
    store, settings = MemoryStore(), settings_of(valkey, commit_s=3600.0, commit_rows=100)
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for number in range(1, 1_001):
            publisher.publish(trade(number))
        await recorded(store, "trade", 900)


async def test_what_does_not_belong_to_a_stream_is_left_out(client: Redis, valkey: str) -> None:
    """Anybody may write to the bus. It ends nothing, and the events around it are recorded."""
    store, settings = MemoryStore(), settings_of(valkey, kinds=("trade",))
    async with publishing(settings.bus) as publisher, recording(settings, store):
        publisher.publish(trade(1))
        await recorded(store, "trade", 1)
        await client.xadd(TRADES, {"d": encode(quote(1))})
        await client.xadd(TRADES, {"d": b"{}"})
        await client.xadd(TRADES, {"x": b"y"})
        publisher.publish(trade(2))
        for event in (status("*", instrument=VENUE_WIDE), gap(VENUE_WIDE)):
            publisher.publish(event)
        await recorded(store, "trade", 2)
        await recorded(store, "gap", 1)

    assert seqs(store.disk.events("trade")) == [1, 2]
    assert [type(event) for event in store.disk.events("gap")] == [Gap]


async def test_a_tape_in_partitions(client: Redis, valkey: str) -> None:
    """The streams of each partition, and the venues' own, which are in the first."""
    keys = Keys(partitions=4)
    bus = fast(valkey, partitions=4)
    store, settings = MemoryStore(), settings_of(valkey, bus=bus)
    names = [f"{asset}-USDT" for asset in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOT")]
    async with publishing(bus, keys=keys) as publisher, recording(settings, store):
        for name in names:
            publisher.publish(trade(1, name))
        publisher.publish(status("*", instrument=VENUE_WIDE))
        await recorded(store, "trade", len(names))
        await recorded(store, "status", 1)

    assert len({keys.partition(name) for name in names}) > 1
    assert store.disk.position("trade").marks.keys() == {keys.stream("trade", name) for name in names}


async def test_more_streams_than_one_connection_reads(client: Redis, valkey: str) -> None:
    """A recorder reads the whole tape: here of 1,300 streams, over three connections."""
    store, settings = MemoryStore(), settings_of(valkey)
    names = [f"A{number}-USDT" for number in range(1_300)]
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for number in (1, 2):
            publisher.publish_all([trade(number, name) for name in names])
            await recorded(store, "trade", number * len(names))

    events = store.disk.events("trade")
    assert sorted((event.instrument, event.seq) for event in events) == sorted((name, seq) for name in names for seq in (1, 2))
