"""A server that is away for longer than memory lasts: what happened is on disk meanwhile, and then on the tape, in order and once."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from crosstape.bus.spool_file import SpoolFile
from crosstape.embedded import EmbeddedServer
from crosstape.errors import Superseded
from crosstape_schemas import VENUE_WIDE, AnyEvent, Gap, GapCause, Keys, Status, Trade
from tests.bus.tape import (
    BTC,
    ETH,
    GAPS,
    KEYS,
    QUOTES,
    TRADES,
    Counts,
    fast,
    ids,
    numbers,
    on_tape,
    publishing,
    quote,
    status,
    trade,
    whole,
)
from tests.proxy import Proxy, proxy
from tests.waiting import wait_until

PENDING = 100
BTC_AND_ETH = (BTC, ETH)


def files(path: Path) -> list[Path]:
    """What is spooled."""
    return sorted(path.rglob("*.spool"))


def trade_ids(events: list[AnyEvent]) -> list[int]:
    """Of trades, in order."""
    return [int(event.trade_id) for event in events if isinstance(event, Trade)]


def away(net: Proxy) -> None:
    """From now on, until `refusing` ends."""
    net.refusing = True
    net.cut()


async def spooled(publisher: Publisher) -> None:
    """Until what happened is in the file, but for what is in flight."""
    await wait_until(lambda: all(lane.spool and not lane.spool.backlog for lane in publisher._lanes), what="it is written")


async def test_all_that_happened_is_on_the_tape_in_order(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Many times what memory holds: no trade is missing, none is there twice, numbers have no hole, and no file is left."""
    counts = Counts()
    async with proxy(valkey) as net, publishing(fast(net.url, pending=PENDING), spool=tmp_path, metrics=counts) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 11))
        assert await publisher.drain(5)
        away(net)
        for number in range(11, 5_001):
            publisher.publish_all([trade(number), quote(number)])
            if number % 50 == 0:
                await asyncio.sleep(0)
        assert publisher._room.held <= PENDING
        assert publisher.pending > 4_000
        assert counts.of["spool entries"] > 4_000
        assert counts.of["spool bytes"] == sum(file.stat().st_size for file in files(tmp_path))
        net.refusing = False
        assert await publisher.drain(20)
        assert (publisher.pending, counts.of["spool entries"], counts.of["spool bytes"]) == (0, 0, 0)
    events = await on_tape(client)
    assert trade_ids(events) == whole(5_000)
    assert numbers(events) == whole(5_000)
    assert [event.received_ts for event in events] == [1_000 + number for number in range(1, 5_001)]
    quotes = await on_tape(client, QUOTES)
    assert numbers(quotes) == whole(len(quotes))
    assert quotes[-1].received_ts == 6_000
    assert not await on_tape(client, GAPS)
    assert not files(tmp_path)
    assert counts.of["spooled"] > 4_000
    assert not counts.of["spool errors"]


