"""Entries that a process leaves in its spool come onto the tape before its successor's events, once; doubtful ones are reported."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
import structlog
from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from crosstape.bus.spool.directory import SpoolDirectory
from crosstape.errors import Superseded
from crosstape_schemas import Gap, GapCause, Trade
from tests.bus.spool.spooling import PENDING, away, files, left_behind, spooled, trade_ids
from tests.bus.tape import BTC, ETH, GAPS, KEYS, TRADES, Counts, fast, numbers, on_tape, publishing, quote, trade, whole
from tests.proxy import proxy
from tests.waiting import wait_until


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
    """Its predecessor, and the one before, were killed while they published a spool: no trade is there twice."""
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


CURSOR = "tape:cursor:connector.binance"


async def photograph(client: Redis) -> dict[str, bytes]:
    """Returns the state to which a server that loses data goes back: the cursor, and the trades."""
    async with client.pipeline(transaction=True) as both:
        for key in (CURSOR, TRADES):
            both.dump(key)
        return dict(zip((CURSOR, TRADES), await both.execute(), strict=True))


async def go_back(client: Redis, photo: dict[str, bytes]) -> None:
    """Restore that state, as after a loss of power: later data were not on the disk."""
    for key, value in photo.items():
        await client.restore(key, 0, value, replace=True)


@pytest.mark.parametrize("forgets", [False, True])
async def test_what_a_server_forgot_of_what_came_before_the_spool_is_told(
    client: Redis, valkey: str, tmp_path: Path, *, forgets: bool
) -> None:
    """Both machines lost power. Nobody has the events any more that went from memory to the tape; the spooled ones come after the gap."""
    async with proxy(valkey) as net, publishing(fast(net.url, pending=10), spool=tmp_path) as first:
        first.publish(trade(1))
        assert await first.drain(5)
        photo = await photograph(client)
        first.publish(trade(2))
        assert await first.drain(5)
        away(net)
        first.publish_all(trade(number) for number in range(3, 41))
        await spooled(first)
    if forgets:
        await go_back(client, photo)
    async with publishing(fast(valkey), spool=tmp_path) as second:
        async with asyncio.timeout(20):
            await second.claimed()
        assert await second.drain(5)
    gone = [2] if forgets else []
    assert trade_ids(await on_tape(client)) == [number for number in whole(40) if number not in gone]
    told = [event for event in await on_tape(client, KEYS.venue("binance")) if isinstance(event, Gap)]
    assert [(gap.cause, gap.missed) for gap in told] == [(GapCause.BUS, None)] * forgets
    assert all(gap.from_ts <= first.epoch <= gap.to_ts for gap in told)


async def test_what_a_server_forgot_of_what_was_spooled_is_told_with_the_count(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Published entries have left the spool, by complete segments: the gap is from the cursor to the first entry that is left."""
    spool_bytes = 1 << 20
    async with proxy(valkey) as net, publishing(fast(net.url, pending=10, spool_bytes=spool_bytes), spool=tmp_path) as first:
        away(net)
        first.publish_all(trade(number) for number in range(1, 3_001))
        await spooled(first)

    async def there(count: int) -> bool:
        return int(await client.xlen(TRADES)) >= count

    async with publishing(fast(valkey, batch=10, spool_bytes=spool_bytes), spool=tmp_path):
        await wait_until(lambda: there(100), what="some are on the tape")
        photo = await photograph(client)
        await wait_until(lambda: there(1_500), what="more are")
    await go_back(client, photo)
    async with publishing(fast(valkey, spool_bytes=spool_bytes), spool=tmp_path) as second:
        async with asyncio.timeout(20):
            await second.claimed()
        assert await second.drain(5)
    ids = trade_ids(await on_tape(client))
    (told,) = await on_tape(client, KEYS.venue("binance"))
    assert isinstance(told, Gap)
    assert ids == sorted(set(ids))
    assert told.missed == 3_000 - len(ids) > 0


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
            await wait_until(lambda: not publisher.availability.answering, what="the answer is missed")
            publisher.publish_all(trade(number) for number in range(4, 101))
            await spooled(publisher)
            assert numbers(await on_tape(client)) == whole(3 if written else 1)
        net.refusing = False
        for _ in range(2):  # killed after it has claimed the cursor, before it has written anything
            async with connect(fast(net.url)) as shared:
                claiming = Publisher(shared, KEYS, fast(net.url), producer="connector.binance")
                await claiming._writers[0].write_next()
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
            await wait_until(lambda: not publisher.availability.answering, what="the server is missed")
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


async def _claimed(client: Redis, publisher: Publisher) -> bool:
    found = await client.hget(KEYS.cursor("connector.binance"), "epoch")
    return bool(found == str(publisher.epoch).encode())


async def test_one_that_was_superseded_lets_its_successor_have_it(client: Redis, valkey: str, tmp_path: Path) -> None:
    """While both run, the first one has the spool; when superseded, it closes it. All entries are on the tape, in the second's epoch."""
    async with proxy(valkey) as net, connect(fast(net.url)) as shared:
        first = Publisher(shared, KEYS, fast(net.url, pending=10), producer="connector.binance", spool=tmp_path)
        task = asyncio.create_task(first.run())
        await first.claimed()
        away(net)
        first.publish_all(trade(number) for number in range(1, 501))
        await spooled(first)
        async with publishing(fast(valkey, pending=10), spool=tmp_path) as second:
            await wait_until(partial(_claimed, client, second), what="the second has claimed")
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
    """After a while the service continues without that spool, and logs it; the next start finds it."""
    monkeypatch.setattr("crosstape.bus.publish.spool_reader.LOCK_S", 0.1)
    monkeypatch.setattr("crosstape.bus.spool.disk_health.RETRY_S", 0.0)
    counts = Counts()
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 100)
        held = SpoolDirectory(tmp_path / "0-of-1", 1 << 20)
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


async def test_no_bytes_is_no_spool_but_what_was_left_is_published(client: Redis, valkey: str, tmp_path: Path) -> None:
    """With `spool_bytes = 0` nothing is spooled; a spool that an earlier setting left is still published."""
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 200)
        before = files(tmp_path)
        away(net)
        async with publishing(fast(net.url, pending=PENDING, spool_bytes=0), spool=tmp_path) as publisher:
            publisher.publish_all(trade(number) for number in range(201, 401))
            await wait_until(lambda: not publisher.availability.answering, what="the server is missed")
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
