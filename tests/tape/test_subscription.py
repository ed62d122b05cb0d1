"""Loops over a subscription: every event once and in order, however slow the loop is, and until the tape is closed."""

from __future__ import annotations

import asyncio
import gc
from decimal import Decimal

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape import BusError, Missed, Quote, Start, Status, Tape, Trade
from crosstape.settings import MaxLen
from crosstape.tape import source
from crosstape_schemas import VENUE_WIDE, FeedState
from tests.bus.tape import BTC, ETH, KEYS, QUOTES, TRADES, Gaps, fast, ids, numbers, publishing, quote, stamped, status, trade, whole
from tests.tape.reading import bar, begun, is_current, taken, tape_and_publisher, taping, write
from tests.waiting import wait_until


async def test_a_loop_gets_typed_events_from_now_on(client: Redis, valkey: str) -> None:
    """What was there before the first read is not returned."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        await write(publisher, 1, 3)
        trades = tape.trades(BTC)
        await begun(trades)
        await write(publisher, 4, 5)
        events = await taken(trades, 2)
        assert numbers([*events]) == [4, 5]
        assert events[0].price == Decimal("57000.10")
        assert isinstance(events[0], Trade)


async def test_several_instruments_and_one_venue(client: Redis, valkey: str) -> None:
    """Events of other venues on the same streams are left out."""
    async with taping(valkey) as tape:
        for seq, (instrument, venue) in enumerate([(BTC, "binance"), (BTC, "kraken"), (ETH, "kraken"), (ETH, "binance")], 1):
            await client.xadd(KEYS.stream("trade", instrument), {"d": stamped(trade(seq, instrument, venue), 5, 1)})
        events = await taken(tape.trades(BTC, ETH, venue="kraken", start=Start.BEGINNING), 2)
        assert {(event.instrument, event.venue) for event in events} == {(BTC, "kraken"), (ETH, "kraken")}


async def test_the_last_value_of_each_venue_then_what_follows(client: Redis, valkey: str) -> None:
    """A program that starts knows the present state at once."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        await write(publisher, 1, 3, quote)
        quotes = tape.quotes(BTC, start=Start.LAST_THEN_NOW)
        assert numbers([*await taken(quotes, 1)]) == [3]
        await write(publisher, 4, 4, quote)
        assert numbers([*await taken(quotes, 1)]) == [4]


async def test_a_slow_loop_loses_nothing_that_the_server_keeps(client: Redis, valkey: str) -> None:
    """Nothing is buffered here beyond one answer: the events wait on the server."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        trades = tape.trades(BTC)
        await begun(trades)
        await write(publisher, 1, 6_000)
        first = await taken(trades, 1)
        await write(publisher, 6_001, 9_000)
        events = first + await taken(trades, 8_999)
        assert numbers([*events]) == whole(9_000)
        assert trades.missed == 0


async def test_a_slow_loop_learns_what_was_trimmed(client: Redis, valkey: str) -> None:
    """The count is exact, and comes with the venue and the first number."""
    gaps = Gaps()
    async with tape_and_publisher(valkey, max_len=MaxLen(trade=100)) as (tape, publisher):
        await write(publisher, 1, 10)
        trades = tape.trades(BTC, on_missed=gaps)
        await begun(trades)
        await write(publisher, 11, 5_000)
        (event,) = await taken(trades, 1)
        assert gaps.missed == [Missed(TRADES, "binance", event.epoch, 11, event.seq - 11)]
        assert trades.missed == event.seq - 11 > 0


async def test_what_was_missed_is_logged_once_a_stream_without_a_callback(client: Redis, valkey: str) -> None:
    """The counter grows all the same."""
    async with taping(valkey) as tape:
        for seq in (1, 3, 5, 9):
            await client.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
        trades = tape.trades(BTC, start=Start.BEGINNING)
        with capture_logs() as logs:
            await taken(trades, 4)
        assert [log["count"] for log in logs if log["event"] == "tape.missed"] == [1]
        assert trades.missed == 5


async def test_a_callback_for_missed_events_that_fails_ends_nothing(client: Redis, valkey: str) -> None:
    """Its error is logged."""
    async with taping(valkey) as tape:
        for seq in (1, 3):
            await client.xadd(TRADES, {"d": stamped(trade(seq), 5, seq)})
        trades = tape.trades(BTC, start=Start.BEGINNING, on_missed=lambda _: 1 / 0)
        with capture_logs() as logs:
            assert numbers([*await taken(trades, 2)]) == [1, 3]
        assert [log["event"] for log in logs] == ["tape.callback_failed"]


async def test_a_callback_for_missed_events_is_a_plain_function(client: Redis, valkey: str) -> None:
    """A coroutine would never run."""

    async def later(_: Missed) -> None:
        raise AssertionError

    async with taping(valkey) as tape:
        with pytest.raises(TypeError, match="plain function"):
            tape.trades(BTC, on_missed=later)


async def test_missed_events_of_another_venue_are_not_ours(client: Redis, valkey: str) -> None:
    """A subscription to one venue counts what is missing of that one."""
    async with taping(valkey) as tape:
        for venue, seq in (("kraken", 1), ("binance", 1), ("binance", 7), ("kraken", 3)):
            await client.xadd(TRADES, {"d": stamped(trade(seq, venue=venue), 5, seq)})
        trades = tape.trades(BTC, venue="kraken", start=Start.BEGINNING)
        await taken(trades, 2)
        assert trades.missed == 1


async def test_another_subscription_continues_behind_its_positions(client: Redis, valkey: str) -> None:
    """So does a program that was started again."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        await write(publisher, 1, 10)
        trades = tape.trades(BTC, start=Start.BEGINNING)
        assert numbers([*await taken(trades, 4)]) == [1, 2, 3, 4]
        again = tape.trades(BTC, start=trades.positions)
        assert numbers([*await taken(again, 6)]) == [5, 6, 7, 8, 9, 10]
        assert again.missed == 0


