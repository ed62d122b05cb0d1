"""Aggregators that are restarted, on a real server: what their windows hold then, and what of it a checkpoint brought."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
import zstandard
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape_aggregator import shard
from crosstape_aggregator.recovery import checkpointer
from crosstape_aggregator.recovery.checkpoint import InstrumentCheckpoint, by_instrument, chunk_field, decode, head_field
from crosstape_aggregator.recovery.checkpoint_store import OWN, CheckpointStore
from crosstape_aggregator.recovery.plan import SETTLED_S
from crosstape_schemas import encode
from tests.aggregator.builders import S, X, gap, quote, trade
from tests.aggregator.running import KEYS, FakeVenue, aggregator, newest, venue
from tests.waiting import wait_until

TRADES = KEYS.stream("trade", X)
KEY = KEYS.checkpoint("aggregator")
WINDOWS = ("5m", "1h")
OFTEN_S = 0.05


def failed(step: str) -> float:
    """How many checkpoints came to nothing so far."""
    return REGISTRY.get_sample_value("crosstape_aggregator_checkpoints_failed_total", {"step": step}) or 0.0


def compressed(content: object) -> bytes:
    """A field that says this."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(msgspec.msgpack.encode(content))


async def long_ago(client: Redis) -> None:
    """A tape that reaches back further than the windows."""
    ms = time.time_ns() // 1_000_000 - 4_000_000
    for kind, event in (("trade", trade("kraken", "1", "1", ms * 1_000_000)), ("quote", quote("kraken", "1", "2", ms * 1_000_000))):
        await client.xadd(KEYS.stream(kind, X), {"d": encode(event)}, id=f"{ms}-0")
        await client.sadd(KEYS.registry(), KEYS.stream(kind, X))


async def trades(kraken: FakeVenue, count: int) -> None:
    """Publish `count` trades of size 1, now."""
    await kraken.say(*(trade("kraken", "100", "1", time.time_ns(), trade_id=str(number)) for number in range(count)))


async def wait_for(client: Redis, count: int, *complete: bool) -> None:
    """Until the newest quote's windows hold so many trades, and are complete or not."""

    async def so() -> bool:
        found = await newest(client)
        assert found is None or max(one.trades for one in found.vwap.values()) <= count
        return found is not None and [(one.trades, one.complete) for one in found.vwap.values()] == [(count, one) for one in complete]

    await wait_until(so, what=f"{count} trades, complete {complete}")


async def kept(client: Redis, end: bytes) -> dict[Any, Any]:
    """The first checkpoint that is made after now; all trades up to this id must have been published."""
    before = await client.hget(KEY, "at")

    async def newer() -> bool:
        return await client.hget(KEY, "at") not in {before, None}

    await wait_until(newer, what="a checkpoint")
    assert await last_id(client) == end
    found: Any = await client.hgetall(KEY)
    return dict(found)


async def last_id(client: Redis) -> bytes:
    """The last id of the stream of trades."""
    entries: Any = await client.xrevrange(TRADES, count=1)
    return bytes(entries[0][0])


async def test_windows_outlive_what_the_stream_holds(client: Redis, valkey: str) -> None:
    """An aggregator that is stopped in order leaves a checkpoint; its successor's windows hold as much and are as complete."""
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
async def test_gaps_that_a_venue_told_and_nobody_read_are_reckoned_with(client: Redis, valkey: str, what: str) -> None:
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
async def test_gaps_of_an_instrument_that_nobody_read_are_reckoned_with(client: Redis, valkey: str, *, is_trimmed: bool) -> None:
    """Where its stream of gaps was trimmed; if its first entry is the first of all, there was none before."""
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


