"""Tests the windows of restarted aggregators on a real server, with and without a checkpoint."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape_aggregator.recovery.checkpoint import VERSION, by_instrument, chunk_field, head_field
from crosstape_aggregator.recovery.plan import SETTLED_S
from tests.aggregator.builders import S, X, gap
from tests.aggregator.recovery.checkpoints import (
    ETH,
    KEY,
    OFTEN_S,
    TRADES,
    WINDOWS,
    compressed,
    failed,
    kept,
    last_id,
    long_ago,
    saved,
    trades,
    two_instruments,
    wait_for,
    wait_for_trades,
)
from tests.aggregator.running import KEYS, aggregator, newest, venue
from tests.waiting import wait_until


async def test_windows_outlive_what_the_stream_holds(client: Redis, valkey: str) -> None:
    """An aggregator that stops in order saves a checkpoint. Its successor's windows have the same trades and are as complete."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS, checkpoint_s=3_600.0):
            await trades(kraken, 20)
            await wait_for(client, 20, True, True)
        await client.xtrim(TRADES, maxlen=1, approximate=False)
        await client.delete(KEYS.stream("cbbo", X))
        async with aggregator(valkey, windows=WINDOWS):
            await wait_for(client, 20, True, True)
            await trades(kraken, 3)
            await wait_for(client, 23, True, True)


async def trimmed(client: Redis, stream: str) -> None:
    """Only the newest entry of a stream is left, and it is newer than now."""
    before: Any = await client.xrevrange(stream, count=1)

    async def newer() -> bool:
        found: Any = await client.xrevrange(stream, count=1)
        return bool(found[0][0] != before[0][0])

    await wait_until(newer, what="something new")
    await client.xtrim(stream, maxlen=1, approximate=False)


@pytest.mark.parametrize("what", ["before the checkpoint", "after the checkpoint", "no checkpoint"])
async def test_gaps_that_a_venue_published_and_nobody_read_count(client: Redis, valkey: str, what: str) -> None:
    """Its stream has a status a second, so that it is trimmed long before the trades': who has not read it does not know of its gaps. A
    checkpoint does, of those before it.
    """
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS, checkpoint_s=3_600.0):
            await trades(kraken, 20)
            await wait_for(client, 20, True, True)
            if what == "before the checkpoint":
                await trimmed(client, KEYS.venue("kraken"))
                settled_at = time.monotonic() + SETTLED_S  # of less, the server's clock and ours may think otherwise
                await wait_until(lambda: time.monotonic() > settled_at, what="some time")
        if what != "before the checkpoint":
            await trimmed(client, KEYS.venue("kraken"))
        if what == "no checkpoint":
            await client.delete(KEY)
        await client.delete(KEYS.stream("cbbo", X))
        known = what == "before the checkpoint"
        async with aggregator(valkey, windows=("1s", *WINDOWS) if not known else WINDOWS, checkpoint_s=0.0 if not known else 5.0):
            await trades(kraken, 1)

            async def so() -> bool:
                found = await newest(client)
                if found is None:
                    return False
                complete = {name: one.complete for name, one in found.vwap.items()}
                return complete == (dict.fromkeys(WINDOWS, True) if known else {"1s": True, "5m": False, "1h": False})

            await wait_until(so, what="what is known")


@pytest.mark.parametrize("is_trimmed", [True, False])
async def test_gaps_of_an_instrument_that_nobody_read_count(client: Redis, valkey: str, *, is_trimmed: bool) -> None:
    """Its stream of gaps was trimmed. If the first entry is the first ever, no gap is missing."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        for _ in range(2):
            await kraken.say(gap("kraken", time.time_ns(), time.time_ns(), kind="quote"))
        if is_trimmed:
            await client.xtrim(KEYS.stream("gap", X), maxlen=1, approximate=False)
        async with aggregator(valkey, windows=("1s", *WINDOWS)):

            async def so() -> bool:
                found = await newest(client)
                complete = [] if found is None else [one.complete for one in found.vwap.values()]
                return complete == [True, not is_trimmed, not is_trimmed]

            await wait_until(so, what="what is known")


async def test_what_came_after_the_checkpoint_is_read_from_the_streams(client: Redis, valkey: str) -> None:
    """After a crash, gaps are read too, and each trade counts once."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS, checkpoint_s=OFTEN_S):
            await trades(kraken, 10)
            await wait_for(client, 10, True, True)
            checkpoint = await kept(client, await last_id(client))
            await trades(kraken, 10)
            await wait_for(client, 20, True, True)
        await trades(kraken, 5)
        await kraken.say(gap("kraken", time.time_ns() - 400 * S, time.time_ns() - 350 * S))
        await client.delete(KEY)
        await client.hset(KEY, mapping=checkpoint)
        await client.delete(KEYS.stream("cbbo", X))
        await client.xtrim(TRADES, maxlen=16, approximate=False)  # the last that was counted, and what followed it
        async with aggregator(valkey, windows=WINDOWS):
            await wait_for(client, 25, True, False)


