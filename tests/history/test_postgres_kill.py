"""Whatever is killed while a history in PostgreSQL is written: each row is there once, readers see whole commits, and sums are exact."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal

import pytest

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history.postgres.store import PostgresStore
from crosstape.history.query import Query
from tests.history.postgres_writer import SIZE, STREAM, price, write
from tests.postgres import EmbeddedPostgres, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
TRADES = Query(kind="trade")


@contextlib.contextmanager
def writing(url: str, total: int) -> Iterator[subprocess.Popen[bytes]]:
    """A writer in a process of its own, that ends with the block."""
    process = subprocess.Popen([sys.executable, "-m", "tests.history.postgres_writer", url, str(total)])
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


async def whole(store: PostgresStore, total: int) -> None:
    """Fails unless the history has each trade of 1 to `total` once, in order, and its sums are theirs."""
    seen = 0
    async for table in store.read(TRADES):
        numbers = [int(text) for text in table.column("trade_id").to_pylist()]
        assert numbers == list(range(seen + 1, seen + len(numbers) + 1))
        seen += len(numbers)
    assert seen == total
    position = await store.position("trade")
    assert position.marks == {STREAM: Bookmark(f"{total}-0", (("kraken", 7, total),))}
    assert position.number == -(-total // SIZE)
    candles = (await store.candles(Query(kind="trade", instrument="BTC-USDT"), "1M")).to_pylist()
    assert sum(one["trades"] for one in candles) == total
    assert sum(Decimal(one["volume"]) for one in candles) == sum(Decimal("0.001") * number for number in range(1, total + 1))
    assert sum(Decimal(one["quote_volume"]) for one in candles) == sum(Decimal("0.001") * n * price(n) for n in range(1, total + 1))
    assert (await store.check()).findings == ()


async def committed(store: PostgresStore) -> int:
    """How many commits there are; while the server is away, -1."""
    try:
        return (await store.position("trade")).number
    except HistoryError:
        return -1


async def grows(store: PostgresStore, number: int) -> None:
    """Returns when there are more commits than this."""

    async def grown() -> bool:
        return await committed(store) > number

    await wait_until(grown, what="the history grows", timeout_s=60)


async def test_a_server_that_is_killed() -> None:
    """Ten times, at once (`pg_ctl stop -m immediate`) or its postmaster by SIGKILL, while one writes and one reads."""
    total = 60_000
    with running(EmbeddedPostgres(fsync="on")) as server:
        store, watching = PostgresStore(server.url, connect_s=5.0, command_s=10.0), PostgresStore(server.url, connect_s=5.0)
        async with contextlib.aclosing(store), contextlib.aclosing(watching), asyncio.TaskGroup() as group:
            writer = group.create_task(write(store, total), name="writer")
            for kill in range(10):
                await grows(watching, await committed(watching))
                assert not writer.done()
                await asyncio.to_thread(server.kill, signal.SIGQUIT if kill % 2 else signal.SIGKILL)
                await asyncio.to_thread(server.start)
        async with contextlib.aclosing(PostgresStore(server.url)) as after:
            await whole(after, total)


async def test_writers_that_are_killed(postgres: str) -> None:
    """Forty times; the next one goes on where the history ends. 200,000 trades are there once."""
    total, kills = 200_000, 40
    url = f"{postgres}?schema=test_{uuid.uuid4().hex}"
    async with contextlib.aclosing(PostgresStore(url)) as store:
        for kill in range(kills):
            with writing(url, total) as process:
                await grows(store, (kill + 1) * total // SIZE // (kills + 2))
                assert process.poll() is None
        assert (await store.position("trade")).number < total // SIZE
        with writing(url, total) as process:
            assert await asyncio.to_thread(process.wait, 120) == 0
        await whole(store, total)


async def test_two_writers_and_readers(postgres: str) -> None:
    """Each commit is made by one of them. Readers see all rows of a commit or none, in order, while it goes on."""
    total = 100_000
    url = f"{postgres}?schema=test_{uuid.uuid4().hex}"
    async with contextlib.aclosing(PostgresStore(url)) as store:
        with writing(url, total) as one, writing(url, total) as other:
            seen = 0
            while one.poll() is None or other.poll() is None:
                rows = 0
                async for table in store.read(TRADES):
                    assert table.column("trade_id").to_pylist()[0] == str(rows + 1)
                    rows += len(table)
                assert rows % SIZE == 0
                assert rows >= seen
                seen = rows
                await asyncio.sleep(0)
            assert (one.returncode, other.returncode) == (0, 0)
        await whole(store, total)
