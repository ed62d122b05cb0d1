"""A server that is away for longer than memory lasts: what happened is on disk meanwhile, and then on the tape, in order and once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape_schemas import VENUE_WIDE, Gap, GapCause, Keys, Status
from tests.bus.spool.spooling import PENDING, away, files, spooled, trade_ids
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
from tests.proxy import proxy

BTC_AND_ETH = (BTC, ETH)


async def test_all_that_happened_is_on_the_tape_in_order(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Many times as many events as fit into memory: no trade is missing or doubled, no number is missing, and no file is left."""
    counts = Counts()
    async with proxy(valkey) as net, publishing(fast(net.url, pending=PENDING), spool=tmp_path, metrics=counts) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 11))
        assert await publisher.drain(5)
        away(net)
        for number in range(11, 5_001):
            publisher.publish_all([trade(number), quote(number)])
            if number % 50 == 0:
                await asyncio.sleep(0)
        assert publisher._memory.used <= PENDING
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


@pytest.mark.parametrize("batch", [20, 1_024])
async def test_what_comes_while_it_catches_up_follows(client: Redis, valkey: str, tmp_path: Path, batch: int) -> None:
    """Behind what was spooled, on each stream; then memory serves again, and nothing is spooled. A batch may be larger than the memory."""
    counts = Counts()
    async with proxy(valkey) as net, publishing(fast(net.url, pending=PENDING, batch=batch), spool=tmp_path, metrics=counts) as publisher:
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
        assert not await on_tape(client, KEYS.stream("gap", name))


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
    """Both are lossless. Their order on the venue's own stream, which has both, is kept."""
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
    """One gap for each stream, with exact count and times; everything that was accepted is on the tape."""
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
    """Each partition has its own writer, cursor and part of the bound."""
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