async def test_what_was_trimmed_beyond_the_checkpoint_is_a_gap(client: Redis, valkey: str) -> None:
    """The windows are not complete, and no trade is counted twice."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS):
            await trades(kraken, 10)
            await wait_for(client, 10, True, True)
        await trades(kraken, 10)
        await client.xtrim(TRADES, maxlen=4, approximate=False)
        with capture_logs() as logs:
            async with aggregator(valkey, windows=WINDOWS):
                await wait_for(client, 14, False, False)
        assert [one["stream"] for one in logs if one["event"] == "aggregator.checkpoint_outrun"] == [TRADES]


async def test_a_stream_that_was_trimmed_to_nothing_behind_the_checkpoint_is_a_gap(client: Redis, valkey: str) -> None:
    """The stream has no first entry, only its last id. Later trades count."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS):
            await trades(kraken, 10)
            await wait_for(client, 10, True, True)
        await trades(kraken, 10)
        await client.xtrim(TRADES, maxlen=0, approximate=False)
        async with aggregator(valkey, windows=WINDOWS):
            await wait_for(client, 10, False, False)
            await trades(kraken, 1)
            await wait_for(client, 11, False, False)


async def test_a_stream_that_was_trimmed_to_nothing_is_not_known_before(client: Redis, valkey: str) -> None:
    """Without a checkpoint, the trimmed trades are in no window, and the windows are not complete."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        await trades(kraken, 10)
        await client.xtrim(TRADES, maxlen=0, approximate=False)
        async with aggregator(valkey, windows=WINDOWS):
            await wait_for(client, 0, False, False)
            await trades(kraken, 1)
            await wait_for(client, 1, False, False)


async def test_trades_that_the_server_lost_and_got_again_are_known(client: Redis, valkey: str) -> None:
    """Their ids differ from those in the checkpoint, but the venue's epoch and `seq` identify them."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS):
            await trades(kraken, 10)
            await wait_for(client, 10, True, True)
        entries: Any = await client.xrevrange(TRADES, count=4)
        await client.delete(TRADES)
        for _, fields in reversed(entries):
            await client.xadd(TRADES, fields)
        await trades(kraken, 1)
        async with aggregator(valkey, windows=WINDOWS):
            await wait_for(client, 11, False, False)


FORMER = msgspec.msgpack.encode([2, {X: [b"whatever it said"]}])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"state": FORMER}, "the checkpoint has a version before 3"),
        ({"state": FORMER, head_field(X): b"left from before it"}, "the checkpoint has a version before 3"),
        ({head_field(X): compressed([VERSION + 1, "who knows"])}, f"{X} is of version {VERSION + 1}, not {VERSION}"),
        ({head_field(X): b"junk"}, f"damaged: {X}: "),
        ({chunk_field(X, 1): b"junk", "junk": "junk"}, "damaged"),
    ],
)
async def test_a_checkpoint_of_no_use_is_ignored(client: Redis, valkey: str, fields: dict[Any, Any], reason: str) -> None:
    """It is logged once and counted. The windows are read from the streams, and the next checkpoint is correct."""
    await long_ago(client)
    await client.hset(KEY, mapping={"epoch": "1", "at": "x", **fields})
    before = failed("read")
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        await trades(kraken, 7)
        with capture_logs() as logs:
            async with aggregator(valkey, windows=WINDOWS, checkpoint_s=OFTEN_S):
                await wait_for(client, 7, True, True)
        (ignored,) = [one["reason"] for one in logs if one["event"] == "aggregator.checkpoint_ignored"]
        assert ignored.startswith(reason)
        assert failed("read") == before + 1
        names: Any = await client.hkeys(KEY)
        assert set(by_instrument(name.decode() for name in names)) == {X, ""}
        assert saved(await client.hgetall(KEY)).state.windows.total[2] == 7
        await client.xtrim(TRADES, maxlen=1, approximate=False)
        async with aggregator(valkey, windows=WINDOWS):
            await wait_for(client, 7, True, True)


async def test_other_windows_are_read_from_the_streams(client: Redis, valkey: str) -> None:
    """A checkpoint does not contain the sums of windows that were not in the settings."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS):
            await trades(kraken, 5)
            await wait_for(client, 5, True, True)
        async with aggregator(valkey, windows=("5m", "30m", "1h")):
            await wait_for(client, 5, True, True, True)


@pytest.mark.parametrize("field", ["head", "chunk"])
async def test_damage_of_one_field_costs_that_instrument_alone(client: Redis, valkey: str, field: str) -> None:
    """The other instrument is restored from the checkpoint. The damaged one is counted, and written again."""
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await two_instruments(client, kraken, valkey)
        names: Any = await client.hkeys(KEY)
        (damaged,) = [name for name in by_instrument(one.decode() for one in names)[X] if name.startswith("head") is (field == "head")]
        await client.hset(KEY, damaged, b"junk")
        head = await client.hget(KEY, head_field(X))
        before = failed("read")
        async with aggregator(valkey, windows=WINDOWS, checkpoint_s=OFTEN_S):
            await wait_for_trades(client, {X: 0, ETH: 3})

            async def written_again() -> bool:
                return await client.hget(KEY, head_field(X)) not in {None, head}

            await wait_until(written_again, what="a new head")
        assert failed("read") == before + 1
        fields: Any = await client.hgetall(KEY)
        assert [saved(fields, name).state.windows.total[2] for name in (X, ETH)] == [0, 3]
