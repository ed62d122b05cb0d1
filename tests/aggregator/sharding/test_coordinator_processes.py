"""Aggregators as processes that are killed, stopped, restarted and cut off, while a market goes on: what a reader of the tape sees."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape_aggregator.sharding.assignment import Shard
from crosstape_schemas import Cbbo, Gap, decode
from tests.aggregator.builders import quote, trade
from tests.aggregator.running import KEYS, FakeVenue, newest, venue
from tests.waiting import wait_until

log = structlog.get_logger()
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAMES = [f"COIN{number}-USDT" for number in range(20)]
LEASE_S = 3.0
PACE_S = 0.05
GAP_S = 30.0
"""The documents promise 5 s; a slow machine may need longer to start Python and to read the windows again."""
SETTINGS = """\
[bus]
url = "{url}"
[telemetry]
http_enabled = false
[aggregator]
shares = {shares}
lease_s = {lease_s}
windows = ["1h"]
"""


class Instances:
    """Runs aggregators on one bus, each as a process."""

    def __init__(self, directory: Path, url: str, shares: int) -> None:
        self._file = directory / "settings.toml"
        self._file.write_text(SETTINGS.format(url=url, shares=shares, lease_s=LEASE_S))
        self.shares = shares
        self.started: list[Process] = []

    async def start(self) -> Process:
        """Start another aggregator."""
        command = ("-m", "crosstape_cli", "aggregator", "--settings", str(self._file))
        self.started.append(await asyncio.create_subprocess_exec(sys.executable, *command))
        return self.started[-1]

    async def held(self, client: Redis) -> dict[int, int]:
        """Return the number of shards of each process that is alive as far as the server knows."""
        members: Any = await client.zrange(KEYS.instances("aggregator"), 0, -1)
        holders: Any = await client.mget([KEYS.lease(Shard(number, self.shares).producer) for number in range(self.shares)])
        counts = {int(member.split(b":")[1]): 0 for member in members}
        for holder in filter(None, holders):
            pid = int(holder.split(b":")[1])
            counts[pid] = counts.get(pid, 0) + 1
        return counts

    async def wait_for(self, client: Redis, *counts: int) -> None:
        """Wait until this many processes hold all shards."""

        async def so() -> bool:
            return sorted((await self.held(client)).values()) == sorted(counts)

        await wait_until(so, what=f"shares held: {counts}", timeout_s=60)

    async def stop(self) -> None:
        """Stop all running processes in order."""
        for process in self.started:
            if process.returncode is None:
                process.terminate()
        for process in self.started:
            await asyncio.wait_for(process.wait(), 30)


class Market:
    """A venue that publishes a quote and a trade of each instrument every 50 ms."""

    def __init__(self, kraken: FakeVenue) -> None:
        self.rounds = 0
        self._kraken = kraken

    async def run(self) -> None:
        """Publish until cancelled, also while the bus is away."""
        await self._kraken.live_on()
        while True:
            self.rounds += 1
            for name in NAMES:
                bid, now = self.rounds, time.time_ns()
                self._kraken.publisher.publish(quote("kraken", str(bid), str(bid + 1), now, instrument=name))
                self._kraken.publisher.publish(trade("kraken", str(bid), "1", now, instrument=name, trade_id=str(bid)))
            await asyncio.sleep(PACE_S)


@contextlib.asynccontextmanager
async def running(client: Redis, url: str, directory: Path, instances: int, shares: int) -> AsyncIterator[tuple[Instances, Market]]:
    """Run a market, and aggregators that have divided the shards evenly. At the end, check that each trade is counted once."""
    aggregators = Instances(directory, url, shares)
    async with venue(url, "kraken") as kraken:
        market = Market(kraken)
        trading = asyncio.create_task(market.run())
        try:
            for _ in range(instances):
                await aggregators.start()
            await aggregators.wait_for(client, *([shares // instances] * instances))
            await quoted_since(client, market)
            yield aggregators, market
            trading.cancel()
            await asyncio.wait({trading})
            assert await kraken.publisher.drain(20)
            await wait_until(lambda: counted(client, market.rounds), what="every trade in the windows", timeout_s=60)
        finally:
            trading.cancel()
            await asyncio.wait({trading})
            for process in aggregators.started:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
            await aggregators.stop()
    assert {process.returncode for process in aggregators.started} <= {0, -signal.SIGKILL}


async def counted(client: Redis, rounds: int) -> bool:
    """Whether the window in the newest quote of each instrument has each trade once."""
    found = [await newest(client, name) for name in NAMES]
    trades = [one.vwap["1h"].trades if one is not None else 0 for one in found]
    assert max(trades) <= rounds
    return min(trades) == rounds


async def quoted_since(client: Redis, market: Market) -> None:
    """Wait until each instrument has a consolidated quote with an event from after now."""
    begin = market.rounds

    async def so() -> bool:
        found = [await newest(client, name) for name in NAMES]
        return all(one is not None and (one.bid_price or 0) > begin for one in found)

    await wait_until(so, what="quotes of all instruments", timeout_s=60)


async def tape(client: Redis, name: str) -> list[tuple[int, Cbbo]]:
    """Return when (ms, the server's clock) each consolidated quote was written."""
    entries: Any = await client.xrange(KEYS.stream("cbbo", name))
    found = [(int(entry_id.split(b"-")[0]), decode(fields[b"d"])) for entry_id, fields in entries]
    return [(ms, event) for ms, event in found if isinstance(event, Cbbo)]


async def gaps(client: Redis, name: str) -> list[tuple[int, int, int]]:
    """Return the gaps on the tape in which no quotes were computed: from, to, and the epoch of the publisher."""
    entries: Any = await client.xrange(KEYS.stream("gap", name))
    events = [decode(fields[b"d"]) for _, fields in entries]
    return [(one.from_ts, one.to_ts, one.epoch) for one in events if isinstance(one, Gap) and (one.kind, one.seq) == ("cbbo", 1)]


async def check(client: Redis, *, longest_s: float = GAP_S) -> int:
    """Of all instruments: no epoch comes back, none has a gap, no time without a quote is too long, and each time in which nobody computed
    is a gap. How many epochs there were at most.
    """
    pauses, epochs = [], []
    for name in NAMES:
        every = await tape(client, name)
        assert [one.epoch for _, one in every] == sorted(one.epoch for _, one in every), name
        for _, group in itertools.groupby(every, key=lambda one: one[1].epoch):
            seqs = [one.seq for _, one in group]
            assert seqs == list(range(1, len(seqs) + 1)), name
        unserved = [(one, other) for (_, one), (_, other) in itertools.pairwise(every) if one.epoch != other.epoch]
        assert await gaps(client, name) == [(one.ts, other.ts, other.epoch) for one, other in unserved], name
        pauses.append(max(after - before for (before, _), (after, _) in itertools.pairwise(every)) / 1000)
        epochs.append(len({one.epoch for _, one in every}))
    log.info("tape.checked", longest_pause_s=max(pauses), epochs=max(epochs))  # `pytest -s` shows it
    assert max(pauses) < longest_s
    return max(epochs)


@pytest.mark.parametrize("instances", [2, 3])
async def test_the_shards_of_a_killed_one_are_served_by_the_others(client: Redis, valkey: str, tmp_path: Path, instances: int) -> None:
    """They are served within seconds, and each trade is in the windows once."""
    async with running(client, valkey, tmp_path, instances, 6) as (aggregators, market):
        aggregators.started[0].kill()
        await aggregators.started[0].wait()
        await aggregators.wait_for(client, *([6 // (instances - 1)] * (instances - 1)))
        await quoted_since(client, market)
    assert await check(client) >= 2


async def test_a_stalled_one_that_comes_back_publishes_nothing_more(client: Redis, valkey: str, tmp_path: Path) -> None:
    """It was stopped for longer than its leases last. Events that it still holds are refused."""
    async with running(client, valkey, tmp_path, 2, 2) as (aggregators, market):
        stalled = aggregators.started[0]
        stalled.send_signal(signal.SIGSTOP)
        await aggregators.wait_for(client, 2)
        await quoted_since(client, market)
        stalled.send_signal(signal.SIGCONT)
        await aggregators.wait_for(client, 1, 1)
        await quoted_since(client, market)
        assert stalled.returncode is None
    await check(client)
    of_each = [next(name for name in NAMES if Shard(number, 2).has(name)) for number in range(2)]
    epochs = [len({one.epoch for _, one in await tape(client, name)}) for name in of_each]
    assert sum(epochs) >= 4, "two to begin with, one that was taken over, one that was given back"


async def test_one_that_was_stopped_and_goes_on_says_so(client: Redis, valkey: str, tmp_path: Path) -> None:
    """No other instance replaced it, so its epoch continues.

    It publishes gaps of its quotes and its sign of life for the time of the stop.
    """
    async with running(client, valkey, tmp_path, 1, 1) as (aggregators, market):
        process = aggregators.started[0]
        process.send_signal(signal.SIGSTOP)
        stopped_ts, over_at = time.time_ns(), time.monotonic() + 2 * LEASE_S
        await wait_until(lambda: time.monotonic() > over_at, what="the length of the stop")
        continued_ts = time.time_ns()  # before the signal: the process may be quicker than this test
        process.send_signal(signal.SIGCONT)
        await quoted_since(client, market)

        async def reported() -> bool:
            return all([await client.exists(KEYS.stream("gap", name)) for name in NAMES])

        await wait_until(reported, what="gaps")
        for stream in (*(KEYS.stream("gap", name) for name in NAMES), KEYS.venue("consolidated")):
            entries: Any = await client.xrange(stream)
            found = [one for _, fields in entries if isinstance(one := decode(fields[b"d"]), Gap)]
            assert [(one.from_ts <= stopped_ts, one.to_ts >= continued_ts, one.missed) for one in found] == [(True, True, None)]
            assert found[0].from_ts > stopped_ts - 5_000_000_000


async def test_a_rolling_restart_leaves_no_long_pause(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Each instance releases its shards when it stops."""
    async with running(client, valkey, tmp_path, 2, 4) as (aggregators, market):
        for process in tuple(aggregators.started):
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 30) == 0
            await aggregators.start()
            await aggregators.wait_for(client, 2, 2)
        await quoted_since(client, market)
    assert await check(client) >= 2


async def test_a_server_that_was_away_is_waited_for(tmp_path: Path) -> None:
    """The outage lasts 10 s, longer than a lease. Quotes continue in order, and no trade is lost or counted twice."""
    server = EmbeddedServer(tmp_path, persist=True)
    await server.start()
    try:
        async with Redis.from_url(server.url) as client:
            async with running(client, server.url, tmp_path, 2, 4) as (aggregators, market):
                await server.stop()
                back_at = time.monotonic() + 10
                await wait_until(lambda: time.monotonic() >= back_at, what="ten seconds")
                await server.start()
                await aggregators.wait_for(client, 2, 2)
                await quoted_since(client, market)
            assert await check(client, longest_s=10 + GAP_S) <= 2
    finally:
        await server.stop()


def test_names_are_spread_over_all_shards() -> None:
    """Each shard of these tests has instruments; otherwise the tests would show little."""
    for of in (2, 4, 6):
        assert all(any(Shard(number, of).has(name) for name in NAMES) for number in range(of))