async def test_all_instruments_also_those_that_come_later(client: Redis, valkey: str) -> None:
    """A stream that is new is read from its first entry."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        await write(publisher, 1, 1)
        trades = tape.trades("*")
        await begun(trades, TRADES)
        await write(publisher, 1, 3, lambda number: trade(number, ETH))
        events = await taken(trades, 3)
        assert [(event.instrument, event.seq) for event in events] == [(ETH, 1), (ETH, 2), (ETH, 3)]


async def test_statuses_of_feeds_and_of_whole_venues(client: Redis, valkey: str) -> None:
    """`*` has both; gaps on a venue's own stream are no statuses."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        publisher.publish(status("trade"))
        publisher.publish(status(VENUE_WIDE, FeedState.LIVE, VENUE_WIDE))
        assert await publisher.drain(10)
        events = await taken(tape.statuses("*", start=Start.BEGINNING), 2)
        assert sorted(event.instrument for event in events) == [VENUE_WIDE, BTC]
        assert all(isinstance(event, Status) for event in events)
        assert {*await tape.last("status", VENUE_WIDE)} == {"binance"}
        assert {*await tape.last("status", BTC)} == {"binance:trade"}


async def test_newest_returns_the_newest_state_to_a_loop_that_is_behind(client: Redis, valkey: str) -> None:
    """Of thousands of quotes of each venue the last one, however many answers of the server they fill."""
    async with taping(valkey) as tape:
        async with client.pipeline() as pipe:
            for seq in range(1, 5_001):
                for venue in ("binance", "kraken"):
                    pipe.xadd(QUOTES, {"d": stamped(quote(seq, venue=venue), 5, seq)})
            await pipe.execute()
        quotes = tape.quotes(BTC, newest=True, start=Start.BEGINNING)
        events = await taken(quotes, 2)
        assert [(event.venue, event.seq) for event in events] == [("binance", 5_000), ("kraken", 5_000)]
        await client.xadd(QUOTES, {"d": stamped(quote(5_001), 5, 5_001)})
        assert numbers([*await taken(quotes, 1)]) == [5_001]
        assert quotes.missed == 0


async def test_newest_replaces_a_state_that_waits_while_the_loop_is_busy(client: Redis, valkey: str) -> None:
    """What is read during the loop's own waits replaces what was read before them."""
    async with taping(valkey) as tape:
        for venue in ("binance", "kraken"):
            await client.xadd(QUOTES, {"d": stamped(quote(1, venue=venue), 5, 1)})
        quotes = tape.quotes(BTC, newest=True, start=Start.BEGINNING)
        assert [(event.venue, event.seq) for event in await taken(quotes, 1)] == [("binance", 1)]
        await client.xadd(QUOTES, {"d": stamped(quote(2, venue="kraken"), 5, 2)})
        seen: list[int] = []

        async def newest() -> bool:
            if (event := await quotes.next(timeout_s=0.05)) is not None:
                assert event.venue == "kraken"
                seen.append(event.seq)
            return seen[-1:] == [2]

        await wait_until(newest, what="the second quote")
        assert seen in ([2], [1, 2])


