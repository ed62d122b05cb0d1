"""A server that lost data receives again what is still in memory; a gap reports the rest."""

from __future__ import annotations

import time

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus.publish import delivery
from crosstape_schemas import Gap, GapCause
from tests.bus.tape import ETH, GAPS, KEYS, QUOTES, TRADES, Counts, fast, numbers, on_tape, publishing, quote, trade, whole
from tests.engines import StartServer
from tests.waiting import wait_until


@pytest.mark.parametrize("retransmit_s", [60.0, 0.0])
async def test_a_server_that_lost_all_gets_the_ring_and_a_gap_for_the_rest(start_server: StartServer, retransmit_s: float) -> None:
    """Batches in the retransmit buffer are sent again under their numbers; older ones are a gap of cause `bus`, with the exact count."""
    server = await start_server()
    counts = Counts()
    async with publishing(fast(server.url, retransmit_s=retransmit_s), metrics=counts) as publisher:
        for number in range(1, 11):
            publisher.publish_all([trade(number), quote(1, ETH)] if number == 1 else [trade(number)])
            assert await publisher.drain(5)
        await server.kill()
        publisher.publish(trade(11))
        await server.start()
        assert await publisher.drain(10)
        async with Redis.from_url(server.url) as client:
            trades, gaps = await on_tape(client), await on_tape(client, GAPS)
            quotes = await on_tape(client, KEYS.stream("quote", ETH))
            assert TRADES.encode() in await client.smembers(KEYS.registry())
    if retransmit_s:
        assert numbers(trades) == whole(11)
        assert not gaps
        assert counts.of["retransmitted"] == 11
        assert numbers(quotes) == [1]
    else:
        assert numbers(trades) == [11]
        (gap,) = gaps
        assert isinstance(gap, Gap)
        assert (gap.kind, gap.missed, gap.cause, gap.to_ts) == ("trade", 10, GapCause.BUS, 1_011)
        assert numbers(quotes) == [2], "a state is written anew: nobody would tell it to those who come later"


async def test_a_gap_ends_where_the_last_that_was_lost_came(start_server: StartServer) -> None:
    """No event of its stream has come since: the gap must not last until the loss was found."""
    server = await start_server()
    async with publishing(fast(server.url, retransmit_s=0.0)) as publisher:
        publisher.publish_all([trade(1, ETH), trade(2, ETH)])
        assert await publisher.drain(5)
        await server.kill()
        publisher.publish(trade(1))
        await server.start()
        assert await publisher.drain(10)
        async with Redis.from_url(server.url) as client:
            gaps = await on_tape(client, KEYS.stream("gap", ETH))
    assert [(gap.missed, gap.to_ts) for gap in gaps if isinstance(gap, Gap)] == [(2, 1_002)]


async def test_a_lost_cursor_alone_doubles_nothing(client: Redis, valkey: str) -> None:
    """The last values show what the server has: only missing entries are sent again."""
    counts = Counts()
    async with publishing(fast(valkey, retransmit_s=60.0), metrics=counts) as publisher:
        for number in range(1, 6):
            publisher.publish_all([trade(number), quote(number)])
            assert await publisher.drain(5)
        await client.delete(KEYS.cursor("connector.binance"))
        publisher.publish(trade(6))
        assert await publisher.drain(5)
    assert numbers(await on_tape(client)) == whole(6)
    assert numbers(await on_tape(client, QUOTES)) == whole(5)
    assert not await on_tape(client, GAPS)
    assert not counts.of["retransmitted"]


async def test_a_server_that_went_back_in_time_gets_what_it_lacks(start_server: StartServer) -> None:
    """It restarted from a snapshot: entries in the snapshot are not written again, later ones are."""
    server = await start_server(options={"dbfilename": "old.rdb"})
    async with publishing(fast(server.url, retransmit_s=60.0)) as publisher:
        for number in range(1, 11):
            publisher.publish(trade(number))
            assert await publisher.drain(5)
            if number == 4:
                async with Redis.from_url(server.url) as client:
                    await client.save()
        await server.kill()
        await server.start()
        publisher.publish(trade(11))
        assert await publisher.drain(10)
        async with Redis.from_url(server.url) as client:
            assert numbers(await on_tape(client)) == whole(11)
            assert not await on_tape(client, GAPS)


async def test_the_ring_is_bounded_in_bytes(start_server: StartServer) -> None:
    """The newest are kept; the number lost is exact."""
    server = await start_server()
    async with publishing(fast(server.url, retransmit_s=60.0, retransmit_bytes=1_000)) as publisher:
        for number in range(1, 21):
            publisher.publish(trade(number))
            assert await publisher.drain(5)
        await server.kill()
        await server.start()
        publisher.publish(trade(21))
        assert await publisher.drain(10)
        async with Redis.from_url(server.url) as client:
            trades, gaps = await on_tape(client), await on_tape(client, GAPS)
    assert 1 < len(trades) < 20
    assert numbers(trades) == list(range(22 - len(trades), 22))
    assert [gap.missed for gap in gaps if isinstance(gap, Gap)] == [21 - len(trades)]


async def test_a_cursor_that_never_agrees_is_asked_at_a_pace(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may refuse by an epoch that is not newer, and again when there is nothing that it lacks: that is no reason to hurry."""
    monkeypatch.setattr(delivery, "parse_epoch", lambda cursor, epoch: int(epoch))
    cursor = KEYS.cursor("connector.binance")
    async with publishing(fast(valkey)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        epoch = int((await client.hget(cursor, "epoch")) or 0)
        await client.hset(cursor, "epoch", f"000{epoch - 1}")
        with capture_logs() as logs:
            started = time.monotonic()
            publisher.publish(trade(2))
            await wait_until(lambda: sum(log["event"] == "bus.data_lost" for log in logs) >= 4, what="it was refused four times")
            assert time.monotonic() - started > 0.3
        await client.delete(cursor)
        assert await publisher.drain(10)
    assert numbers(await on_tape(client)) == [1, 2]
