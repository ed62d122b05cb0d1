"""Reading many streams by the bell, on a real server. Where no sweep can help, because none comes for an hour, the bell must."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from crosstape.bus import Entry, Foreign, Publisher, Reader, connect
from crosstape.bus.read import bell, bell_turns, poller
from crosstape.history import text_events
from crosstape_schemas import Keys
from tests.bus.tape import KEYS, Gaps, command, fast, ids, publishing, stamped, trade, whole
from tests.engines import StartServer
from tests.proxy import Proxy, proxy
from tests.waiting import wait_until

NEVER_S = 3_600.0


def names(count: int) -> list[str]:
    """Instruments."""
    return [f"C{number}-USDT" for number in range(count)]


def streams(count: int) -> list[str]:
    """Their trades."""
    return [KEYS.stream("trade", name) for name in names(count)]


@contextlib.asynccontextmanager
async def reading(url: str, count: int, *, gaps: Gaps | None = None, keys: Keys = KEYS, timeout_s: float = 2.0) -> AsyncIterator[Reader]:
    """A reader of so many streams that has found its place on all of them, and has read all that there was."""
    async with (
        connect(fast(url, timeout_s=timeout_s)) as own,
        Reader(own, keys, streams=[keys.stream("trade", name) for name in names(count)], on_gap=gaps, backoff_s=0.05) as reader,
    ):
        while len(reader.cursors) < count or reader.behind(time.monotonic()):
            assert not await reader.read(timeout_s=0.02)
        yield reader


async def wrote(publisher: Publisher, *events: tuple[int, str]) -> None:
    """Trades of these numbers and instruments are on the tape."""
    publisher.publish_all(trade(number, name) for number, name in events)
    assert await publisher.drain(10)


async def add(client: Redis, number: int, name: str) -> None:
    """A trade that a producer writes which does not ring."""
    await client.xadd(KEYS.stream("trade", name), {"d": stamped(trade(number, name), 5, number)})


async def read_all(reader: Reader, count: int) -> dict[str, list[int]]:
    """The numbers of the next `count` events, by instrument; no more may come with them."""
    seen: dict[str, list[int]] = {}
    async with asyncio.timeout(20):
        while (left := count - sum(map(len, seen.values()))) > 0:
            entries = await reader.read(timeout_s=1)
            assert len(entries) <= left
            for entry in entries:
                seen.setdefault(entry.event.instrument, []).append(entry.event.seq)
    return seen


async def blocked(client: Redis) -> int:
    """How many connections wait for streams."""
    found: Mapping[str, int] = await client.info("clients")
    return found["blocked_clients"]


@pytest.fixture
def no_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """None but the first, and those that something is known to need. Streams that were made again are not looked for."""
    monkeypatch.setattr(bell_turns, "SWEEP_S", NEVER_S)
    monkeypatch.setattr(poller, "RECHECK_S", NEVER_S)


async def rung(client: Redis, publisher: Publisher) -> None:
    """The tape has a bell."""
    await wrote(publisher, (1, "OTHER-USDT"))
    assert await client.exists(KEYS.bell("trade"))


@pytest.mark.usefixtures("no_sweeps")
@pytest.mark.parametrize("count", [65, 600, 2_000])
async def test_what_the_bell_names_is_read_over_one_connection(client: Redis, valkey: str, count: int) -> None:
    """Single events and all streams at once; no wait for hundreds of streams ever begins."""
    async with publishing(fast(valkey)) as publisher:
        await rung(client, publisher)
        async with reading(valkey, count) as reader:
            for name in (names(count)[0], names(count)[-1]):
                await wrote(publisher, (1, name))
                assert await read_all(reader, 1) == {name: [1]}
            waiting = asyncio.create_task(reader.read(timeout_s=10))
            await wait_until(lambda: blocked(client), what="it waits")
            assert await blocked(client) == 1
            await wrote(publisher, *((number, name) for number in (2, 3) for name in names(count)[1:-1]), (2, names(count)[0]))
            seen = len(await waiting)
            await read_all(reader, 2 * (count - 2) + 1 - seen)
            assert not await reader.read(timeout_s=0)


@pytest.mark.usefixtures("no_sweeps")
async def test_streams_are_added_and_removed_across_the_border(client: Redis, valkey: str) -> None:
    """From few to many and back, while a read waits; each event once."""
    async with publishing(fast(valkey)) as publisher:
        await rung(client, publisher)
        async with reading(valkey, 60) as reader:
            for round_ in range(1, 4):
                waiting = asyncio.create_task(reader.read(timeout_s=10))
                await asyncio.sleep(0)
                reader.add(streams(100)[60:])
                await wait_until(lambda: not reader.behind(time.monotonic()), what="they have begun")
                await wrote(publisher, *((2 * round_ - 1, name) for name in (names(100)[5], names(100)[59])))
                entries = list(await waiting)
                while len(entries) < 2:
                    entries += await reader.read(timeout_s=5)
                reader.remove(streams(100)[60:])
                await wrote(publisher, *((2 * round_, name) for name in (names(100)[5], names(100)[59], names(100)[99])))
                while len(entries) < 4:
                    entries += await reader.read(timeout_s=5)
                assert sorted((entry.event.instrument, entry.event.seq) for entry in entries) == [
                    (name, seq) for name in (names(100)[5], names(100)[59]) for seq in (2 * round_ - 1, 2 * round_)
                ]


@pytest.mark.parametrize("count", [100, 1_100])
async def test_producers_that_do_not_ring_are_waited_for(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """At once where the tape has no bell at all; then over several connections, until it rings."""
    monkeypatch.setattr(bell_turns, "SWEEP_S", NEVER_S)
    async with publishing(fast(valkey)) as publisher, reading(valkey, count) as reader:
        for number, name in enumerate(names(count)[::50], 1):
            await add(client, number, name)
            assert await read_all(reader, 1) == {name: [number]}
        waiting = asyncio.create_task(reader.read(timeout_s=10))
        await wait_until(lambda: blocked(client), what="it waits")
        await wait_until(lambda: _equal(client, -(-count // poller.STREAMS)), what="as many connections as the streams need")
        publisher.publish(trade(1, names(count)[1]))
        assert [entry.event.seq for entry in await waiting] == [1]
        waiting = asyncio.create_task(reader.read(timeout_s=10))
        await wait_until(lambda: _equal(client, 1), what="one connection")
        publisher.publish(trade(1, names(count)[-1]))
        assert [entry.event.instrument for entry in await waiting] == [names(count)[-1]]


async def _equal(client: Redis, connections: int) -> bool:
    return await blocked(client) == connections


@pytest.mark.usefixtures("no_sweeps")
async def test_a_producer_that_does_not_ring_beside_one_that_does_costs_its_first_event_only(
    client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep finds the first; from then on that stream is waited for beside the bell."""
    async with publishing(fast(valkey)) as publisher:
        await rung(client, publisher)
        async with reading(valkey, 100) as reader:
            await add(client, 1, names(100)[7])
            assert not await reader.read(timeout_s=0.2)
            with monkeypatch.context() as patch:
                patch.setattr(bell_turns, "SWEEP_S", 0.0)
                assert await read_all(reader, 1) == {names(100)[7]: [1]}
            for number in range(2, 6):
                await add(client, number, names(100)[7])
                assert await read_all(reader, 1) == {names(100)[7]: [number]}
                await wrote(publisher, (number - 1, names(100)[8]))
                assert await read_all(reader, 1) == {names(100)[8]: [number - 1]}