async def test_what_comes_while_it_catches_up_follows(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Behind what was spooled, on each stream; then memory serves again, and nothing is spooled."""
    counts = Counts()
    async with proxy(valkey) as net, publishing(fast(net.url, pending=PENDING, batch=20), spool=tmp_path, metrics=counts) as publisher:
        away(net)
        publisher.publish_all(trade(number, name) for number in range(1, 1_001) for name in BTC_AND_ETH)
        await spooled(publisher)
        net.refusing = False
        for number in range(1_001, 2_001):
            publisher.publish_all(trade(number, name) for name in BTC_AND_ETH)
            await asyncio.sleep(0)
        assert await publisher.drain(20)
        before = counts.of["spooled"]
        publisher.publish_all(trade(number, name) for number in range(2_001, 2_011) for name in BTC_AND_ETH)
        assert await publisher.drain(5)
        assert counts.of["spooled"] == before
    for name in BTC_AND_ETH:
        events = await on_tape(client, KEYS.stream("trade", name))
        assert trade_ids(events) == numbers(events) == whole(2_010)


async def test_states_do_not_wait_for_what_is_spooled(client: Redis, valkey: str, tmp_path: Path) -> None:
    """A quote of now is on the tape long before the last trade of the outage."""
    async with proxy(valkey) as net, publishing(fast(net.url, pending=PENDING, batch=10), spool=tmp_path) as publisher:
        away(net)
        publisher.publish_all(trade(number) for number in range(1, 2_001))
        publisher.publish(quote(1))
        await spooled(publisher)
        net.refusing = False
        assert await publisher.drain(20)
    (first,) = await ids(client, QUOTES)
    before = await client.xrange(TRADES, max=first)
    assert before is not None
    assert len(before) < 1_000


async def test_statuses_and_gaps_are_spooled_too(client: Redis, valkey: str, tmp_path: Path) -> None:
    """They are happenings; the order on a venue's own stream, which holds both, is kept."""
    async with proxy(valkey) as net, publishing(fast(net.url, pending=10), spool=tmp_path) as publisher:
        away(net)
        for number in range(1, 101):
            publisher.publish(status(VENUE_WIDE, instrument=VENUE_WIDE))
            publisher.publish(Gap("binance", VENUE_WIDE, None, number, VENUE_WIDE, number, number, number, GapCause.DISCONNECT))
        net.refusing = False
        assert await publisher.drain(10)
    events = await on_tape(client, KEYS.venue("binance"))
    assert numbers(events) == whole(200)
    assert [type(event) for event in events] == [Status, Gap] * 100
    assert [event.missed for event in events if isinstance(event, Gap)] == whole(100)


async def test_beyond_the_spools_bound_the_newest_are_dropped_and_told(client: Redis, valkey: str, tmp_path: Path) -> None:
    """As one gap a stream, with the exact count and from when to when; what was accepted is on the tape."""
    counts = Counts()
    settings = fast(valkey, pending=PENDING, spool_bytes=64 << 10)
    async with proxy(valkey) as net, publishing(fast(net.url, **_less(settings)), spool=tmp_path, metrics=counts) as publisher:
        away(net)
        for number in range(1, 3_001):
            publisher.publish(trade(number))
            if number % 50 == 0:
                await asyncio.sleep(0)
        assert sum(file.stat().st_size for file in files(tmp_path)) <= 64 << 10
        net.refusing = False
        assert await publisher.drain(20)
        publisher.publish(trade(3_001))
        assert await publisher.drain(5)
    events = await on_tape(client)
    kept = len(events) - 1
    assert PENDING < kept < 3_000
    assert trade_ids(events) == [*whole(kept), 3_001]
    assert numbers(events) == whole(kept + 1)
    (gap,) = await on_tape(client, GAPS)
    assert isinstance(gap, Gap)
    assert (gap.kind, gap.cause, gap.missed) == ("trade", GapCause.OVERFLOW, 3_000 - kept)
    assert (gap.from_ts, gap.to_ts) == (1_001 + kept, 4_000)
    assert counts.of["dropped trade overflow"] == 3_000 - kept


def _less(one: object) -> dict[str, object]:
    return {name: getattr(one, name) for name in ("pending", "spool_bytes")}


async def test_partitions_have_a_spool_each(client: Redis, valkey: str, tmp_path: Path) -> None:
    """With a lane, a cursor and a part of the bound of its own."""
    keys = Keys(partitions=4)
    names = [f"C{number}-USDT" for number in range(20)]
    async with proxy(valkey) as net, publishing(fast(net.url, pending=PENDING, partitions=4), keys=keys, spool=tmp_path) as publisher:
        away(net)
        publisher.publish_all(trade(number, name) for number in range(1, 201) for name in names)
        await spooled(publisher)
        assert {file.parent.name for file in files(tmp_path)} == {f"{partition}-of-4" for partition in range(4)}
        net.refusing = False
        assert await publisher.drain(20)
    for name in names:
        events = await on_tape(client, keys.stream("trade", name))
        assert trade_ids(events) == numbers(events) == whole(200)
    assert not files(tmp_path)


async def left_behind(net: Proxy, path: Path, count: int) -> int:
    """The epoch of a publisher that ended as a killed one does, with so many trades in its spool, and the server away."""
    async with publishing(fast(net.url, pending=10), spool=path) as publisher:
        away(net)
        publisher.publish_all(trade(number) for number in range(1, count + 1))
        await spooled(publisher)
    net.refusing = False
    return publisher.epoch


async def test_a_successor_publishes_first_what_was_left(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Under its own epoch and numbers; `claimed` waits for it, so that the last trade on the tape is the last of the predecessor."""
    async with proxy(valkey) as net:
        epoch = await left_behind(net, tmp_path, 3_000)
        async with publishing(fast(net.url), spool=tmp_path) as second:
            async with asyncio.timeout(20):
                await second.claimed()
            last = (await second.last("trade", [BTC], "binance"))[BTC]
            assert isinstance(last, Trade)
            assert last.trade_id == "3000"
            second.publish(trade(3_001))
            assert await second.drain(5)
    events = await on_tape(client)
    assert trade_ids(events) == numbers(events) == whole(3_001)
    assert {event.epoch for event in events} == {second.epoch}
    assert epoch < second.epoch
    assert not files(tmp_path)


async def test_a_successor_goes_on_where_the_tape_ends(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Its predecessor was killed in the middle of catching up, and that before it, too: no trade is there twice."""
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 3_000)
        for _ in range(3):
            async with publishing(fast(net.url, batch=10), spool=tmp_path) as publisher:
                before = await client.xlen(KEYS.stream("trade", BTC))

                async def some(publisher: Publisher = publisher, before: int = before) -> bool:
                    return await client.xlen(KEYS.stream("trade", BTC)) >= min(before + 300, 3_000)

                await wait_until(some, what="a part of it is on the tape")
        async with publishing(fast(net.url), spool=tmp_path) as publisher:
            async with asyncio.timeout(20):
                await publisher.claimed()
    assert trade_ids(await on_tape(client)) == whole(3_000)


@pytest.mark.parametrize("written", [True, False])
async def test_the_batch_in_flight_is_not_lost_with_its_process(client: Redis, valkey: str, tmp_path: Path, *, written: bool) -> None:
    """Made of memory, before there was a spool: whether it was written, the cursor says, after any number of starts."""
    async with proxy(valkey) as net:
        async with publishing(fast(net.url, pending=10), spool=tmp_path) as publisher:
            publisher.publish(trade(1))
            assert await publisher.drain(5)
            net.refusing = True
            if written:
                net.lose_answers = 1
            else:
                net.cut()
            publisher.publish_all([trade(2), quote(2), trade(3)])
            await wait_until(lambda: not publisher.health.well, what="the answer is missed")
            publisher.publish_all(trade(number) for number in range(4, 101))
            await spooled(publisher)
            assert numbers(await on_tape(client)) == whole(3 if written else 1)
        net.refusing = False
        for _ in range(2):  # killed after it has claimed the cursor, before it has written anything
            async with connect(fast(net.url)) as shared:
                claiming = Publisher(shared, KEYS, fast(net.url), producer="connector.binance")
                await claiming._lanes[0].write_next()
        async with publishing(fast(net.url), spool=tmp_path) as publisher:
            async with asyncio.timeout(20):
                await publisher.claimed()
            assert await publisher.drain(5)
    assert trade_ids(await on_tape(client)) == whole(100)
    assert not await on_tape(client, GAPS)
    assert not await on_tape(client, KEYS.venue("binance"))


async def test_what_may_have_been_written_is_told_and_not_written_again(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Someone without the spool wrote after the process that left it: of the batch then in flight nothing is known any more."""
    async with proxy(valkey) as net:
        async with publishing(fast(net.url, pending=10), spool=tmp_path) as publisher:
            publisher.publish(trade(1))
            assert await publisher.drain(5)
            away(net)
            publisher.publish_all([trade(2), trade(3)])
            await wait_until(lambda: not publisher.health.well, what="the server is missed")
            publisher.publish_all(trade(number) for number in range(4, 101))
            await spooled(publisher)
        net.refusing = False
        async with publishing(fast(net.url)) as other:
            other.publish(trade(1_000))
            assert await other.drain(5)
        async with publishing(fast(net.url), spool=tmp_path) as publisher:
            async with asyncio.timeout(20):
                await publisher.claimed()
            assert await publisher.drain(5)
    assert trade_ids(await on_tape(client)) == [1, 1_000, *range(4, 101)]
    (gap,) = await on_tape(client, KEYS.venue("binance"))
    assert isinstance(gap, Gap)
    assert (gap.missed, gap.cause) == (2, GapCause.BUS)


async def test_a_drain_that_fails_leaves_what_happened_to_a_successor(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Though memory was not used up: a service that stops while the server is away loses nothing."""
    async with proxy(valkey) as net:
        async with publishing(fast(net.url), spool=tmp_path) as publisher:
            publisher.publish(trade(1))
            assert await publisher.drain(5)
            away(net)
            publisher.publish_all([trade(2), quote(2), trade(3, ETH), trade(3)])
            assert not await publisher.drain(0.2)
        assert files(tmp_path)
        net.refusing = False
        async with publishing(fast(net.url), spool=tmp_path) as publisher:
            async with asyncio.timeout(20):
                await publisher.claimed()
    assert trade_ids(await on_tape(client)) == whole(3)
    assert trade_ids(await on_tape(client, KEYS.stream("trade", ETH))) == [3]
    assert not files(tmp_path)


async def test_one_that_was_superseded_lets_its_successor_have_it(client: Redis, valkey: str, tmp_path: Path) -> None:
    """While both run, the file is the first's; told to stop, it lets go; all of it is on the tape, in the second's epoch."""
    async with proxy(valkey) as net, connect(fast(net.url)) as shared:
        first = Publisher(shared, KEYS, fast(net.url, pending=10), producer="connector.binance", spool=tmp_path)
        task = asyncio.create_task(first.run())
        await first.claimed()
        away(net)
        first.publish_all(trade(number) for number in range(1, 501))
        await spooled(first)
        async with publishing(fast(valkey, pending=10), spool=tmp_path) as second:
            await wait_until(lambda: second.acknowledged or second._lanes[0]._in_flight is None, what="the second has claimed")
            net.refusing = False
            with pytest.raises(Superseded):
                await task
            first.publish_all(trade(number) for number in range(501, 600))
            async with asyncio.timeout(20):
                await second.claimed()
    events = await on_tape(client)
    assert trade_ids(events) == whole(500)
    assert {event.epoch for event in events} == {second.epoch}


async def test_a_spool_that_nobody_lets_go_of_is_left(client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the service goes on without it, and says so; the next start finds it."""
    monkeypatch.setattr("crosstape.bus.spooled.LOCK_S", 0.1)
    monkeypatch.setattr("crosstape.bus.spool.RETRY_S", 0.0)
    counts = Counts()
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 100)
        held = SpoolFile(tmp_path / "0-of-1", 1 << 20)
        assert held.open()
        with structlog.testing.capture_logs() as logs:
            async with publishing(fast(net.url, pending=10), spool=tmp_path, metrics=counts) as publisher:
                async with asyncio.timeout(20):
                    await publisher.claimed()
                publisher.publish(trade(101))
                assert await publisher.drain(5)
        held.close()
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["bus.spool_failed", "bus.spool_left"]
        async with publishing(fast(net.url), spool=tmp_path) as publisher:
            async with asyncio.timeout(20):
                await publisher.claimed()
    assert trade_ids(await on_tape(client)) == [101, *whole(100)]
    assert counts.of["spool errors"]


async def test_a_full_disk_ends_nothing(client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into memory is then dropped, counted and told; the error is logged once; when there is room again it is used."""
    counts, full, real = Counts(), True, os.write

    def write(fd: int, data: memoryview) -> int:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr("crosstape.bus.spool_file.os.write", write)
    monkeypatch.setattr("crosstape.bus.spool.RETRY_S", 0.0)
    with structlog.testing.capture_logs() as logs:
        async with proxy(valkey) as net, publishing(fast(net.url, pending=PENDING), spool=tmp_path, metrics=counts) as publisher:
            away(net)
            for number in range(1, 301):
                publisher.publish(trade(number))
                await asyncio.sleep(0)
            dropped = counts.of["dropped trade overflow"]
            assert dropped == 200
            full = False
            for number in range(301, 601):
                publisher.publish(trade(number))
                await asyncio.sleep(0)
            net.refusing = False
            assert await publisher.drain(10)
    events = await on_tape(client)
    assert trade_ids(events) == [*range(1, 101), *range(301, 601)]
    assert numbers(events) == whole(400)
    (gap,) = await on_tape(client, GAPS)
    assert isinstance(gap, Gap)
    assert (gap.missed, gap.cause, gap.from_ts, gap.to_ts) == (200, GapCause.OVERFLOW, 1_101, 1_300)
    assert [entry["event"] for entry in logs if entry["event"].startswith("bus.spool")] == ["bus.spool_failed", "bus.spool_well"]
    assert counts.of["spool errors"] > 1


async def test_without_a_directory_it_is_as_without_a_spool(client: Redis, valkey: str, tmp_path: Path) -> None:
    """A place that cannot be used is told once; memory serves, and what is beyond is told as a gap."""
    (tmp_path / "file").write_text("in the way")
    counts = Counts()
    async with proxy(valkey) as net, publishing(fast(net.url, pending=PENDING), spool=tmp_path / "file", metrics=counts) as publisher:
        away(net)
        publisher.publish_all(trade(number) for number in range(1, 301))
        net.refusing = False
        assert await publisher.drain(10)
    assert trade_ids(await on_tape(client)) == whole(100)
    assert [event.missed for event in await on_tape(client, GAPS) if isinstance(event, Gap)] == [200]
    assert counts.of["spool errors"]


async def test_a_disk_that_cannot_be_read_is_asked_again(
    client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it gives at last is published; nothing was lost."""
    monkeypatch.setattr("crosstape.bus.spool.RETRY_S", 0.0)
    counts = Counts()
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 100)
        real, failures = Path.open, 3

        def open_(self: Path, *args: object, **options: object) -> object:
            nonlocal failures
            if self.suffix == ".spool" and counts.of["spool entries"] and failures:
                failures -= 1
                raise OSError(errno.EIO, "Input/output error")
            return real(self, *args, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", open_)
        async with publishing(fast(net.url), spool=tmp_path, metrics=counts) as publisher:
            async with asyncio.timeout(20):
                await publisher.claimed()
    assert trade_ids(await on_tape(client)) == whole(100)
    assert counts.of["spool errors"] == 3


async def test_damage_in_the_middle_is_told_with_the_count(client: Redis, valkey: str, tmp_path: Path) -> None:
    """As a gap of the whole venue, since nobody knows of which streams; what is before and after it is on the tape."""
    counts = Counts()
    async with proxy(valkey) as net:
        async with publishing(fast(net.url, pending=10, spool_bytes=1 << 20), spool=tmp_path) as publisher:
            away(net)
            for number in range(1, 2_001):
                publisher.publish(trade(number))
                if not number % 20:
                    await asyncio.sleep(0)
            await spooled(publisher)
        net.refusing = False
        hurt = files(tmp_path)[1]
        data = bytearray(hurt.read_bytes())
        data[len(data) // 2] ^= 1
        hurt.write_bytes(data)
        async with publishing(fast(net.url), spool=tmp_path, metrics=counts) as publisher:
            async with asyncio.timeout(20):
                await publisher.claimed()
            assert await publisher.drain(5)
    ids = trade_ids(await on_tape(client))
    assert ids == sorted(set(ids))
    lost = 2_000 - len(ids)
    assert lost > 0
    (gap,) = await on_tape(client, KEYS.venue("binance"))
    assert isinstance(gap, Gap)
    assert (gap.instrument, gap.kind, gap.missed, gap.cause) == (VENUE_WIDE, VENUE_WIDE, lost, GapCause.BUS)
    missing = sorted(set(whole(2_000)) - set(ids))
    assert missing == list(range(missing[0], missing[0] + lost))
    assert gap.from_ts == 1_000 + missing[0] - 1
    assert counts.of["spool errors"] == 1


async def test_a_torn_tail_is_told_and_the_rest_is_used(client: Redis, valkey: str, tmp_path: Path) -> None:
    """How many were in it nobody knows; the successor goes on appending behind it."""
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 100)
        (last,) = files(tmp_path)
        last.write_bytes(last.read_bytes()[:-5])
        net.refusing = True
        async with publishing(fast(net.url, pending=10), spool=tmp_path) as publisher:
            publisher.publish_all(trade(number) for number in range(101, 201))
            await spooled(publisher)
            net.refusing = False
            async with asyncio.timeout(20):
                await publisher.claimed()
            assert await publisher.drain(10)
    assert trade_ids(await on_tape(client)) == [*range(1, 100), *range(101, 201)]
    (gap,) = await on_tape(client, KEYS.venue("binance"))
    assert isinstance(gap, Gap)
    assert (gap.kind, gap.missed, gap.cause) == (VENUE_WIDE, None, GapCause.BUS)


async def test_foreign_entries_are_left_out_and_told(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Whole frames that hold no event of this venue: of another version, or put there by someone."""
    async with proxy(valkey) as net, publishing(fast(net.url, pending=10), spool=tmp_path) as publisher:
        away(net)
        publisher.publish_all(trade(number) for number in range(1, 101))
        await spooled(publisher)
        (lane,) = publisher._lanes
        assert lane.spool is not None
        lane.spool.file.append([b'{"type":"nothing"}', b"\xff"])
        publisher.publish_all(trade(number) for number in range(101, 201))
        net.refusing = False
        assert await publisher.drain(10)
    assert trade_ids(await on_tape(client)) == whole(200)
    gaps = [event for event in await on_tape(client, KEYS.venue("binance")) if isinstance(event, Gap)]
    assert [gap.missed for gap in gaps] == [2]


@pytest.mark.parametrize(("policy", "synced"), [("never", False), ("second", True), ("always", True)])
async def test_it_is_forced_to_the_disk_as_set(
    valkey: str, client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, *, synced: bool
) -> None:
    """By a thread, never by the event loop; an error of it is counted and ends nothing."""
    import threading

    threads: list[threading.Thread] = []

    def fsync(fd: int) -> None:
        threads.append(threading.current_thread())
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("crosstape.bus.spool_file.os.fsync", fsync)
    monkeypatch.setattr("crosstape.bus.spool.SYNC_S", 0.01)
    counts = Counts()
    options = {"pending": 10, "spool_sync": policy}
    async with proxy(valkey) as net, publishing(fast(net.url, **options), spool=tmp_path, metrics=counts) as publisher:
        away(net)
        publisher.publish_all(trade(number) for number in range(1, 101))
        await spooled(publisher)
        if synced:
            await wait_until(lambda: threads, what="it is synced")
        net.refusing = False
        assert await publisher.drain(10)
    assert trade_ids(await on_tape(client)) == whole(100)
    assert bool(threads) is synced
    assert threading.main_thread() not in threads
    assert bool(counts.of["spool errors"]) is synced


async def test_no_bytes_is_no_spool_but_what_was_left_is_published(client: Redis, valkey: str, tmp_path: Path) -> None:
    """With `spool_bytes = 0` nothing is written; an earlier setting's file is still read."""
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 200)
        before = files(tmp_path)
        away(net)
        async with publishing(fast(net.url, pending=PENDING, spool_bytes=0), spool=tmp_path) as publisher:
            publisher.publish_all(trade(number) for number in range(201, 401))
            await wait_until(lambda: not publisher.health.well, what="the server is missed")
            assert files(tmp_path) == before
            net.refusing = False
            assert await publisher.drain(10)
            async with asyncio.timeout(20):
                await publisher.claimed()
            publisher.publish(trade(401))
            assert await publisher.drain(10)
    events = await on_tape(client)
    assert trade_ids(events) == [*range(1, 301), 401]
    assert numbers(events) == whole(301)
    assert [event.missed for event in await on_tape(client, GAPS) if isinstance(event, Gap)] == [100]
    assert not files(tmp_path)


async def test_a_server_that_comes_back_empty_gets_all(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The ring first, then what was spooled: each once, in order."""
    server = EmbeddedServer(tmp_path_factory.mktemp("lossy"))
    await server.start()
    try:
        async with publishing(fast(server.url, pending=PENDING, retransmit_s=60.0), spool=tmp_path) as publisher:
            publisher.publish_all(trade(number) for number in range(1, 51))
            assert await publisher.drain(5)
            server.kill()
            await server.stop()
            publisher.publish_all(trade(number) for number in range(51, 3_001))
            await spooled(publisher)
            await server.start()
            assert await publisher.drain(20)
            async with Redis.from_url(server.url) as client:
                events = await on_tape(client)
                assert trade_ids(events) == numbers(events) == whole(3_000)
                assert not await on_tape(client, GAPS)
    finally:
        await server.stop()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["btc", "eth", "quote"]), st.integers(1, 60)),
        st.sampled_from(["cut", "lose", "cut mid", "refuse", "allow", "wait", "turn", "kill"]),
    ),
    max_size=25,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, cap=st.integers(1, 40))
async def test_whatever_happens_each_stream_is_whole(client: Redis, valkey: str, steps: list[tuple[str, int] | str], cap: int) -> None:
    """Every trade once and in order, for every sequence of publishing, trouble, and ends as of a killed process."""
    await client.flushall()
    sent = {BTC: 0, ETH: 0}
    with tempfile.TemporaryDirectory() as name:
        async with proxy(valkey) as net:
            options = {"batch": cap, "pending": 40, "backoff_s": 0.01}
            again = True
            todo = list(steps)
            while again:
                again = False
                async with publishing(fast(net.url, **options), spool=Path(name)) as publisher:
                    while todo:
                        match todo.pop(0):
                            case ("quote", int() as count):
                                publisher.publish_all(quote(number) for number in range(1, count + 1))
                            case (str() as kind, int() as count):
                                instrument = BTC if kind == "btc" else ETH
                                for _ in range(count):
                                    sent[instrument] += 1
                                    publisher.publish(trade(sent[instrument], instrument))
                            case "cut":
                                net.cut()
                            case "lose":
                                net.lose_answers = 1
                            case "cut mid":
                                net.cut_after = 700
                            case "refuse":
                                net.refusing = True
                            case "allow":
                                net.refusing = False
                            case "turn":
                                await asyncio.sleep(0)
                            case "kill":
                                publisher._overflow.put_by()  # else what is in memory is lost, as it is with any process
                                again = True
                                break
                            case _:
                                for _ in range(20):
                                    await asyncio.sleep(0)
                    if not again:
                        net.refusing, net.lose_answers, net.cut_after = False, 0, None
                        async with asyncio.timeout(20):
                            await publisher.claimed()
                        assert await publisher.drain(20)
        assert not files(Path(name))
    for instrument, count in sent.items():
        events = await on_tape(client, KEYS.stream("trade", instrument))
        assert trade_ids(events) == whole(count)
        by_epoch: dict[int, list[int]] = {}
        for event in events:
            by_epoch.setdefault(event.epoch, []).append(event.seq)
        assert all(seqs == whole(len(seqs)) for seqs in by_epoch.values())
    assert not await on_tape(client, GAPS)
