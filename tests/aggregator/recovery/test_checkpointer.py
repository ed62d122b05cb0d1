"""Tests when an aggregator writes checkpoints, and what they contain."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape_aggregator import shard
from crosstape_aggregator.recovery import checkpointer
from crosstape_aggregator.recovery.checkpoint import by_instrument, head_field
from crosstape_aggregator.recovery.checkpoint_store import OWN, CheckpointStore
from tests.aggregator.builders import X, trade
from tests.aggregator.recovery.checkpoints import (
    ETH,
    KEY,
    OFTEN_S,
    TRADES,
    WINDOWS,
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
from tests.aggregator.running import KEYS, FakeVenue, aggregator, venue
from tests.waiting import wait_until


async def test_ids_and_sums_are_of_one_moment(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint contains exactly the trades up to its id, even if many events are read but not applied."""
    monkeypatch.setattr(shard, "EVENTS_PER_TURN", 1)
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


async def in_bursts(client: Redis, kraken: FakeVenue) -> None:
    """Publish many trades at once, several times, and wait for a checkpoint after each."""
    for _ in range(10):
        await trades(kraken, 1_000)
        await kept(client, await last_id(client))


async def test_only_what_has_changed_is_written(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment of the checkpoint is always written, which renews its life. A call that failed is repeated in full."""
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
    """Wait until these instruments were written, and then no more changes."""

    def so() -> bool:
        written = {name for changed, _ in calls for name in by_instrument(changed)}
        return written >= set(names) and not any(changed for changed, _ in calls[-3:])

    await wait_until(so, what="nothing to write")


async def test_a_call_is_bounded(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If each instrument is as large as the bound, each has its own call. The moment is written with the last call."""
    calls: list[tuple[set[str], int | None]] = []
    save = CheckpointStore.save

    async def noting(self: CheckpointStore, changed: dict[str, bytes], gone: list[str], *, at: int | None, replace: bool) -> bool:
        calls.append((set(by_instrument(changed)), at))
        assert len(gone) <= 1
        return await save(self, changed, gone, at=at, replace=replace)

    monkeypatch.setattr(CheckpointStore, "save", noting)
    monkeypatch.setattr(checkpointer, "CALL_BYTES", 10)
    monkeypatch.setattr(checkpointer, "CALL_NAMES", 1)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        await two_instruments(client, kraken, valkey)
        assert {name for names, _ in calls for name in names} == {X, ETH}
        assert all(len(names) == (at is None) for names, at in calls)
        await client.hset(KEY, mapping={f"junk {number}": b"junk" for number in range(5)})
        async with aggregator(valkey, windows=WINDOWS, checkpoint_s=OFTEN_S):

            async def tidied() -> bool:
                names: Any = await client.hkeys(KEY)
                return not any(name.startswith(b"junk") for name in names)

            await wait_until(tidied, what="no fields without use")


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
    """Return the field names of an instrument's chunks."""
    fields: Any = await client.hgetall(KEY)
    return {field for field in by_instrument(one.decode() for one in fields).get(name, []) if field != head_field(name)}


async def test_a_server_that_takes_no_checkpoint_does_no_harm(client: Redis, valkey: str) -> None:
    """The failure is logged once and counted, and quotes continue. When the server writes again, so do checkpoints."""
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
    """Return the value of a metric of checkpoints."""
    return REGISTRY.get_sample_value(f"crosstape_aggregator_checkpoint_{name}") or 0.0


async def test_none_is_made_where_none_is_wanted(client: Redis, valkey: str) -> None:
    """With `checkpoint_s = 0` no checkpoint is written, and an existing one is not used."""
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
