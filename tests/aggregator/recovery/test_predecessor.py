"""Tests the gap for the time between two aggregators, in which no quotes were computed."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape.bus import connect
from crosstape.errors import BusError
from crosstape.settings import BusSettings
from crosstape_aggregator.recovery.predecessor import Predecessor
from crosstape_aggregator.service import AggregatorProcess
from crosstape_aggregator.sharding.assignment import ALL_INSTRUMENTS, Shard
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Cbbo, FeedState, Gap, GapCause, Status, decode, encode
from tests.aggregator.builders import T0, S, X, alive, consolidated, engine, gap, quote, status, trade
from tests.aggregator.running import KEYS, aggregator, published, settings_for, venue
from tests.aggregator.sharding.test_coordinator import NAMES, quoted, wait_for
from tests.proxy import proxy

ETH = "ETH-USDT"
MANY = 2_000


async def gaps(client: Redis, instrument: str = X) -> list[Gap]:
    """Return all gaps on the tape of an instrument, or of the sign of life (`*`)."""
    stream = KEYS.venue(CONSOLIDATED) if instrument == VENUE_WIDE else KEYS.stream("gap", instrument)
    entries: Any = await client.xrange(stream)
    events = [decode(fields[b"d"]) for _, fields in entries]
    return [event for event in events if isinstance(event, Gap)]


async def boundaries(client: Redis, instrument: str = X) -> list[tuple[Cbbo, Cbbo]]:
    """Return pairs of quotes: the last one of an epoch, and the first one of the next epoch."""
    quotes = await published(client, instrument)
    return [(one, other) for one, other in pairwise(quotes) if one.epoch != other.epoch]


async def assert_told(client: Redis, instrument: str = X) -> None:
    """One gap for each time in which nobody computed, from the last quote to the first, and no other; each is on the tape before the quote
    that it ends with.
    """
    found = await gaps(client, instrument)
    assert [(one.from_ts, one.to_ts, one.epoch) for one in found] == [
        (before.ts, after.ts, after.epoch) for before, after in await boundaries(client, instrument)
    ]
    for one in found:
        assert (one.venue, one.kind, one.missed, one.cause, one.seq) == (CONSOLIDATED, "cbbo", None, GapCause.DISCONNECT, 1)
    for one in found:
        stands_at, starts_at = [await _id(client, KEYS.stream(kind, instrument), one.epoch) for kind in ("gap", "cbbo")]
        assert stands_at <= starts_at


async def _id(client: Redis, stream: str, epoch: int) -> tuple[int, int]:
    """Return where an epoch of an aggregator begins on a stream."""
    entries: Any = await client.xrange(stream)
    first = next(entry_id for entry_id, fields in entries if decode(fields[b"d"]).epoch == epoch)
    ms, number = first.split(b"-")
    return int(ms), int(number)


async def test_a_gap_from_the_last_quote_to_the_first(client: Redis, valkey: str) -> None:
    """There is a gap whenever an aggregator follows another. New instruments and the first start have none."""
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        async with aggregator(valkey):
            await quoted(client, kraken, [X], "100")
            await quoted(client, kraken, [X], "101")
        assert await gaps(client) == await gaps(client, VENUE_WIDE) == []
        await kraken.quote("102", "102.5", instrument=ETH)
        for price in ("103", "104"):
            async with aggregator(valkey):
                await quoted(client, kraken, [X, ETH], price)
    assert (len(await gaps(client)), len(await gaps(client, ETH))) == (2, 1)
    for name in (X, ETH):
        await assert_told(client, name)


async def test_the_sign_of_life_has_a_gap_too(client: Redis, valkey: str) -> None:
    """The gap ranges from the last sign (`stopped` after an orderly end) to the first new one, which it precedes on the stream."""
    for price in ("100", "101", "102"):
        async with aggregator(valkey), venue(valkey, "kraken") as kraken:
            await quoted(client, kraken, [X], price)
    entries: Any = await client.xrange(KEYS.venue(CONSOLIDATED))
    events = [decode(fields[b"d"]) for _, fields in entries]
    at = [index for index, event in enumerate(events) if isinstance(event, Gap)]
    assert len(at) == 2
    for index in at:
        before, found, after = events[index - 1 : index + 2]
        assert isinstance(before, Status)
        assert isinstance(found, Gap)
        assert isinstance(after, Status)
        assert (before.state, before.reason, after.state) == (FeedState.DOWN, "stopped", FeedState.LIVE)
        assert (found.kind, found.from_ts, found.missed, found.cause) == ("status", before.received_ts, None, GapCause.DISCONNECT)
        assert found.to_ts <= after.received_ts
        assert (found.epoch, found.seq, after.epoch, after.seq) == (after.epoch, 1, after.epoch, 2)


async def test_a_shard_that_moves_has_a_gap_and_no_other_has(client: Redis, valkey: str) -> None:
    """The shard moves to another running aggregator, and back when that one ends. Each shard has its own sign of life."""
    settings = settings_for(valkey, shares=4, lease_s=1.0)
    async with venue(valkey, "kraken") as kraken, connect(settings.bus) as bus:
        await kraken.live_on()
        first, second = AggregatorProcess(settings, bus), AggregatorProcess(settings, bus)
        running = [asyncio.create_task(first.coordinator.run())]
        await quoted(client, kraken, NAMES, "100")
        running.append(asyncio.create_task(second.coordinator.run()))
        await wait_for(first, shares_held=2)
        await wait_for(second, shares_held=2)
        await quoted(client, kraken, NAMES, "101")
        running[0].cancel()
        await wait_for(second, shares_held=4)
        await quoted(client, kraken, NAMES, "102")
        running[1].cancel()
        await asyncio.wait(running)

    moved = {name: [(before.epoch, after.epoch) for before, after in await boundaries(client, name)] for name in NAMES}
    assert {len(found) for found in moved.values()} == {1}
    for name in NAMES:
        await assert_told(client, name)
    signs = await gaps(client, VENUE_WIDE)
    assert len(signs) == 4
    assert {one.epoch for one in signs} >= {after for found in moved.values() for _, after in found}
    assert {one.kind for one in signs} == {"status"}


async def test_a_predecessor_whose_clock_was_ahead(client: Redis, valkey: str) -> None:
    """A gap never begins after its end."""
    ahead = time.time_ns() + 3_600 * S
    await client.hset(KEYS.last("cbbo", X), CONSOLIDATED, encode(_last(X, ahead)))
    await client.hset(KEYS.last("status", VENUE_WIDE), CONSOLIDATED, encode(alive(CONSOLIDATED, ahead)))
    async with venue(valkey, "kraken") as kraken, aggregator(valkey):
        await quoted(client, kraken, [X], "100")
    (found,), (sign,) = await gaps(client), await gaps(client, VENUE_WIDE)
    assert found.from_ts == found.to_ts == (await published(client))[0].ts
    assert sign.from_ts == sign.to_ts < ahead


def _last(name: str, ts: int) -> Cbbo:
    return msgspec.structs.replace(consolidated([quote("kraken", "1", "2")]), instrument=name, ts=ts)


async def test_what_is_no_quote_of_ours_is_no_beginning(client: Redis, valkey: str) -> None:
    """A foreign last value is ignored, and the others are used."""
    await client.hset(KEYS.last("cbbo", X), CONSOLIDATED, b"nonsense")
    await client.hset(KEYS.last("cbbo", ETH), CONSOLIDATED, encode(alive(CONSOLIDATED)))
    await client.set(KEYS.last("cbbo", "SOL-USDT"), b"no hash")
    await client.hset(KEYS.last("cbbo", "ADA-USDT"), CONSOLIDATED, encode(_last("ADA-USDT", T0)))
    async with connect(BusSettings(url=valkey)) as bus:
        one = Predecessor(bus, KEYS, ALL_INSTRUMENTS)
        await one.look_up([X, ETH, "SOL-USDT", "ADA-USDT", "NEW-USDT"])
    assert one.last_ts == {"ADA-USDT": T0}


async def test_many_instruments_are_looked_up_in_few_calls(client: Redis, valkey: str) -> None:
    """No instrument is looked up twice, and no call has more than 250."""
    names = [f"COIN{number}-USDT" for number in range(MANY)]
    async with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hset(KEYS.last("cbbo", name), CONSOLIDATED, encode(_last(name, T0)))
        await pipeline.execute()
    async with connect(BusSettings(url=valkey)) as bus:
        one = Predecessor(bus, KEYS, ALL_INSTRUMENTS)
        await client.config_resetstat()
        await one.look_up(names)
        await one.look_up(names)
        stats: Any = await client.info("commandstats")
    assert stats["cmdstat_eval"]["calls"] == MANY / 250
    assert len(one.last_ts) == MANY


async def test_a_server_that_does_not_answer_is_asked_again(client: Redis, valkey: str) -> None:
    """After a failure, no instrument counts as looked up."""
    await client.hset(KEYS.last("cbbo", X), CONSOLIDATED, encode(_last(X, T0)))
    async with proxy(valkey) as between, connect(BusSettings(url=between.url)) as bus:
        one = Predecessor(bus, KEYS, ALL_INSTRUMENTS)
        between.refusing = True
        between.cut()
        with pytest.raises(BusError):
            await one.look_up([X])
        with pytest.raises(BusError):
            await one.look_up_sign()
        between.refusing = False
        await one.look_up([X])
    assert one.last_ts == {X: T0}
    first = _last(X, T0 + S)
    assert [(found.from_ts, found.to_ts) for found in one.gaps_before([first, first])] == [(T0, T0 + S)]


async def test_each_shard_uses_its_own_sign_of_life(client: Redis, valkey: str) -> None:
    """The sign of another shard, which may be alive, does not matter."""
    hash_name = KEYS.last("status", VENUE_WIDE)
    for number in (0, 1):
        sign = status(CONSOLIDATED, FeedState.LIVE, T0 + number, kind=f"share.{number}", instrument=VENUE_WIDE)
        await client.hset(hash_name, f"{CONSOLIDATED}:share.{number}", encode(sign))
    async with connect(BusSettings(url=valkey)) as bus:
        found = []
        for shard in (Shard(0, 3), Shard(1, 3), Shard(2, 3), ALL_INSTRUMENTS):
            one = Predecessor(bus, KEYS, shard)
            await one.look_up_sign()
            found.append([gap.from_ts for gap in one.gap_before_sign(T0 + S)])
            assert list(one.gap_before_sign(T0 + S)) == []
    assert found == [[T0], [T0 + 1], [], []]


def test_aggregators_ignore_these_gaps() -> None:
    """The gaps belong to no venue: for an aggregator no trades are missing, and no quote is due."""
    one = engine(windows=("1m",))
    one.apply([quote("kraken", "100", "101"), trade("kraken", "100", "1")], T0)
    one.instrument(X, T0).known_from(0)
    one.due(T0)
    known = one.instrument(X, T0).windows.coverage.state()
    gaps = [gap(CONSOLIDATED, T0, T0 + S, kind="cbbo"), gap(CONSOLIDATED, T0, T0 + S, kind="status", instrument=VENUE_WIDE)]
    one.apply(gaps, T0 + S)
    assert one.due(T0 + S) == []
    assert one.instrument(X, T0).windows.coverage.state() == known
    assert [leg.venue for leg in one.instrument(X, T0).legs] == ["kraken"]
