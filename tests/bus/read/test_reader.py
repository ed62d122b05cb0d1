"""Reading: each event once and in order, from wherever one starts, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.bus import Bookmark, Entry, Foreign, Missed, Position, Publisher, Reader, Start, connect
from crosstape.bus.read import poller
from crosstape.history import text_events
from crosstape.settings import MaxLen
from crosstape_schemas import VENUE_WIDE, Keys
from tests.bus.tape import (
    BTC,
    ETH,
    KEYS,
    QUOTES,
    TRADES,
    Gaps,
    fast,
    ids,
    numbers,
    publishing,
    quote,
    read_until,
    stamped,
    status,
    trade,
    whole,
)
from tests.engines import StartServer
from tests.proxy import Proxy, proxy
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("waits_for")


@contextlib.asynccontextmanager
async def reading(url: str, *streams: str, start: Position = Start.NOW, gaps: Gaps | None = None) -> AsyncIterator[Reader]:
    """A reader with a client of its own."""
    async with (
        connect(fast(url, timeout_s=0.5)) as own,
        Reader(own, KEYS, streams=streams, start=start, on_gap=gaps, backoff_s=0.05) as reader,
    ):
        yield reader


async def begun(reader: Reader, *streams: str) -> None:
    """The reader has found its place on these streams, or on all of its."""
    while not reader.cursors.keys() >= set(streams or reader.streams):
        assert not await reader.read(timeout_s=0.02)


async def write(publisher: Publisher, first: int, last: int) -> None:
    """Trades of these numbers, on the tape."""
    publisher.publish_all(trade(number) for number in range(first, last + 1))
    assert await publisher.drain(10)


async def test_from_now_on_nothing_is_lost_between_reads(client: Redis, valkey: str) -> None:
    """`now` is one place on the stream, found at the first read: what comes while nobody reads waits there."""
    async with publishing(fast(valkey)) as publisher, reading(valkey, TRADES) as reader:
        await write(publisher, 1, 3)
        await begun(reader)
        await write(publisher, 4, 5)
        await write(publisher, 6, 6)
        events = await read_until(reader, 3)
        assert not await reader.read(timeout_s=0)
    assert [event.seq for event in events] == [4, 5, 6]


async def test_from_now_on_a_stream_that_does_not_exist_yet(client: Redis, valkey: str) -> None:
    """The reader returns the first event of the stream."""
    async with publishing(fast(valkey)) as publisher, reading(valkey, TRADES) as reader:
        await begun(reader)
        await write(publisher, 1, 1)
        assert numbers([entry.event for entry in await reader.read(timeout_s=5)]) == [1]


async def test_from_a_mark_what_was_seen_before_is_not_given_out_again(client: Redis, valkey: str) -> None:
    """A server that lost data has it again under other ids. Events that are missing right after the mark are reported."""
    gaps = Gaps()
    for number in (1, 2, 3, 4, 7):
        await client.xadd(TRADES, {"d": stamped(trade(number), 5, number)}, id=f"{10 + number}-0")
    mark = Bookmark("11-0", (("binance", 5, 3),))
    async with reading(valkey, TRADES, start=mark, gaps=gaps) as reader:
        assert [event.seq for event in await read_until(reader, 2)] == [4, 7]
    assert [(missed.first_missing, missed.count) for missed in gaps.missed] == [(5, 2)]


async def test_from_the_beginning_and_from_a_stored_id(client: Redis, valkey: str) -> None:
    """`cursors` say where to go on: with what follows, neither again nor too late."""
    async with publishing(fast(valkey)) as publisher:
        await write(publisher, 1, 5000)
    async with reading(valkey, TRADES, start=Start.BEGINNING) as reader:
        first = await read_until(reader, 1)
        cursors = dict(reader.cursors)
    async with reading(valkey, TRADES, start=cursors[TRADES]) as reader:
        rest = await read_until(reader, 5000 - len(first))
    assert [event.seq for event in first + rest] == whole(5000)


@pytest.mark.parametrize("position", [[], None, 5, "", "latest", "1-", Bookmark("5-x")])
async def test_what_is_no_place_on_a_stream_is_refused_by_name(client: Redis, position: Any) -> None:
    """Read from anywhere, it would begin where nobody asked for. A mapping to something else passes for an iterable of streams."""
    with pytest.raises((TypeError, ValueError), match=TRADES):
        Reader(client, KEYS, streams={TRADES: position})


async def test_iterating_moves_the_cursor_one_event_at_a_time(client: Redis, valkey: str) -> None:
    """Events that were read but not returned do not count as read."""
    async with publishing(fast(valkey)) as publisher:
        await write(publisher, 1, 10)
    async with reading(valkey, TRADES, start=Start.BEGINNING) as reader:
        async for entry in reader:
            assert reader.cursors[TRADES] == entry.id
            if entry.event.seq == 4:
                break
        assert [entry.event.seq for entry in await reader.read(timeout_s=1)] == [5, 6, 7, 8, 9, 10]


async def test_the_last_values_come_first_and_then_exactly_what_follows(client: Redis, valkey: str) -> None:
    """One last value of each venue; nothing is lost or repeated after it, while producers write."""
    async with publishing(fast(valkey)) as one, publishing(fast(valkey), producer="connector.kraken") as two:
        one.publish_all(quote(number) for number in range(1, 11))
        two.publish(quote(1, venue="kraken"))
        assert await one.drain(5)
        assert await two.drain(5)

        async def go_on() -> None:
            for number in range(11, 2011):
                one.publish(quote(number))
                if not number % 20:
                    await asyncio.sleep(0)

        gaps = Gaps()
        async with asyncio.TaskGroup() as group, reading(valkey, QUOTES, start=Start.LAST_THEN_NOW, gaps=gaps) as reader:
            task = group.create_task(go_on())
            first = await reader.read(timeout_s=5)
            events = [entry.event for entry in first]
            await task
            while max(event.received_ts for event in events) < 3_010:
                events += [entry.event for entry in await reader.read(timeout_s=5)]

    binance = [event.seq for event in events if event.venue == "binance"]
    assert [event.seq for event in events if event.venue == "kraken"] == [1]
    assert binance == list(range(binance[0], 2011))
    assert not gaps.missed


async def test_the_last_value_of_a_venues_own_stream_is_its_own_status(client: Redis, valkey: str) -> None:
    """All venues share that hash. Of an instrument's statuses, one of each feed comes."""
    async with publishing(fast(valkey)) as one, publishing(fast(valkey), producer="connector.kraken") as two:
        one.publish_all([status(VENUE_WIDE, instrument=VENUE_WIDE), status("trade"), status("quote")])
        two.publish(status(VENUE_WIDE, instrument=VENUE_WIDE, venue="kraken"))
        assert await one.drain(5)
        assert await two.drain(5)
        streams = [KEYS.venue("binance"), KEYS.stream("status", BTC)]
        async with reading(valkey, *streams, start=Start.LAST_THEN_NOW) as reader:
            entries = await reader.read(timeout_s=5)
    assert sorted((entry.stream, entry.event.venue) for entry in entries) == [
        (KEYS.stream("status", BTC), "binance"),
        (KEYS.stream("status", BTC), "binance"),
        (KEYS.venue("binance"), "binance"),
    ]


