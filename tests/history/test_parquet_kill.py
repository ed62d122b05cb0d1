"""Writers and mergers of a history in files are killed at any moment: each row is there once, and readers never notice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from crosstape.history.parquet.catalogue import day_ts
from crosstape.history.parquet.file import added, sums_of
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from tests.history.batches import DAY, NOON, ids, trade
from tests.history.parquet_worker import ROWS_OF_A_DAY, STREAM, stop_file
from tests.waiting import wait_until

KILLS = 40
TRADES = Query(kind="trade")


class Workers:
    """Processes of `parquet_worker`."""

    def __init__(self, starter: Process) -> None:
        self._starter = starter
        self.running: dict[int, str] = {}

    async def start(self, role: str) -> int:
        """Start one."""
        assert self._starter.stdin
        assert self._starter.stdout
        self._starter.stdin.write(f"{role}\n".encode())
        pid = int(await self._starter.stdout.readline())
        self.running[pid] = role
        return pid

    def kill(self, pid: int) -> None:
        """End one, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        del self.running[pid]

    def ended(self, pid: int) -> bool:
        """Whether it has come to its end."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    """See `Workers`; all end with the test."""
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.history.parquet_worker", str(tmp_path / "history"), stdin=PIPE, stdout=PIPE
    )
    found = Workers(starter)
    try:
        yield found
    finally:
        for pid in list(found.running):
            found.kill(pid)
        assert starter.stdin
        starter.stdin.close()
        await starter.wait()


async def follow(store: ParquetStore, seen: list[int]) -> None:
    """Read everything again and again: each time all entries up to some number, each once, and never fewer than before."""
    while True:
        found = await ids(store, TRADES)
        assert found == [str(number) for number in range(1, len(found) + 1)]
        assert not seen or len(found) >= seen[-1]
        seen.append(len(found))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_each_row_is_there_once_whoever_is_killed(workers: Workers, tmp_path: Path) -> None:
    """Two writers and two mergers, 40 of each killed at random moments, and a reader all the time."""
    store = ParquetStore(LocalFolder(tmp_path / "history"))
    seen: list[int] = []
    reader = asyncio.create_task(follow(store, seen))
    for role in ("write", "write", "compact", "compact"):
        await workers.start(role)
    killed = {"write": 0, "compact": 0}
    while min(killed.values()) < KILLS and not reader.done():
        await asyncio.sleep(random.uniform(0.02, 0.3))
        pid, role = random.choice(list(workers.running.items()))
        if killed[role] >= KILLS + 10:
            continue
        workers.kill(pid)
        killed[role] += 1
        await workers.start(role)
    stop_file(tmp_path / "history").touch()
    writers = [pid for pid, role in workers.running.items() if role == "write"]
    await wait_until(lambda: reader.done() or all(map(workers.ended, writers)), what="both writers have come to their end", timeout_s=60)
    for pid in list(workers.running):
        workers.kill(pid)
    marks = (await store.position("trade")).marks
    entries = int(marks[STREAM].id.partition("-")[0])
    await wait_until(lambda: reader.done() or (seen and seen[-1] == entries), what="the reader has read all", timeout_s=60)
    reader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reader

    tables = [table async for table in store.read(TRADES)]
    result = await store.check()
    await store.aclose()
    total = added(sums_of(table) for table in tables)["price"]
    assert total == sum((trade(number).price for number in range(1, entries + 1)), Decimal(0))
    assert (result.rows, result.findings) == (entries, ())
    assert len(seen) > 5
    assert entries > 1_000


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_days_are_deleted_as_a_whole_whoever_is_killed(workers: Workers, tmp_path: Path) -> None:
    """Writers, mergers and two that delete old days, 20 of each killed: what is of the days that are kept is there once."""
    store = ParquetStore(LocalFolder(tmp_path / "history"))
    roles = ("write", "write", "compact", "compact", "expire", "expire")
    for role in roles:
        await workers.start(role)
    killed = dict.fromkeys(roles, 0)
    while min(killed.values()) < KILLS / 2:
        await asyncio.sleep(random.uniform(0.02, 0.2))
        pid, role = random.choice(list(workers.running.items()))
        workers.kill(pid)
        killed[role] += 1
        await workers.start(role)
        found = [int(one) for one in await ids(store, TRADES)]
        assert all(one < other for one, other in itertools.pairwise(found))
    stop_file(tmp_path / "history").touch()
    writers = [pid for pid, role in workers.running.items() if role == "write"]
    await wait_until(lambda: all(map(workers.ended, writers)), what="both writers have come to their end", timeout_s=60)
    for pid in list(workers.running):
        workers.kill(pid)

    entries = int((await store.position("trade")).marks[STREAM].id.partition("-")[0])
    (expired,) = {max(path.name for path in (tmp_path / "history/trade/expired").iterdir())}
    await store.compact()
    await store.expire(before_ts=day_ts(expired))
    rows = [int(one) for one in await ids(store, TRADES)]
    result = await store.check()
    await store.aclose()
    kept = [number for number in range(1, entries + 1) if NOON + number * DAY // ROWS_OF_A_DAY >= day_ts(expired)]
    assert rows == kept
    assert (result.rows, result.findings) == (len(kept), ())
    assert entries > 3 * ROWS_OF_A_DAY