async def test_ids_and_sums_are_of_one_moment(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while many events are read but not applied: a checkpoint has exactly the trades up to its id."""
    monkeypatch.setattr(shard, "SLICE", 1)
    await long_ago(client)
    found: dict[Any, Any] = {}
    async with venue(valkey, "kraken") as kraken, aggregator(valkey, windows=WINDOWS, checkpoint_s=0.001):
        await kraken.live_on()
        await kraken.quote("100", "101")
        await trades(kraken, 1)
        await wait_for(client, 1, True, True)
        loading = asyncio.create_task(in_bursts(client, kraken))

        async def collected() -> bool:
            fields: Any = await client.hgetall(KEY)
            if fields:
                found[fields[b"at"]] = saved(fields)
            return loading.done()

        await wait_until(collected, what="all trades on the tape", timeout_s=60)
        await loading
    entries: Any = await client.xrange(TRADES)
    places = {entry_id.decode(): place for place, (entry_id, _) in enumerate(entries)}  # the first is before the windows
    assert [one.state.windows.total[2] for one in found.values()] == [places[one.ids["trade"]] for one in found.values()]
    assert len({one.ids["trade"] for one in found.values()}) > 2


def saved(fields: dict[Any, Any], instrument: str = X) -> InstrumentCheckpoint:
    """The checkpoint of an instrument on the server."""
    return decode(instrument, {name.decode(): field for name, field in fields.items()})


async def in_bursts(client: Redis, kraken: FakeVenue) -> None:
    """Many trades at once, several times, with a checkpoint in between."""
    for _ in range(10):
        await trades(kraken, 1_000)
        await kept(client, await last_id(client))


async def test_what_was_trimmed_beyond_the_checkpoint_is_a_hole(client: Redis, valkey: str) -> None:
    """The windows say that they are not complete; nothing is counted twice."""
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


async def test_a_stream_that_was_trimmed_to_nothing_behind_the_checkpoint_is_a_hole(client: Redis, valkey: str) -> None:
    """There is no first entry, only the last id that the stream gave; trades that come later count."""
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
    """Without a checkpoint: what was on it is in no window, and the windows say so."""
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
    """They have other ids than those in the checkpoint: the venue's numbers identify them."""
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
        ({"state": FORMER}, "it is of a version before 3"),
        ({"state": FORMER, head_field(X): b"left from before it"}, "it is of a version before 3"),
        ({head_field(X): compressed([4, "who knows"])}, f"{X} is of version 4, not 3"),
        ({head_field(X): b"junk"}, f"damaged: {X}: "),
        ({chunk_field(X, 1): b"junk", "junk": "junk"}, "damaged"),
    ],
)
async def test_a_checkpoint_of_no_use_is_ignored(client: Redis, valkey: str, fields: dict[Any, Any], reason: str) -> None:
    """Logged once and counted; the windows are read from the streams, and the next checkpoint is as it should be."""
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
    """A checkpoint cannot say what windows held that there were not."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS):
            await trades(kraken, 5)
            await wait_for(client, 5, True, True)
        async with aggregator(valkey, windows=("5m", "30m", "1h")):
            await wait_for(client, 5, True, True, True)


async def test_a_server_that_takes_no_checkpoint_does_no_harm(client: Redis, valkey: str) -> None:
    """It is logged once and counted, quotes go on; when the server writes them again, all is as before."""
    await client.set(KEY, b"none of ours")
    before = failed("write")
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        await trades(kraken, 5)
        with capture_logs() as logs:
            async with aggregator(valkey, windows=WINDOWS, checkpoint_s=OFTEN_S):
                await wait_until(lambda: failed("write") >= before + 3, what="three that failed")
                await trades(kraken, 1)
                await wait_for(client, 6, False, False)
                await client.delete(KEY)
                await wait_until(lambda: client.exists(KEY), what="a checkpoint")
                await wait_until(lambda: sample("bytes") > 0, what="its size")
    events = [one["event"] for one in logs if one["event"].startswith("aggregator.checkpoint")]
    assert events == ["aggregator.checkpoint_ignored", "aggregator.checkpoint_failed", "aggregator.checkpoint_works_again"]
    assert sample("bytes") == 0


def sample(name: str) -> float:
    """A metric of checkpoints."""
    return REGISTRY.get_sample_value(f"crosstape_aggregator_checkpoint_{name}") or 0.0


async def test_none_is_made_where_none_is_wanted(client: Redis, valkey: str) -> None:
    """Nor is one used that is there."""
    await long_ago(client)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await kraken.quote("100", "101")
        async with aggregator(valkey, windows=WINDOWS):
            await trades(kraken, 5)
            await wait_for(client, 5, True, True)
        found = await client.hgetall(KEY)
        await client.xtrim(TRADES, maxlen=2, approximate=False)
        await client.delete(KEYS.stream("cbbo", X))
        async with aggregator(valkey, windows=WINDOWS, checkpoint_s=0.0):
            await wait_for(client, 2, False, False)
    assert await client.hgetall(KEY) == found


ETH = "ETH-USDT"


async def two_instruments(client: Redis, kraken: FakeVenue, valkey: str) -> None:
    """A checkpoint of two, of three trades each, that the streams have no longer."""
    await long_ago(client)
    async with aggregator(valkey, windows=WINDOWS, checkpoint_s=OFTEN_S):
        for name in (X, ETH):
            await kraken.quote("100", "101", instrument=name)
            await kraken.say(*(trade("kraken", "100", "1", time.time_ns(), instrument=name, trade_id=str(number)) for number in range(3)))
        await wait_for_trades(client, {X: 3, ETH: 3})

        async def written() -> bool:
            fields: Any = await client.hgetall(KEY)
            heads = {head_field(X).encode(), head_field(ETH).encode()}
            return fields.keys() >= heads and [saved(fields, name).state.windows.total[2] for name in (X, ETH)] == [3, 3]

        await wait_until(written, what="a checkpoint of both")
    for name in (X, ETH):
        await client.xtrim(KEYS.stream("trade", name), maxlen=0, approximate=False)
        await client.delete(KEYS.stream("cbbo", name))


async def wait_for_trades(client: Redis, expected: dict[str, int]) -> None:
    """Until the newest quotes' windows hold so many."""

    async def so() -> bool:
        found = {name: await newest(client, name) for name in expected}
        return {name: one.vwap["1h"].trades for name, one in found.items() if one is not None} == expected

    await wait_until(so, what=f"trades {expected}")


