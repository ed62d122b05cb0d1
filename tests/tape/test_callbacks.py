"""Callbacks: called in order, one at a time; an error of one does not stop the others."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape import BusError, Event, Missed, Quote, Start, Tape, Trade
from crosstape.tape import failures
from tests.bus.tape import BTC, ETH, KEYS, QUOTES, TRADES, fast, numbers, quote, stamped, trade, whole
from tests.tape.reading import tape_and_publisher, taping, write
from tests.waiting import wait_until


async def test_functions_and_coroutines_are_called_in_order(client: Redis, valkey: str) -> None:
    """One after the other, also where one waits for something."""
    running = 0
    seen: list[tuple[str, int]] = []
    async with tape_and_publisher(valkey) as (tape, publisher):

        @tape.on("trade", BTC, start=Start.BEGINNING)
        def first(event: Trade) -> None:
            assert not running
            seen.append(("first", event.seq))

        @tape.on("trade", BTC)
        async def second(event: Trade) -> None:
            nonlocal running
            running += 1
            assert running == 1
            await asyncio.sleep(0.001)
            running -= 1
            seen.append(("second", event.seq))

        @tape.on("quote", BTC, ETH, start=Start.BEGINNING)
        async def third(event: Quote) -> None:
            assert not running
            seen.append(("third", event.seq))

        await write(publisher, 1, 20)
        await write(publisher, 1, 20, quote)
        run = asyncio.create_task(tape.run())
        await wait_until(lambda: len(seen) == 60, what="all were called")
        run.cancel()
        await asyncio.wait({run})
    for name in ("first", "second", "third"):
        assert [seq for one, seq in seen if one == name] == whole(20)
    trades = [one for one in seen if one[0] != "third"]
    assert trades == [(name, seq) for seq in whole(20) for name in ("first", "second")]


async def test_an_error_of_one_callback_stops_no_other(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged with the callback's name and where it happened: once a minute, and how often since."""
    seen: list[int] = []
    async with tape_and_publisher(valkey) as (tape, publisher):

        @tape.on("trade", BTC, start=Start.BEGINNING)
        def fails(event: Trade) -> None:
            raise ValueError(event.trade_id)

        @tape.on("trade", BTC)
        async def fails_too(event: Trade) -> None:
            raise RuntimeError

        @tape.on("trade", BTC)
        def works(event: Trade) -> None:
            seen.append(event.seq)

        await write(publisher, 1, 5)
        with capture_logs() as logs:
            async with asyncio.TaskGroup() as group:
                run = group.create_task(tape.run())
                await wait_until(lambda: len(seen) == 5, what="the third was called")
                assert len(logs) == 2
                monkeypatch.setattr(failures, "LOG_S", 0.0)
                await write(publisher, 6, 6)
                await wait_until(lambda: len(seen) == 6, what="the third was called again")
                run.cancel()
    assert seen == whole(6)
    assert {log["event"] for log in logs} == {"tape.callback_failed"}
    assert [(log["callback"].rpartition(".")[2], log["failures"], str(log["exc_info"])) for log in logs] == [
        ("fails", 1, "1"),
        ("fails_too", 1, ""),
        ("fails", 5, "6"),
        ("fails_too", 5, ""),
    ]
    assert all(log["stream"] == TRADES for log in logs)


async def test_a_slow_callback_leaves_events_on_the_server(client: Redis, valkey: str) -> None:
    """It gets all of them. Another run continues behind the last one."""
    seen: list[int] = []
    async with tape_and_publisher(valkey) as (tape, publisher):

        @tape.on("trade", BTC, start=Start.BEGINNING)
        async def slow(event: Trade) -> None:
            if event.seq % 1_000 == 1:
                await asyncio.sleep(0.01)
            seen.append(event.seq)

        await write(publisher, 1, 5_000)
        for end in (5_000, 5_003):
            run = asyncio.create_task(tape.run())
            await wait_until(lambda end=end: len(seen) >= end, what="all were seen")  # type: ignore[misc]
            run.cancel()
            await asyncio.wait({run})
            await write(publisher, end + 1, end + 3)
    assert seen == whole(5_003)


async def test_what_was_missed_is_reported_to_run(client: Redis, valkey: str) -> None:
    """With the venue and the count."""
    missed: list[Missed] = []
    seen: list[Event] = []
    async with taping(valkey) as tape:
        for seq in (1, 4):
            await client.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
        await client.sadd(KEYS.registry(), TRADES)
        tape.on("trade", "*", start=Start.BEGINNING)(seen.append)
        for seq in (1, 3):
            await client.xadd(QUOTES, {"d": stamped(quote(seq), 5, seq)})
        tape.on("quote", BTC, venue="kraken", start=Start.BEGINNING)(seen.append)
        async with asyncio.TaskGroup() as group:
            run = group.create_task(tape.run(on_missed=missed.append))
            await wait_until(lambda: len(seen) == 2, what="both were seen")
            run.cancel()
    assert missed == [Missed(TRADES, "binance", 5, 2, 2)]