@pytest.mark.parametrize("trouble", ["cut", "refuse", "swallow"])
async def test_a_lost_connection_loses_and_repeats_nothing(client: Redis, valkey: str, trouble: str) -> None:
    """However often; the reader waits it out and goes on from its ids."""

    async def break_it(net: Proxy) -> None:
        before = net.connections
        match trouble:
            case "cut":
                net.cut()
            case "refuse":
                net.refusing = True
                net.cut()
                await wait_until(lambda: net.connections > before, what="an attempt")
                net.refusing = False
            case _:
                net.swallowing = True
                await wait_until(lambda: net.connections > before, what="a new connection")
                net.swallowing = False

    gaps = Gaps()
    async with (
        publishing(fast(valkey)) as publisher,
        proxy(valkey) as net,
        reading(net.url, TRADES, gaps=gaps) as reader,
        asyncio.TaskGroup() as group,
    ):
        await begun(reader)
        seen: list[int] = []
        for round_ in range(3):
            reading_ = group.create_task(reader.read(timeout_s=20))
            await asyncio.sleep(0)
            await break_it(net)
            publisher.publish_all(trade(number) for number in range(100 * round_ + 1, 100 * round_ + 101))
            seen += [entry.event.seq for entry in await reading_]
        while len(seen) < 300:
            seen += [entry.event.seq for entry in await reader.read(timeout_s=5)]
    assert seen == whole(300)
    assert not gaps.missed