async def test_newest_keeps_every_closed_bar(client: Redis, valkey: str) -> None:
    """Of open bars the newest; a closed one counts, and is not overtaken by the next open one."""
    name = KEYS.stream("bar:1m", BTC)
    async with taping(valkey) as tape:
        bars = [bar(0), bar(0, trades=2), bar(0, closed=True), bar(1), bar(1, trades=2), bar(1, closed=True), bar(2), bar(2, trades=2)]
        for seq, one in enumerate(bars, 1):
            await client.xadd(name, {"d": stamped(one, 5, seq)})
        events = await taken(tape.bars(BTC, "1m", newest=True, start=Start.BEGINNING), 3)
        assert [(event.seq, event.closed) for event in events] == [(3, True), (6, True), (8, False)]


async def test_newest_leaves_closed_bars_on_the_server(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When many wait in memory no more are read: none is dropped for want of room."""
    monkeypatch.setattr(source, "NEWEST_AHEAD", 100, raising=False)
    monkeypatch.setattr(source, "NEWEST_LIMIT", 2_500)
    name = KEYS.stream("bar:1m", BTC)
    async with client.pipeline() as pipe:
        for seq in range(1, 5_001):
            pipe.xadd(name, {"d": stamped(bar(seq, closed=True), 5, seq)})
        await pipe.execute()
    async with taping(valkey) as tape:
        bars = tape.bars(BTC, "1m", newest=True, start=Start.BEGINNING)
        assert numbers([*await taken(bars, 5_000)]) == whole(5_000)
        assert bars.missed == 0


async def test_bars_are_the_consolidated_ones_unless_a_venue_is_named(client: Redis, valkey: str) -> None:
    """None is all of them."""
    name = KEYS.stream("bar:1m", BTC)
    async with taping(valkey) as tape:
        for venue in ("kraken", "consolidated"):
            await client.xadd(name, {"d": stamped(bar(0, venue=venue, closed=True), 5, 1)})
        assert [event.venue for event in await taken(tape.bars(BTC, "1m", start=Start.BEGINNING), 1)] == ["consolidated"]
        assert [event.venue for event in await taken(tape.bars(BTC, "1m", venue="kraken", start=Start.BEGINNING), 1)] == ["kraken"]
        assert len(await taken(tape.bars(BTC, "1m", venue=None, start=Start.BEGINNING), 2)) == 2


async def test_next_and_read_end_with_their_timeout(client: Redis, valkey: str) -> None:
    """Without an event there is nothing."""
    async with taping(valkey) as tape:
        trades = tape.trades(BTC)
        assert await trades.next(timeout_s=0.05) is None
        assert await trades.read(timeout_s=0) == []


async def test_closing_a_subscription_ends_the_loop_over_it(client: Redis, valkey: str) -> None:
    """Also one that waits; what is read afterwards is nothing."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        await write(publisher, 1, 2)
        trades = tape.trades(BTC, start=Start.BEGINNING)
        seen: list[Trade] = []

        async def loop() -> None:
            seen.extend([event async for event in trades])

        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            group.create_task(loop())
            await wait_until(lambda: trades.positions, what="the trades are read")
            await trades.aclose()
        assert numbers([*seen]) == [1, 2]
        assert await trades.read() == []
        assert trades.closed


async def test_closing_the_tape_ends_every_loop(client: Redis, valkey: str) -> None:
    """Whether its server answers or was never there."""
    for url in (valkey, "unix:///nowhere/valkey.sock"):
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            tape = Tape(fast(url))
            async with tape:
                loops = [group.create_task(tape.trades(BTC).next()) for _ in range(3)]
                await asyncio.sleep(0)
            await asyncio.wait(loops)
        assert [task.result() for task in loops] == [None] * 3


async def test_a_cancelled_read_loses_nothing(client: Redis, valkey: str) -> None:
    """The next one continues where it was."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        trades = tape.trades(BTC)
        await begun(trades)
        seen: list[int] = []
        for number in range(1, 40):
            reading = asyncio.create_task(trades.read())
            if number % 3:
                publisher.publish(trade(number))
                await asyncio.sleep(0.001 * (number % 5))
            else:
                await write(publisher, number, number)
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled():
                seen += numbers([*reading.result()])
        assert await publisher.drain(10)
        while len(seen) < 39:
            seen += numbers([*await trades.read(timeout_s=10)])
        assert seen == whole(39)


async def test_a_subscription_that_is_forgotten_is_closed(client: Redis, valkey: str) -> None:
    """A loop that is left early, again and again, costs no connection."""

    async def connections() -> int:
        return len(await client.client_list())

    async with tape_and_publisher(valkey) as (tape, publisher):
        await write(publisher, 1, 1)
        await taken(tape.trades(BTC, start=Start.BEGINNING), 1)
        for _ in range(20):
            async for _ in tape.trades(BTC, start=Start.BEGINNING):
                break
        gc.collect()

        async def few() -> bool:
            return await connections() < 12

        await wait_until(few, what="the connections are closed")


async def test_a_subscription_has_one_caller_at_a_time(client: Redis, valkey: str) -> None:
    """Two loops over one would share its events."""
    async with taping(valkey) as tape:
        trades = tape.trades(BTC)
        first = asyncio.create_task(trades.next())
        await asyncio.sleep(0)
        with pytest.raises(BusError, match="one caller at a time"):
            await trades.next()
        first.cancel()
        await asyncio.wait({first})


async def test_many_subscriptions_at_once(client: Redis, valkey: str) -> None:
    """Each gets all of its instrument, and none of the others. All stay open: each has a connection."""
    names = [f"COIN{n}-USDT" for n in range(120)]  # redis-py's own limit is 100 connections
    async with tape_and_publisher(valkey) as (tape, publisher):
        subscriptions = [tape.trades(name, start=Start.BEGINNING) for name in names]
        loops = [asyncio.create_task(taken(trades, 5)) for trades in subscriptions]
        for number in range(1, 6):
            publisher.publish_all(trade(number, name) for name in names)
        assert await publisher.drain(20)
        for name, found in zip(names, await asyncio.gather(*loops), strict=True):
            assert [(event.instrument, event.seq) for event in found] == [(name, seq) for seq in whole(5)]


async def test_a_state_is_current_while_its_producer_gives_signs_of_life(client: Redis, valkey: str) -> None:
    """It is known with the first event; a producer that says that it stops makes its states old."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        await write(publisher, 1, 1, quote)
        quotes = tape.quotes(BTC, start=Start.LAST_THEN_NOW)
        (first,) = await taken(quotes, 1)
        found = (await tape.last("quote", BTC))["binance"]
        assert isinstance(found, Quote)
        assert found == first
        assert not tape.is_current(first)
        await wait_until(lambda: is_current(tape, publisher, first), what="the quote is current")
        publisher.publish(status(VENUE_WIDE, FeedState.DOWN, VENUE_WIDE))
        await wait_until(lambda: not tape.is_current(first), what="the quote is not current any more")


async def test_an_instrument_that_the_tape_does_not_have_is_logged_with_the_nearest(client: Redis, valkey: str) -> None:
    """It is waited for: it may come later."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        await write(publisher, 1, 1)
        with capture_logs() as logs:
            trades = tape.trades("BTC-USDTT")
            await begun(trades)
            await wait_until(lambda: logs, what="it is logged")
        assert [(log["event"], log["instrument"]) for log in logs] == [("tape.unknown_instrument", "BTC-USDTT")]
        assert f"did you mean {BTC}?" in logs[0]["hint"]
        await write(publisher, 1, 1, lambda number: trade(number, "BTC-USDTT"))
        assert len(await taken(trades, 1)) == 1


async def test_refused_where_waiting_cannot_help(client: Redis, valkey: str) -> None:
    """The first read says why."""
    async with taping(valkey, username="nobody", password="wrong") as tape:
        with pytest.raises(BusError, match="cannot be used"):
            await tape.trades(BTC).next()
        everything = tape.trades("*")
        for _ in range(2):
            with pytest.raises(BusError, match="cannot be used"):
                await everything.read(timeout_s=20)
        with pytest.raises(BusError, match="cannot be asked"):
            await tape.last("trade", BTC)


async def test_a_user_who_may_read_only_trades_reads_them(client: Redis, valkey: str) -> None:
    """Whether their producer is alive is not known to this user: nothing is current, and the log says why."""
    await client.acl_setuser(
        "reader",
        enabled=True,
        reset=True,
        passwords=["+secret"],
        keys=["tape:trade:*", "tape:last:trade:*", "tape:streams"],
        commands=["+@all"],
    )
    await client.xadd(TRADES, {"d": stamped(trade(1), 5, 1)})
    try:
        async with taping(valkey, username="reader", password="secret", timeout_s=0.3) as tape:
            with capture_logs() as logs:
                trades = tape.trades(BTC, start=Start.BEGINNING)
                (event,) = await taken(trades, 1)
                await client.xadd(TRADES, {"d": stamped(trade(2), 5, 2)})
                await taken(trades, 1)
            assert not tape.is_current(event)
        assert sum(log["event"] == "tape.signs_of_life_unknown" for log in logs) == 1
    finally:
        await client.acl_deluser("reader")


async def test_a_tape_is_used_while_it_is_open(client: Redis, valkey: str) -> None:
    """Before and after, it says so; it may be opened again."""
    tape = Tape(valkey)
    with pytest.raises(BusError, match="not open"):
        tape.trades(BTC)
    for _ in range(2):
        async with tape:
            assert await tape.instruments() == []
            with pytest.raises(BusError, match="open already"):
                await tape.__aenter__()
    await tape.aclose()
    with pytest.raises(BusError, match="not open"):
        await tape.get()


async def test_a_loop_over_all_instruments_says_that_the_server_is_away() -> None:
    """It has no stream yet whose reading would say so."""
    async with taping("unix:///nowhere/valkey.sock") as tape:
        with capture_logs() as logs:
            reading = asyncio.create_task(tape.trades("*").read())
            await wait_until(lambda: logs, what="it is logged")
        assert logs[0]["event"] == "bus.unavailable"
        reading.cancel()
        await asyncio.wait({reading})


async def test_what_is_read_after_the_end_starts_nothing(client: Redis, valkey: str) -> None:
    """No task, which nobody would end."""
    async with taping(valkey) as tape:
        closed, everything = tape.trades("*"), tape.trades("*")
        await closed.aclose()
        assert await closed.read() == []
    assert await everything.next() is None
    assert [event async for event in everything] == []
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("tape.")] == []


async def test_closing_ends_a_loop_over_the_newest(client: Redis, valkey: str) -> None:
    """What waited in memory is not returned any more."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        publisher.publish_all(quote(1, name) for name in (BTC, ETH))
        assert await publisher.drain(10)
        quotes = tape.quotes(BTC, ETH, start=Start.BEGINNING, newest=True)
        assert len(await taken(quotes, 1)) == 1
        await quotes.aclose()
        assert [event async for event in quotes] == []


async def test_positions_pass_what_is_not_wanted(client: Redis, valkey: str) -> None:
    """A venue that is silent for long does not keep the position where the server will trim."""
    async with tape_and_publisher(valkey) as (tape, publisher):
        trades = tape.trades(BTC, venue="kraken", start=Start.BEGINNING)
        await write(publisher, 1, 5)
        end = (await ids(client))[-1]

        async def passed() -> bool:
            assert await trades.next(timeout_s=0.01) is None
            return trades.positions == {TRADES: end}

        await wait_until(passed, what="the position is the stream's end")


async def test_what_is_on_the_tape(client: Redis, valkey: str) -> None:
    """Names of instruments and venues, and last values without those of trades that came late."""
    async with publishing(fast(valkey)) as publisher, taping(valkey) as tape:
        publisher.publish(status(VENUE_WIDE, instrument=VENUE_WIDE))
        publisher.publish(trade(1, ETH))
        await write(publisher, 1, 2)
        await client.hset(KEYS.last("trade", BTC), mapping={"binance:late": stamped(trade(1), 1, 1), "kraken": "no event"})
        assert await tape.instruments() == [BTC, ETH]
        assert await tape.venues() == ["binance"]
        with capture_logs() as logs:
            assert {venue: event.seq for venue, event in (await tape.last("trade", BTC)).items()} == {"binance": 2}
        assert [log["event"] for log in logs] == ["tape.foreign"]
        assert await tape.last("cbbo", BTC) == {}
        with pytest.raises(ValueError, match="one instrument"):
            await tape.last("trade", "*")