async def test_run_ends_after_its_seconds_and_with_the_tape(client: Redis, valkey: str) -> None:
    """Between two callbacks: none is cut off. A callback may be added while it runs."""
    seen: list[Event] = []
    finished: list[Event] = []
    async with tape_and_publisher(valkey) as (tape, publisher):

        @tape.on("trade", BTC, start=Start.BEGINNING)
        async def long(event: Trade) -> None:
            await asyncio.sleep(0.2)
            finished.append(event)

        await write(publisher, 1, 3)
        await tape.run(seconds=0.1)
        assert numbers([*finished]) in ([], [1])  # type: ignore[list-item]
        run = asyncio.create_task(tape.run())
        tape.on("quote", BTC, start=Start.BEGINNING)(seen.append)
        await write(publisher, 1, 1, quote)
        await wait_until(lambda: seen, what="a callback that was added")
    await asyncio.wait_for(run, 10)


async def test_callbacks_may_be_registered_before_the_tape_is_opened(client: Redis, valkey: str) -> None:
    """As decorators of a module are. They stay when it is closed and opened again."""
    seen: list[int] = []
    tape = Tape(fast(valkey))

    @tape.on("trade", BTC, start=Start.BEGINNING)
    def on_trade(event: Trade) -> None:
        seen.append(event.seq)

    with pytest.raises(BusError, match="not open"):
        await tape.run()
    for seq in (1, 2):
        await client.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
        async with tape:
            run = asyncio.create_task(tape.run())
            await wait_until(lambda seq=seq: seen[-1:] == [seq], what="it was called")  # type: ignore[misc]
        await asyncio.wait_for(run, 10)
    assert seen == [1, 1, 2]
    tape.on("trade", BTC)(print)
    with pytest.raises(ValueError, match="is read already"):
        tape.on("trade", BTC, start="5-1")(print)
    tape.on("trade", BTC, venue="kraken", start="5-1")(print)
    with pytest.raises(ValueError, match="is read already"):
        await tape.__aenter__()


async def test_something_cancelled_within_a_callback_is_an_error_of_it(client: Redis, valkey: str) -> None:
    """Cancelling `run` itself ends it, also within a callback."""
    seen: list[int] = []
    async with taping(valkey) as tape:

        @tape.on("trade", BTC, start=Start.BEGINNING)
        async def waits(event: Trade) -> None:
            seen.append(event.seq)
            waiting = asyncio.get_running_loop().create_future()
            if event.seq == 1:
                waiting.cancel()
            await waiting

        for seq in (1, 2):
            await client.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
        with capture_logs() as logs:
            run = asyncio.create_task(tape.run())
            await wait_until(lambda: seen == [1, 2], what="it was called again")
        assert [log["event"] for log in logs] == ["tape.callback_failed"]
        run.cancel()
        await asyncio.wait({run})
        assert run.cancelled()


async def test_one_stream_has_one_start_for_all_callbacks(client: Redis, valkey: str) -> None:
    """It is read once. And without a callback there is nothing to run."""
    async with taping(valkey) as tape:
        with pytest.raises(BusError, match="no callback"):
            await tape.run()
        tape.on("quote", BTC, start=Start.LAST_THEN_NOW)(print)
        tape.on("quote", BTC, start=Start.LAST_THEN_NOW)(print)
        tape.on("quote", BTC, venue="kraken")(print)
        with pytest.raises(ValueError, match=f"{QUOTES} is read already"):
            tape.on("quote", ETH, BTC, start=Start.BEGINNING)(print)
        with pytest.raises(TypeError, match="a position is"):
            tape.on("trade", "*", start=7)(print)  # type: ignore[arg-type]
        tape.on("trade", "*", start=Start.BEGINNING)(print)
        with pytest.raises(ValueError, match="trade is read already"):
            tape.on("trade", "*", start=Start.LAST_THEN_NOW)(print)


async def test_one_run_at_a_time(client: Redis, valkey: str) -> None:
    """Two would call one callback at the same time. Another one may follow."""
    async with taping(valkey) as tape:
        started, go_on = asyncio.Event(), asyncio.Event()

        @tape.on("trade", BTC, start=Start.BEGINNING)
        async def waits(_: Trade) -> None:
            started.set()
            await go_on.wait()

        await client.xadd(TRADES, {"d": stamped(trade(1), 5, 1)})
        first = asyncio.create_task(tape.run())
        async with asyncio.timeout(20):
            await started.wait()
            with pytest.raises(BusError, match=r"one tape\.run"):
                await tape.run()
            go_on.set()
        first.cancel()
        await asyncio.wait({first})
        await tape.run(seconds=0)


async def test_what_cannot_be_called_is_refused(client: Redis, valkey: str) -> None:
    """At once, and not with the first event."""

    async def report(_: Missed) -> None:
        raise AssertionError

    async with taping(valkey) as tape:
        with pytest.raises(TypeError, match="function of one argument"):
            tape.on("trade", BTC)(7)  # type: ignore[type-var]
        tape.on("trade", BTC)(print)
        for on_missed in (report, 7):
            with pytest.raises(TypeError, match="plain function"):
                await tape.run(on_missed=on_missed)  # type: ignore[arg-type]
