"""The server dies and comes back, with all, with less, and not at once: nothing is lost or repeated, and the tape says what is missing."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape import AnyEvent, Missed, Start, Tape, Trade
from tests.bus.tape import BTC, TRADES, fast, numbers, publishing, quote, stamped, trade, whole
from tests.engines import StartServer
from tests.tape.reading import is_current, taken, tape_and_publisher, taping, write
from tests.waiting import wait_until


async def test_every_way_to_read_resumes_after_the_server_was_killed(start_server: StartServer) -> None:
    """A loop, callbacks and the queue, each while they wait: without loss or repeat, three times."""
    server = await start_server(persist=True, options={"appendfsync": "always"})
    called: list[int] = []
    looped: list[int] = []
    polled: list[int] = []
    async with tape_and_publisher(server.url) as (tape, publisher), asyncio.TaskGroup() as group:
        tape.on("trade", BTC, start=Start.BEGINNING)(lambda event: called.append(event.seq))
        tape.follow("trade", BTC, start=Start.BEGINNING)

        async def loop() -> None:
            async for event in tape.trades(BTC, start=Start.BEGINNING):
                looped.append(event.seq)  # noqa: PERF401  # seen while it runs

        async def poll() -> None:
            while True:
                event = await tape.get()
                assert isinstance(event, Trade)
                polled.append(event.seq)

        tasks = [group.create_task(one) for one in (loop(), poll(), tape.run())]
        for first in range(1, 300, 100):
            publisher.publish_all(trade(number) for number in range(first, first + 50))
            await server.kill()
            publisher.publish_all(trade(number) for number in range(first + 50, first + 100))
            await server.start()
        for seen in (called, looped, polled):
            await wait_until(lambda seen=seen: len(seen) >= 300, what="all were read")  # type: ignore[misc]
        for task in tasks:
            task.cancel()
    assert called == looped == polled == whole(300)


async def test_a_server_that_lost_all_repeats_nothing(start_server: StartServer) -> None:
    """The producer writes again what it still has, under new ids; the numbers show that it was read before."""
    server = await start_server()
    async with tape_and_publisher(server.url, retransmit_s=60.0) as (tape, publisher):
        trades = tape.trades(BTC, start=Start.BEGINNING)
        await write(publisher, 1, 10)
        events = await taken(trades, 10)
        await server.kill()
        publisher.publish(trade(11))
        await server.start()
        events += await taken(trades, 1)
        assert numbers([*events]) == whole(11)
        assert trades.missed == 0


async def test_what_was_trimmed_during_an_outage_is_missed(start_server: StartServer) -> None:
    """The server came back with less than was written while we did not read."""
    server = await start_server(persist=True, options={"appendfsync": "always"})
    missed: list[Missed] = []
    async with taping(server.url) as tape, Redis.from_url(server.url) as client:
        await client.xadd(TRADES, {"d": stamped(trade(1), 5, 1)})
        trades = tape.trades(BTC, start=Start.BEGINNING, on_missed=missed.append)
        await taken(trades, 1)
        await server.kill()
        await server.start()
        async with client.pipeline(transaction=True) as pipe:  # at once: the tape may read again already
            for seq in range(2, 21):
                pipe.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)}, maxlen=5, approximate=False)
            await pipe.execute()
        events = await taken(trades, 5)
        assert numbers([*events]) == [16, 17, 18, 19, 20]
        assert missed == [Missed(TRADES, "binance", 5, 2, 14)]
        assert trades.missed == 14


@pytest.mark.slow
async def test_a_tape_may_be_opened_before_its_server_runs(start_server: StartServer) -> None:
    """Its loops wait for it. Whether a state is current is known with the first event."""
    server = await start_server()
    await server.kill()
    async with Tape(fast(server.url)) as tape:
        quotes = tape.quotes(BTC, start=Start.BEGINNING)
        reading: asyncio.Task[AnyEvent | None] = asyncio.create_task(quotes.next())
        assert await tape.trades(BTC).next(timeout_s=0.1) is None
        await server.start()
        async with publishing(fast(server.url)) as publisher:
            await write(publisher, 1, 1, quote)
            event = await asyncio.wait_for(reading, 20)
            assert event is not None
            assert event.seq == 1
            await wait_until(lambda: is_current(tape, publisher, event), what="its producer is alive")
            await server.kill()
            await wait_until(lambda: not tape.is_current(event), what="nothing is current without a server")
            await server.start()


@pytest.mark.slow
async def test_many_subscriptions_survive_the_server(start_server: StartServer) -> None:
    """Each gets all of its instrument, and the outage is logged once for all."""
    server = await start_server(persist=True, options={"appendfsync": "always"})
    names = [f"COIN{n}-USDT" for n in range(120)]  # redis-py's own limit is 100 connections
    async with tape_and_publisher(server.url) as (tape, publisher):
        loops = [asyncio.create_task(taken(tape.trades(name, start=Start.BEGINNING), 20)) for name in names]
        with capture_logs() as logs:
            for number in range(1, 21):
                publisher.publish_all(trade(number, name) for name in names)
                if number % 7 == 0:
                    await server.kill()
                    await server.start()
            found = await asyncio.gather(*loops)
        for name, events in zip(names, found, strict=True):
            assert [(event.instrument, event.seq) for event in events] == [(name, seq) for seq in whole(20)]
    assert sum(log["event"] == "bus.unavailable" for log in logs) < 100