@pytest.mark.usefixtures("no_sweeps")
@pytest.mark.parametrize("trouble", ["no stream", "forbidden", "made so later"])
async def test_a_bell_that_cannot_be_read_stops_nothing(start_server: StartServer, trouble: str) -> None:
    """The streams are waited for themselves."""
    server = await start_server()
    async with Redis.from_url(server.url) as client, publishing(fast(server.url)) as publisher:
        await rung(client, publisher)
        url = server.url
        if trouble == "no stream":
            await client.delete(KEYS.bell("trade"))
            await client.set(KEYS.bell("trade"), "x")
        elif trouble == "forbidden":
            await command(client, "ACL", "SETUSER", "default", "resetkeys", "~tape:trade:*", "~tape:last:*")
        async with reading(url, 100) as reader:
            if trouble == "made so later":
                await client.delete(KEYS.bell("trade"))
                await client.set(KEYS.bell("trade"), "x")
            for number in (1, 2):
                await add(client, number, names(100)[3])
                assert await read_all(reader, 1) == {names(100)[3]: [number]}


@pytest.mark.parametrize("how", ["deleted", "below", "trimmed"])
async def test_a_bell_that_was_deleted_made_again_or_trimmed_is_followed_on(
    client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What it does not name is found by a sweep; then it is followed on."""
    monkeypatch.setattr(poller, "RECHECK_S", 0.1)
    async with publishing(fast(valkey)) as publisher:
        await rung(client, publisher)
        async with reading(valkey, 100) as reader:
            await wrote(publisher, (1, names(100)[3]))
            if how == "trimmed":
                await client.xtrim(KEYS.bell("trade"), maxlen=0, approximate=False)
            else:
                await client.delete(KEYS.bell("trade"))
            if how == "below":
                await client.xadd(KEYS.bell("trade"), {"s": "tape:trade:OTHER"}, id="1-1")
            assert await read_all(reader, 1) == {names(100)[3]: [1]}
            monkeypatch.setattr(bell_turns, "SWEEP_S", NEVER_S)
            for number in (1, 2, 3):
                await wrote(publisher, (number, names(100)[4]))
                assert await read_all(reader, 1) == {names(100)[4]: [number]}


@pytest.mark.parametrize("trouble", ["cut", "refuse", "swallow", "lose an answer"])
async def test_a_lost_connection_loses_and_repeats_nothing(client: Redis, valkey: str, trouble: str) -> None:
    """However often, with a hundred streams and old and new producers."""

    async def break_it(net: Proxy) -> None:
        before = net.connections
        match trouble:
            case "cut":
                net.cut()
            case "lose an answer":
                net.lose_answers = 1
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
    async with publishing(fast(valkey)) as publisher, proxy(valkey) as net:
        await rung(client, publisher)
        async with reading(net.url, 100, gaps=gaps, timeout_s=0.5) as reader, asyncio.TaskGroup() as group:
            seen: list[Entry] = []
            for round_ in range(3):
                reading_ = group.create_task(reader.read(timeout_s=20))
                await asyncio.sleep(0)
                await break_it(net)
                publisher.publish_all(trade(10 * round_ + number, name) for number in range(1, 11) for name in names(100)[:10])
                await add(client, round_ + 1, names(100)[50])
                seen += await reading_
            while len(seen) < 303:
                seen += await reader.read(timeout_s=5)
    by_name: dict[str, list[int]] = {}
    for entry in seen:
        by_name.setdefault(entry.event.instrument, []).append(entry.event.seq)
    assert by_name == {**dict.fromkeys(names(10), whole(30)), names(100)[50]: whole(3)}
    assert not gaps.missed


async def test_a_server_that_lost_all_repeats_nothing(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bell is gone as well; a bell with smaller ids is read from its first entry."""
    monkeypatch.setattr(poller, "RECHECK_S", 0.2)
    server = await start_server()
    gaps = Gaps()
    async with publishing(fast(server.url, retransmit_s=60.0)) as publisher:
        async with Redis.from_url(server.url) as client:
            await rung(client, publisher)
        async with reading(server.url, 100, gaps=gaps) as reader:
            await wrote(publisher, *((number, name) for number in (1, 2) for name in names(100)))
            await read_all(reader, 200)
            await server.kill()
            publisher.publish(trade(3, names(100)[1]))
            await server.start()
            assert await read_all(reader, 1) == {names(100)[1]: [3]}
            await wrote(publisher, (3, names(100)[2]))
            assert await read_all(reader, 1) == {names(100)[2]: [3]}
    assert not gaps.missed


async def test_a_cancelled_read_loses_nothing(client: Redis, valkey: str) -> None:
    """A caller may give up waiting at any moment and come back."""
    seen: list[Entry] = []
    async with publishing(fast(valkey)) as publisher:
        await rung(client, publisher)
        async with reading(valkey, 100) as reader:
            for number in range(1, 101):
                publisher.publish(trade(number // 2 + 1, names(100)[number % 2]))
                task = asyncio.create_task(reader.read(timeout_s=5))
                for _ in range(number % 23):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    seen += await task
            while len(seen) < 100:
                seen += await reader.read(timeout_s=5)
    for name in names(2):
        assert [entry.event.seq for entry in seen if entry.event.instrument == name] == whole(50)


async def test_runs_and_stored_ids_of_many_streams(client: Redis, valkey: str) -> None:
    """A backlog of some streams among many, from stored ids on, as runs; then what the bell names."""
    foreign: list[Foreign] = []
    async with publishing(fast(valkey)) as publisher:
        await wrote(publisher, *((1, name) for name in names(100)))
        starts = {stream: (await ids(client, stream))[0] for stream in streams(100)}
        await wrote(publisher, *((number, name) for number in range(2, 3_000) for name in names(3)))
        await client.set(streams(100)[99], "no stream")
        async with (
            connect(fast(valkey)) as own,
            Reader(
                own,
                KEYS,
                streams=starts,
                on_foreign=foreign.append,
                decode=text_events.decode,
                decode_all=text_events.decode_all,
            ) as reader,
        ):
            seen: dict[str, list[int]] = {}
            while sum(map(len, seen.values())) < 3 * 2_998:
                for run in await reader.read_runs(timeout_s=5):
                    seen.setdefault(run.stream, []).extend(event.seq for event in run.decoded.events)
            assert seen == {stream: list(range(2, 3_000)) for stream in streams(3)}
            await wrote(publisher, (2, names(100)[50]))
            while not (runs := await reader.read_runs(timeout_s=5)):
                pass
            assert [run.stream for run in runs] == [streams(100)[50]]
    assert [one.stream for one in foreign] == [streams(100)[99]]


@pytest.mark.usefixtures("no_sweeps")
async def test_several_partitions_on_one_server_have_a_bell_each(client: Redis, valkey: str) -> None:
    """One connection waits for all of them."""
    keys = Keys(partitions=4)
    async with publishing(fast(valkey, partitions=4), keys=keys) as publisher:
        await wrote(publisher, *((1, name) for name in names(50)))
        assert all([await client.exists(keys.bell("trade", partition)) for partition in range(4)])
        async with reading(valkey, 100, keys=keys) as reader:
            for name in names(100)[50:60]:
                await wrote(publisher, (1, name))
                assert await read_all(reader, 1) == {name: [1]}


async def test_few_streams_need_no_bell(client: Redis, valkey: str) -> None:
    """A reader of 64 streams is not woken by it."""

    async def reads() -> int:
        found: Mapping[str, Mapping[str, int]] = await client.info("commandstats")
        return found["cmdstat_xread"]["calls"]

    async with reading(valkey, poller.LISTEN) as reader:
        waiting = asyncio.create_task(reader.read(timeout_s=10))
        await wait_until(lambda: blocked(client), what="it waits")
        before = await reads()
        await client.xadd(KEYS.bell("trade"), {"s": " ".join(streams(5))})
        assert await reads() == before
        await add(client, 1, names(1)[0])
        assert [entry.event.seq for entry in await waiting] == [1]


def _rings(kind: str, written: Iterable[str]) -> list[str]:
    named = " ".join(written)
    return {"not": [], "doubled": [named, named], "garbage": ["\x00 tape:trade:X *?", ""], "false": [streams(100)[90]], "any": ["*"]}.get(
        kind, [named]
    )


@pytest.mark.slow
def test_each_entry_is_read_once_and_in_order_whatever_the_bells_are(valkey: str) -> None:
    """Some are dropped, doubled, false or garbage, by turns; a reader of a hundred streams gets all that was written within two sweeps."""

    @settings(max_examples=25)
    @given(
        st.lists(
            st.tuples(
                st.sets(st.integers(0, 79), min_size=1, max_size=5), st.sampled_from(["true", "not", "doubled", "garbage", "false", "any"])
            ),
            min_size=1,
            max_size=25,
        )
    )
    def run(batches: list[tuple[set[int], str]]) -> None:
        asyncio.run(_check(valkey, batches))

    run()


async def _check(url: str, batches: list[tuple[set[int], str]]) -> None:
    async with Redis.from_url(url) as client:
        await client.flushall()
        await client.xadd(KEYS.bell("trade"), {"s": "tape:trade:OTHER"})
        written: dict[str, list[int]] = {}
        seen: dict[str, list[int]] = {}
        gaps = Gaps()
        async with reading(url, 100, gaps=gaps) as reader:

            async def read() -> None:
                while True:
                    for entry in await reader.read(timeout_s=None):
                        seen.setdefault(entry.event.instrument, []).append(entry.event.seq)

            task = asyncio.create_task(read())
            for chosen, kind in batches:
                async with client.pipeline(transaction=True) as together:
                    for one in chosen:
                        numbers = written.setdefault(names(100)[one], [])
                        numbers.append(len(numbers) + 1)
                        event = trade(numbers[-1], names(100)[one])
                        together.xadd(streams(100)[one], {"d": stamped(event, 5, numbers[-1])})
                    for named in _rings(kind, (streams(100)[one] for one in chosen)):
                        together.xadd(KEYS.bell("trade"), {"s": named})
                    await together.execute()
            await wait_until(lambda: seen == written, what="all is read", timeout_s=2 * bell_turns.SWEEP_S + 5.0)
            task.cancel()
            await asyncio.wait({task})
        assert not gaps.missed


async def test_a_reader_beside_busy_others_leaves_their_bell_alone(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for its own streams: their entries come without the bell."""
    monkeypatch.setattr(bell, "WINDOW", 10)
    async with publishing(fast(valkey)) as publisher:
        await rung(client, publisher)
        async with reading(valkey, 100) as reader:
            for number in range(2, 22):
                await wrote(publisher, (number, "OTHER-USDT"))
                assert not await reader.read(timeout_s=0.01)
            monkeypatch.setattr(bell_turns, "SWEEP_S", NEVER_S)
            await add(client, 1, names(100)[3])
            assert await read_all(reader, 1) == {names(100)[3]: [1]}