async def test_a_server_that_lost_all_repeats_nothing_to_a_reader(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer sends entries again under new ids; their numbers show that they were read before."""
    monkeypatch.setattr(poller, "RECHECK_S", 0.2)
    server = await start_server()
    gaps = Gaps()
    async with (
        publishing(fast(server.url, retransmit_s=60.0)) as publisher,
        reading(server.url, TRADES, start=Start.BEGINNING, gaps=gaps) as reader,
    ):
        await write(publisher, 1, 10)
        events = await read_until(reader, 10)
        await server.kill()
        publisher.publish(trade(11))
        await server.start()
        events += await read_until(reader, 1)
        await write(publisher, 12, 12)
        events += await read_until(reader, 1)
        # A server whose clock is behind gives ids below those that were read: the stream is read from its first entry.
        async with Redis.from_url(server.url) as client:
            await client.delete(TRADES)
            await client.xadd(TRADES, {"d": stamped(trade(13), publisher.epoch, 13)}, id="5-1")
            await client.client_kill_filter(_type="normal", skipme=True)
            events += await read_until(reader, 1)
    assert [event.seq for event in events] == whole(13)
    assert not gaps.missed


async def test_a_reader_that_falls_behind_the_trim_learns_it(client: Redis, valkey: str) -> None:
    """The numbers show how many are missing, of which venue, and from which number on."""
    gaps = Gaps()
    async with publishing(fast(valkey, max_len=MaxLen(trade=100))) as publisher, reading(valkey, TRADES, gaps=gaps) as reader:
        await begun(reader)
        await write(publisher, 1, 2)
        assert len(await read_until(reader, 2)) == 2
        await write(publisher, 3, 3000)
        events = await read_until(reader, 100)
    (missed,) = gaps.missed
    assert missed == Missed(TRADES, "binance", publisher.epoch, 3, events[0].seq - 3)
    assert [event.seq for event in events] == list(range(events[0].seq, 3001))


async def test_a_stored_id_that_was_trimmed_is_told(client: Redis, valkey: str) -> None:
    """How many are missing cannot be known then; that some are, must be."""
    gaps = Gaps()
    async with publishing(fast(valkey, max_len=MaxLen(trade=100))) as publisher:
        await write(publisher, 1, 2)
        first, _ = await ids(client)
        async with reading(valkey, TRADES, start=first, gaps=gaps) as reader:
            assert [event.seq for event in await read_until(reader, 1)] == [2]
        assert not gaps.missed
        await write(publisher, 3, 3000)
        async with reading(valkey, TRADES, start=first, gaps=gaps) as reader:
            await reader.read(timeout_s=5)
    assert gaps.missed == [Missed(TRADES, "", 0, 0, None)]


async def test_what_a_reader_from_the_beginning_cannot_have_is_told(client: Redis, valkey: str) -> None:
    """A reader from the beginning misses events that were trimmed before; a reader from now does not."""
    all_, now = Gaps(), Gaps()
    async with publishing(fast(valkey, max_len=MaxLen(trade=100))) as publisher:
        await write(publisher, 1, 3000)
        async with reading(valkey, TRADES, start=Start.BEGINNING, gaps=all_) as reader:
            (first, *_) = await read_until(reader, 1)
        async with reading(valkey, TRADES, gaps=now) as reader:
            await begun(reader)
            await write(publisher, 3001, 3001)
            assert len(await read_until(reader, 1)) == 1
    assert all_.missed == [Missed(TRADES, "binance", publisher.epoch, 1, first.seq - 1)]
    assert not now.missed


async def test_an_event_lost_right_after_the_start_is_told(client: Redis, valkey: str) -> None:
    """From the last values the reader knows the next number."""
    gaps = Gaps()
    async with publishing(fast(valkey)) as publisher, reading(valkey, TRADES, gaps=gaps) as reader:
        await write(publisher, 1, 5)
        await begun(reader)
        await client.xadd(TRADES, {"d": stamped(trade(7), publisher.epoch, 7)})
        assert [event.seq for event in await read_until(reader, 1)] == [7]
    assert gaps.missed == [Missed(TRADES, "binance", publisher.epoch, 6, 1)]


async def test_a_new_epoch_begins_at_one(client: Redis, valkey: str) -> None:
    """A reader that saw the venue's earlier epoch was there: if number 1 is not what it sees, it missed that."""
    gaps = Gaps()
    stamps = [(10, 7), (20, 1), (20, 2), (30, 3)]
    for epoch, seq in stamps:
        await client.xadd(TRADES, {"d": stamped(trade(seq), epoch, seq)})
    async with reading(valkey, TRADES, start="0-0", gaps=gaps) as reader:
        assert [(event.epoch, event.seq) for event in await read_until(reader, 4)] == stamps
    assert gaps.missed == [Missed(TRADES, "binance", 30, 1, 2)]


async def test_foreign_entries_are_told_and_skipped(client: Redis, valkey: str) -> None:
    """No field `d`, no JSON, or no event of ours: the events around them are returned as usual."""
    foreign: list[Foreign] = []
    async with publishing(fast(valkey)) as publisher:
        await write(publisher, 1, 1)
        await client.xadd(TRADES, {"x": "1"})
        await client.xadd(TRADES, {"d": "not json"})
        await client.xadd(TRADES, {"d": b"\xff\xfe"})
        await client.xadd(TRADES, {"d": '{"type":"weather"}'})
        await client.xadd(TRADES, {"d": "1", "e": "2"})
        await write(publisher, 2, 2)
        async with Reader(client, KEYS, streams=[TRADES], start=Start.BEGINNING, on_foreign=foreign.append) as reader:
            assert [event.seq for event in await read_until(reader, 2)] == [1, 2]
    assert len(foreign) == 5
    assert all(one.stream == TRADES and one.id and one.reason for one in foreign)


async def test_a_reader_decodes_as_it_is_told(client: Redis, valkey: str) -> None:
    """Events are what its `decode` makes of the bytes, last values, too; what this does not read is foreign. The numbers are checked."""

    def decode(data: bytes) -> object:
        event = text_events.decode(data)
        if event.seq == 4:
            raise ValueError("not this one")
        return event

    gaps, foreign = Gaps(), list[Foreign]()
    async with (
        publishing(fast(valkey)) as publisher,
        Reader(client, KEYS, streams=[TRADES], start=Start.LAST_THEN_NOW, on_gap=gaps, on_foreign=foreign.append, decode=decode) as reader,
    ):
        await write(publisher, 1, 2)
        (last,) = await reader.read(timeout_s=5)
        await write(publisher, 3, 5)
        events = await read_until(reader, 2)

    made: list[Any] = [last.event, *events]
    assert last.is_last_value
    assert [(type(event), event.seq) for event in made] == [(text_events.TEXT_KINDS["trade"], seq) for seq in (2, 3, 5)]
    assert made[0].price == str(trade(2).price)
    assert [one.reason for one in foreign] == ["not this one"]
    assert [(missed.first_missing, missed.count) for missed in gaps.missed] == [(4, 1)]


@pytest.mark.parametrize("start", [Start.NOW, Start.BEGINNING, Start.LAST_THEN_NOW, "5-0"])
async def test_a_key_that_is_no_stream_is_told_and_does_not_stop_the_others(client: Redis, valkey: str, start: Position) -> None:
    """One wrong key fails the complete XREAD; it is found and left out, also if it becomes wrong later."""
    foreign: list[Foreign] = []
    await client.set(QUOTES, "no stream")
    async with (
        publishing(fast(valkey)) as publisher,
        Reader(client, KEYS, streams={QUOTES: start, TRADES: Start.BEGINNING}, on_foreign=foreign.append) as reader,
    ):
        await write(publisher, 1, 2)
        assert [event.seq for event in await read_until(reader, 2)] == [1, 2]
        assert foreign == [Foreign(QUOTES, "", "the key is no stream")]

        reader.add([KEYS.stream("trade", ETH)])
        await begun(reader, KEYS.stream("trade", ETH))
        await client.set(KEYS.stream("trade", ETH), "no stream")
        await write(publisher, 3, 3)
        assert [event.seq for event in await read_until(reader, 1)] == [3]
        while len(foreign) < 2:
            await reader.read(timeout_s=0.05)
    assert foreign[1:] == [Foreign(KEYS.stream("trade", ETH), "", "the key is no stream")]


async def test_two_thousand_streams(client: Redis, valkey: str) -> None:
    """Over several connections at once, each event once, busy and idle ones together."""
    names = [f"C{number}-USDT" for number in range(2000)]
    async with publishing(fast(valkey)) as publisher, reading(valkey, *(KEYS.stream("trade", name) for name in names)) as reader:
        await begun(reader)
        publisher.publish_all(trade(number, name) for number in (1, 2) for name in names)
        publisher.publish_all(trade(number, names[0]) for number in range(3, 5003))
        seen: dict[str, list[int]] = {}
        for event in await read_until(reader, 9000):
            seen.setdefault(event.instrument, []).append(event.seq)
    assert seen.pop(names[0]) == whole(5002)
    assert seen == {name: [1, 2] for name in names[1:]}


async def test_streams_are_added_and_removed_while_a_read_waits(client: Redis, valkey: str) -> None:
    """A read that waits takes up what is added at once, and gives out nothing of what was removed."""
    eth = KEYS.stream("trade", ETH)
    async with publishing(fast(valkey)) as publisher, reading(valkey, TRADES) as reader, asyncio.TaskGroup() as group:
        await begun(reader)
        waiting = group.create_task(reader.read(timeout_s=10))
        await asyncio.sleep(0)
        publisher.publish(trade(1, ETH))
        assert await publisher.drain(5)
        reader.add([eth], Start.BEGINNING)
        async with asyncio.timeout(1):
            assert [(entry.stream, entry.event.seq) for entry in await waiting] == [(eth, 1)]

        reader.remove([TRADES])
        publisher.publish_all([trade(1), trade(2, ETH)])
        assert await publisher.drain(5)
        assert [(entry.stream, entry.event.seq) for entry in await reader.read(timeout_s=5)] == [(eth, 2)]
        assert set(reader.cursors) == {eth}
        reader.remove([eth])
        assert not await reader.read(timeout_s=0.01)


async def test_streams_that_come_and_go_leave_no_connections_behind(client: Redis, valkey: str) -> None:
    """The connection of those that went serves those that come: here there are three at most."""
    async with connect(fast(f"{valkey}?max_connections=3")) as own, Reader(own, KEYS) as reader, publishing(fast(valkey)) as publisher:
        for number in range(1, 6):
            name = KEYS.stream("trade", f"C{number}-USDT")
            reader.add([name], Start.BEGINNING)
            publisher.publish(trade(number, f"C{number}-USDT"))
            assert [event.seq for event in await read_until(reader, 1, timeout_s=5)] == [1]
            reader.remove([name])
            assert not await reader.read(timeout_s=0.02)


async def test_what_was_removed_has_no_cursor(client: Redis, valkey: str) -> None:
    """Also when it was read ahead of, and not all of that given out."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([trade(1), trade(2)])
        assert await publisher.drain(5)
    async with reading(valkey, TRADES, start=Start.BEGINNING) as reader:
        await anext(reader)
        reader.remove([TRADES])
        assert not await reader.read(timeout_s=0.01)
        assert not reader.cursors


@pytest.mark.parametrize("as_runs", [False, True])
async def test_a_stream_that_is_removed_and_added_again_begins_where_it_was_added(client: Redis, valkey: str, as_runs: bool) -> None:
    """What had come of it between two reads, and was not returned, comes once: from its new place on."""
    decoders: dict[str, Any] = {"decode": text_events.decode, "decode_all": text_events.decode_all} if as_runs else {}

    async def read(reader: Reader) -> list[tuple[str, int]]:
        entries = await reader.read(timeout_s=0.1)
        for run in await reader.read_runs(timeout_s=0.1) if as_runs else ():
            entries = [*entries, *run.entries()]
        return [(entry.stream, entry.event.seq) for entry in entries]

    async with connect(fast(valkey)) as own, Reader(own, KEYS, streams=[TRADES, QUOTES], **decoders) as reader:
        while len(reader.cursors) < 2 or reader.behind(time.monotonic()):
            assert not await read(reader)
        assert not await reader.read(timeout_s=0)
        async with publishing(fast(valkey)) as publisher:
            publisher.publish(trade(1))
            assert await publisher.drain(5)
        (task,) = reader._tasks.values()
        await wait_until(task.done, what="the trade has come")
        reader.remove([TRADES])
        reader.add([TRADES], Start.BEGINNING)
        found = await read(reader)
        while more := await read(reader):
            found += more
        assert found == [(TRADES, 1)]


async def test_a_cancelled_read_loses_nothing(client: Redis, valkey: str) -> None:
    """A caller may give up waiting at any moment and come back."""
    seen: list[Entry] = []
    async with publishing(fast(valkey)) as publisher, reading(valkey, TRADES, start=Start.BEGINNING) as reader:
        for number in range(1, 101):
            publisher.publish(trade(number))
            task = asyncio.create_task(reader.read(timeout_s=5))
            for _ in range(number % 11):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                seen += await task
        while len(seen) < 100:
            seen += await reader.read(timeout_s=5)
    assert [entry.event.seq for entry in seen] == whole(100)


async def test_partitions_are_read_together_on_one_server(client: Redis, valkey: str) -> None:
    """Names with hash tags are but names there."""
    keys = Keys(partitions=4)
    names = [f"C{number}-USDT" for number in range(20)]
    async with publishing(fast(valkey, partitions=4), keys=keys) as publisher, connect(fast(valkey)) as own:
        publisher.publish_all(trade(1, name) for name in names)
        assert await publisher.drain(5)
        streams = [keys.stream("trade", name) for name in names]
        async with Reader(own, keys, streams=streams, start=Start.LAST_THEN_NOW) as reader:
            events = await read_until(reader, 20)
    assert sorted(event.instrument for event in events) == sorted(names)
