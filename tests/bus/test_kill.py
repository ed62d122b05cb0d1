"""A server that is killed while it is written to and read, and comes back: with its data, or with none."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from crosstape.bus import Publisher, Reader, Start, connect
from crosstape.settings import MaxLen
from tests.bus.tape import GAPS, KEYS, QUOTES, TRADES, Counts, Gaps, fast, numbers, on_tape, publishing, quote, trade, whole
from tests.engines import StartServer
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

KILLS = 3
PENDING = 20_000
"""Fewer events than this are published while the server is away: overflow is tested elsewhere."""


async def busy(publisher: Publisher, enough: asyncio.Event) -> int:
    """Publish trades and quotes until `enough` is set. Returns how many of each."""
    number = 0
    while not enough.is_set():
        if publisher.pending < PENDING:
            for _ in range(50):
                number += 1
                publisher.publish(trade(number))
                publisher.publish(quote(number))
        await publisher.flow()
        await asyncio.sleep(0.01)  # a pace that the ring holds for as long as this takes
    return number


async def written(publisher: Publisher, more: int) -> None:
    """Wait until this many more entries are acknowledged."""
    enough = publisher.acknowledged + more
    await wait_until(lambda: publisher.acknowledged >= enough, what="it is written to")


async def collect(reader: Reader, seen: dict[str, list[int]]) -> None:
    """Numbers by stream, as they are read, until cancelled."""
    async for entry in reader:
        seen[entry.stream].append(entry.event.seq)


@pytest.mark.parametrize("fsync", ["always", "everysec", None])
async def test_killed_under_load_and_back_again_it_has_each_event_once(start_server: StartServer, fsync: str | None) -> None:
    """The server has each event once and a reader reads each once, in order, whatever the server kept: all, most, or (None) nothing."""
    server = await start_server(persist=bool(fsync), options={"appendfsync": fsync} if fsync else {})
    settings = fast(server.url, retransmit_s=600.0, retransmit_bytes=1 << 30, max_len=MaxLen(trade=10**6, quote=10**6))
    seen: dict[str, list[int]] = {TRADES: [], QUOTES: []}
    gaps, counts, enough = Gaps(), Counts(), asyncio.Event()
    async with (
        connect(settings) as own,
        Reader(own, KEYS, streams=list(seen), start=Start.BEGINNING, on_gap=gaps, backoff_s=0.05) as reader,
        publishing(settings, metrics=counts) as publisher,
        asyncio.TaskGroup() as group,
    ):
        load = group.create_task(busy(publisher, enough))
        reading = group.create_task(collect(reader, seen))
        for _ in range(KILLS):
            await written(publisher, 2_000)
            await server.kill()
            await wait_until(lambda: not publisher.availability.answering, what="the publisher notices")
            await server.start()
            await wait_until(lambda: publisher.availability.answering, what="the publisher is back")
        enough.set()
        count = await load
        assert await publisher.drain(60)
        await wait_until(lambda: all(len(numbers) >= count for numbers in seen.values()), what="all is read", timeout_s=60)
        reading.cancel()

    assert seen == {TRADES: whole(count), QUOTES: whole(count)}
    assert not gaps.missed
    async with Redis.from_url(server.url) as client:
        assert numbers(await on_tape(client)) == whole(count)
        assert numbers(await on_tape(client, QUOTES)) == whole(count)
        assert not await on_tape(client, GAPS)
    if fsync is None:
        assert counts.of["retransmitted"]
    if fsync == "always":
        assert not counts.of["retransmitted"]
