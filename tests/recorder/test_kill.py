"""The recorder and the server are killed again and again while a million trades are published: each is in the history once."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import pytest

from crosstape.bus import Publisher
from crosstape.history.query import Query
from crosstape.runtime.lifecycle import Exit
from crosstape.settings import MaxLen
from tests.bus.tape import fast, publishing, trade, whole
from tests.cli.running import crosstape, started, stopped
from tests.engines import Server, StartServer
from tests.recorder.processes import Watched, kept, variables_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TRADES = 1_000_000
KILLS = 40
SERVER_KILLS = 4
TAIL = 10_000
"""Trades that come after all kills."""
PAUSE_S = 0.4
"""A process is killed up to this long after it has committed for the first time."""


async def publish(publisher: Publisher, count: int, killed: asyncio.Event) -> None:
    """Publish trades 1 … `count`: the last of them once all kills are done."""
    for number in range(1, count + 1):
        if number == count - TAIL:
            await killed.wait()
        publisher.publish(trade(number))
        if not number % 200:
            await publisher.flow()
            await wait_until(lambda: publisher.pending < 20_000, what="the server is back", timeout_s=60)
            await asyncio.sleep(0.01)  # a pace that lasts for as long as the kills take


async def kill_the_server(server: Server, publisher: Publisher, times: int) -> None:
    """Kill it, and start it on what it has persisted."""
    for _ in range(times):
        enough = publisher.acknowledged + TRADES // (2 * times)
        await wait_until(lambda enough=enough: publisher.acknowledged > enough, what="it is written to", timeout_s=300)  # type: ignore[misc]
        await server.kill()
        await server.start()


async def kill_recorders(watched: Watched, variables: dict[str, str], times: int, pick: random.Random) -> None:
    """Start one and kill it, again and again: each time soon after the history has grown."""
    for _ in range(times):
        before = await watched.number()
        async with started("recorder", variables=variables) as process:
            await wait_until(lambda before=before: later(watched, before), what="it commits", timeout_s=60)  # type: ignore[misc]
            await asyncio.sleep(pick.uniform(0, PAUSE_S))  # any moment
            process.kill()
            await process.wait()


async def test_each_trade_is_recorded_once_though_all_is_killed(start_server: StartServer, tmp_path: Path) -> None:
    """Merging goes on meanwhile, and is killed as well. Nothing is said to be missing, and `check` finds nothing wrong."""
    server = await start_server(persist=True, options={"appendfsync": "everysec"})
    settings = fast(server.url, retransmit_s=600.0, retransmit_bytes=1 << 30, max_len=MaxLen(trade=2 * TRADES))
    history = tmp_path / "history"
    variables = variables_of(server.url, history, compact_s="1", commit_rows="20000")
    watched, killed = Watched(history), asyncio.Event()
    async with publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        load = tasks.create_task(publish(publisher, TRADES, killed))
        storm = tasks.create_task(kill_the_server(server, publisher, SERVER_KILLS))
        await kill_recorders(watched, variables, KILLS, random.Random(7))
        await storm
        killed.set()
        await load
        async with started("recorder", variables=variables) as process:
            await wait_until(lambda: complete(watched, TRADES), what="all is recorded", timeout_s=300)
            assert (await stopped(process, signal.SIGTERM)).code == Exit.OK

    await assert_each_once(history, variables, TRADES)


async def test_two_recorders_that_are_killed_record_each_trade_once(start_server: StartServer, tmp_path: Path) -> None:
    """Both write to one folder, and both merge."""
    count, server = TRADES // 5, await start_server(persist=True)
    settings = fast(server.url, max_len=MaxLen(trade=2 * TRADES))
    history = tmp_path / "history"
    variables = variables_of(server.url, history, compact_s="1", commit_rows="5000", commit_s="0.1")
    watched, killed = Watched(history), asyncio.Event()
    async with publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        load = tasks.create_task(publish(publisher, count, killed))
        async with started("recorder", variables=variables) as always:
            await asyncio.gather(*(kill_recorders(watched, variables, KILLS // 4, random.Random(seed)) for seed in (1, 2)))
            killed.set()
            await load
            await wait_until(lambda: complete(watched, count), what="all is recorded", timeout_s=300)
            assert (await stopped(always, signal.SIGTERM)).code == Exit.OK

    await assert_each_once(history, variables, count)


async def assert_each_once(history: Path, variables: dict[str, str], count: int) -> None:
    """The trades 1 … `count` are in the history, the sum of their sizes is right, no gap was reported, and the check is satisfied."""
    seqs, total = await kept(history)
    assert sorted(seqs) == whole(count)
    assert total == count * (count + 1) // 2
    assert sum([len(table) async for table in Watched(history).store.read(Query(kind="gap"))]) == 0
    checked = await crosstape("recorder", "check", variables=variables)
    assert checked.code == Exit.OK, checked.out


async def later(watched: Watched, number: int) -> bool:
    """Whether there is a newer commit."""
    return await watched.number() > number


async def complete(watched: Watched, count: int) -> bool:
    """Whether the last trade was recorded."""
    return await watched.newest() == count
