"""A disk that is full, fails, or returns wrong bytes: no process ends, and losses are reported."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest
import structlog
from redis.asyncio import Redis

from crosstape_schemas import VENUE_WIDE, Gap, GapCause
from tests.bus.spool.spooling import PENDING, away, files, left_behind, spooled, trade_ids
from tests.bus.tape import GAPS, KEYS, Counts, fast, numbers, on_tape, publishing, trade, whole
from tests.proxy import proxy
from tests.waiting import wait_until


async def test_a_full_disk_ends_nothing(client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events beyond the memory are dropped, counted and reported; the error is logged once; when there is space again, it is used."""
    counts, full, real = Counts(), True, os.write

    def write(fd: int, data: memoryview) -> int:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr("crosstape.bus.spool.directory.os.write", write)
    monkeypatch.setattr("crosstape.bus.spool.disk_health.RETRY_S", 0.0)
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
    """The error is logged once. Memory is used; events beyond it are reported as a gap."""
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
    """When the disk can be read again, the entries are published; nothing was lost."""
    monkeypatch.setattr("crosstape.bus.spool.disk_health.RETRY_S", 0.0)
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
    """It is a gap of the whole venue, because the streams are not known. Entries before and after the damage are on the tape."""
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
    """Complete frames without an event of this venue: another version wrote them, or a person did."""
    async with proxy(valkey) as net, publishing(fast(net.url, pending=10), spool=tmp_path) as publisher:
        away(net)
        publisher.publish_all(trade(number) for number in range(1, 101))
        await spooled(publisher)
        (lane,) = publisher._writers
        assert lane.spool is not None
        lane.spool.disk.append([b'{"type":"nothing"}', b"\xff"])
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
    """A thread does it, never the event loop; an error is counted and ends nothing."""
    threads: list[threading.Thread] = []

    def fsync(fd: int) -> None:
        threads.append(threading.current_thread())
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("crosstape.bus.spool.directory.os.fsync", fsync)
    monkeypatch.setattr("crosstape.bus.spool.spool.SYNC_S", 0.01)
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
