"""The memory is used up, without a spool: which events are dropped or replaced, and how that is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import Publisher, connect
from crosstape_schemas import Gap, GapCause, Trade
from tests.bus.tape import GAPS, KEYS, QUOTES, Counts, fast, numbers, on_tape, publishing, quote, trade, whole
from tests.proxy import proxy
from tests.waiting import wait_until


async def test_without_room_states_conflate_and_the_newest_happenings_are_dropped(client: Redis, valkey: str) -> None:
    """They are counted exactly and reported as one gap per stream. No number is missing: numbers are given when there is room."""
    counts = Counts()
    async with connect(fast(valkey)) as shared:
        publisher = Publisher(shared, KEYS, fast(valkey, pending=100), producer="connector.binance", metrics=counts)
        for number in range(1, 61):
            publisher.publish(quote(number))
            publisher.publish(trade(number))
        assert publisher.pending <= 101
        for number in range(61, 201):
            publisher.publish(quote(number))
            publisher.publish(trade(number))
        assert publisher.pending <= 101
        assert await publisher.drain(5)

    trades, quotes, gaps = await on_tape(client), await on_tape(client, QUOTES), await on_tape(client, GAPS)
    kept = len(trades)
    assert numbers(trades) == whole(kept)
    assert [event.received_ts for event in trades] == [1_000 + number for number in range(1, kept + 1)]
    assert numbers(quotes) == whole(len(quotes))
    assert quotes[-1].received_ts == 1_200
    (gap,) = gaps
    assert isinstance(gap, Gap)
    assert (gap.kind, gap.cause, gap.missed) == ("trade", GapCause.OVERFLOW, 200 - kept)
    assert (gap.from_ts, gap.to_ts) == (1_001 + kept, 1_200)
    assert counts.of["dropped trade overflow"] == 200 - kept
    assert counts.of["conflated quote"] == 200 - len(quotes)


async def test_the_gap_of_an_overflow_comes_without_waiting_for_the_end(client: Redis, valkey: str) -> None:
    """It is published as soon as a quarter of the memory is free."""
    async with proxy(valkey) as net, publishing(fast(net.url, pending=100)) as publisher:
        net.refusing = True
        publisher.publish_all(trade(number) for number in range(1, 151))
        net.refusing = False
        await wait_until(lambda: not publisher.pending, what="the backlog is written")

        async def told() -> bool:
            publisher.publish(trade(151))
            return bool(await client.exists(GAPS))

        await wait_until(told, what="the gap is on the tape")
    (gap,) = await on_tape(client, GAPS)
    assert isinstance(gap, Gap)
    assert gap.missed == 50


@pytest.mark.parametrize("spooling", [False, True])
async def test_what_is_left_is_told_apart(client: Redis, valkey: str, tmp_path: Path, *, spooling: bool) -> None:
    """At the end the server is away: lossless events, those that wait for the next start, and states are counted separately."""
    async with proxy(valkey) as net, publishing(fast(net.url), spool=tmp_path if spooling else None) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        assert publisher.unpublished == (0, 0, 0)
        net.refusing = True
        net.cut()
        publisher.publish_all([quote(1), trade(2), quote(2)])
        await wait_until(lambda: not publisher.availability.answering, what="a batch is in flight")
        publisher.publish_all([quote(3), quote(4), trade(3)])
        assert publisher.unpublished == (2, 0, 4)
        assert not await publisher.drain(0.2)
        left = publisher.unpublished
        assert (left.lossless, left.conflatable) == (2, 4)
        assert left.spooled == (2 if spooling else 0)  # what is in flight may be on the tape, and is in the spool if it is not
        assert publisher.pending == left.lossless + left.conflatable


async def test_what_is_on_its_way_out_of_the_spool_is_still_in_it(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The server goes away again while it receives the spooled entries: none is reported as lost, and a successor publishes all of them."""
    settings = fast(valkey, pending=50, batch=10)
    async with proxy(valkey) as net, publishing(fast(net.url, pending=50, batch=10), spool=tmp_path) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        net.refusing = True
        net.cut()
        publisher.publish_all(trade(number) for number in range(2, 302))
        await wait_until(lambda: not publisher.availability.answering, what="the server is away")
        net.refusing, net.delay_s = False, 0.1
        await wait_until(lambda: publisher.acknowledged > 30, what="some of it is on the tape, and some on its way")
        net.refusing = True
        net.cut()
        with capture_logs() as logs:
            assert not await publisher.drain(0.2)
        left = publisher.unpublished
        assert left.lossless == left.spooled > 200
        (said,) = [log for log in logs if log["event"] == "bus.not_drained"]
        assert (said["pending"], said["spooled"]) == (left.lossless, left.spooled)
        publisher.close()
    async with publishing(settings, spool=tmp_path) as successor:
        await successor.claimed()
        assert [event.trade_id for event in await on_tape(client) if isinstance(event, Trade)] == [str(n) for n in range(1, 302)]