@pytest.mark.parametrize("field", ["head", "chunk"])
async def test_damage_of_one_field_costs_that_instrument_alone(client: Redis, valkey: str, field: str) -> None:
    """The other goes on from the checkpoint; the damaged one is counted and written again."""
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


async def test_an_instrument_that_has_disappeared_is_removed(client: Redis, valkey: str) -> None:
    """An operator may have deleted its streams, or changed the settings."""
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await two_instruments(client, kraken, valkey)
        await client.hset(KEY, "junk", b"junk")
        async with aggregator(valkey, windows=WINDOWS, instruments=(ETH,), checkpoint_s=OFTEN_S):
            await wait_for_trades(client, {ETH: 3})

            async def only_one_left() -> bool:
                names: Any = await client.hkeys(KEY)
                return {name.decode() for name in names} - OWN == {head_field(ETH), *await chunks_of(client, ETH)}

            await wait_until(only_one_left, what="one instrument")


async def chunks_of(client: Redis, name: str) -> set[str]:
    """The names of its chunks."""
    fields: Any = await client.hgetall(KEY)
    return {field for field in by_instrument(one.decode() for one in fields).get(name, []) if field != head_field(name)}


async def test_only_what_has_changed_is_written(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the moment up to which all was read, so that it is renewed. A call that failed is written again, in full."""
    calls: list[tuple[set[str], int | None]] = []
    save = CheckpointStore.save
    failing = False

    async def noting(self: CheckpointStore, changed: dict[str, bytes], gone: list[str], *, at: int | None, replace: bool) -> bool:
        calls.append((set(changed), at))
        if failing:
            raise ConnectionError("the server is away")
        return await save(self, changed, gone, at=at, replace=replace)

    monkeypatch.setattr(CheckpointStore, "save", noting)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await two_instruments(client, kraken, valkey)
        assert {name for changed, _ in calls for name in by_instrument(changed)} == {X, ETH}
        calls.clear()
        async with aggregator(valkey, windows=WINDOWS, checkpoint_s=OFTEN_S):
            await wait_for_trades(client, {X: 3, ETH: 3})
            await settled(calls, X, ETH)
            calls.clear()
            await kraken.say(trade("kraken", "100", "1", time.time_ns(), instrument=ETH, trade_id="4"))
            await settled(calls, ETH)
            assert {name for changed, _ in calls for name in by_instrument(changed)} == {ETH}
            assert all(at for _, at in calls)
            failing = True
            calls.clear()
            await kraken.say(trade("kraken", "100", "1", time.time_ns(), instrument=ETH, trade_id="5"))
            await wait_until(lambda: len(calls) > 3, what="calls that failed")
            failing = False
            await wait_until(lambda: calls[-1][0] == set(), what="calls that did not")
            assert {head_field(ETH), *await chunks_of(client, ETH)} in [changed for changed, _ in calls]


async def settled(calls: list[tuple[set[str], int | None]], *names: str) -> None:
    """Until these instruments were written, and then nothing any more."""

    def so() -> bool:
        written = {name for changed, _ in calls for name in by_instrument(changed)}
        return written >= set(names) and not any(changed for changed, _ in calls[-3:])

    await wait_until(so, what="nothing to write")


async def test_a_call_is_bounded(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If each instrument is as large as the bound, each has a call of its own; the moment comes with the last call."""
    calls: list[tuple[set[str], int | None]] = []
    save = CheckpointStore.save

    async def noting(self: CheckpointStore, changed: dict[str, bytes], gone: list[str], *, at: int | None, replace: bool) -> bool:
        calls.append((set(by_instrument(changed)), at))
        return await save(self, changed, gone, at=at, replace=replace)

    monkeypatch.setattr(CheckpointStore, "save", noting)
    monkeypatch.setattr(checkpointer, "CALL_BYTES", 10)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await two_instruments(client, kraken, valkey)
    assert {name for names, _ in calls for name in names} == {X, ETH}
    assert all(len(names) == (at is None) for names, at in calls)
