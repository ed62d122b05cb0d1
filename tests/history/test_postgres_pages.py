"""A store in PostgreSQL finds rows by the ranges of instruments and times that are in each group of pages."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from itertools import groupby

import asyncpg
import pytest

from crosstape.history.postgres import copying, layout
from crosstape.history.postgres.store import PostgresStore
from crosstape.history.query import Query
from tests.history.batches import DAY, MINUTE, NOON, SECOND, batch, ids, trade

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
ROWS = 3_000


@pytest.fixture
async def store(postgres: str) -> AsyncIterator[PostgresStore]:
    """One with a history of its own, of a trade a second of three instruments in turn."""
    async with contextlib.aclosing(PostgresStore(f"{postgres}?schema=test_{uuid.uuid4().hex}")) as one:
        rows = batch(trade(number, instrument=INSTRUMENTS[number % 3]) for number in range(ROWS))
        assert await one.append(rows, {}, after=0) == 1
        yield one


@contextlib.asynccontextmanager
async def connected(postgres: str, store: PostgresStore) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A user's own connection to the history."""
    connection = await asyncpg.connect(postgres, server_settings={"search_path": store._address.schema})
    try:
        yield connection
    finally:
        await connection.close()


async def test_each_commit_extends_the_index(postgres: str, store: PostgresStore) -> None:
    """Nothing is left to be summarized."""
    async with connected(postgres, store) as server:
        indexes = await server.fetch(
            "select c.oid from pg_index join pg_class c on c.oid = indexrelid join pg_am a on a.oid = relam "
            "where indrelid = $1::text::regclass and amname = 'brin'",
            layout.partition_name("trade", NOON // DAY),
        )
        assert len(indexes) == 1
        assert await server.fetchval("select brin_summarize_new_values($1::oid)", indexes[0]["oid"]) == 0


async def test_a_question_reads_no_pages_of_other_times(postgres: str, store: PostgresStore) -> None:
    """Even before the server has statistics, the plan is that of the index."""
    assert await store.append(batch((trade(n, NOON + 60 * MINUTE + n) for n in range(ROWS)), first_seq=9_000), {}, after=1) == 2
    async with connected(postgres, store) as server, server.transaction():
        await server.execute("set local enable_seqscan = off")
        (plan,) = json.loads(
            await server.fetchval(
                "explain (analyze, format json) select * from trade where instrument = $1 and ts >= $2 and ts <= $3",
                "BTC-USDT", NOON + 60 * MINUTE, NOON + 61 * MINUTE,
            )
        )  # fmt: skip
    assert plan["Plan"]["Actual Rows"] == ROWS
    assert plan["Plan"].get("Rows Removed by Index Recheck", 0) < ROWS


async def test_newest_rows_are_found_wherever_they_were_written(store: PostgresStore) -> None:
    """What was fetched later about the past is at the table's end, and hides nothing."""
    assert await store.append(batch((trade(n, NOON - 60 * MINUTE + n) for n in range(2_000)), first_seq=9_000), {}, after=1) == 2
    for number, instrument in zip(range(ROWS - 3, ROWS), INSTRUMENTS, strict=True):
        found = await store.last(Query(kind="trade", instrument=instrument))
        assert found is not None
        assert json.loads(found)["trade_id"] == f"{number}"
    before = await store.last(Query(kind="trade", instrument="ETH-USDT", to_ts=NOON + 100 * SECOND))
    assert before is not None
    assert json.loads(before)["trade_id"] == "97"
    assert await ids(store, Query(kind="trade", instrument="SOL-USDT", limit=700)) == [str(n) for n in range(ROWS)][2::3][-700:]
    assert await store.last(Query(kind="trade", instrument="ADA-USDT")) is None


def test_rows_of_an_instrument_are_written_together() -> None:
    """Those of one question are then in few pages; within an instrument they stay as they came."""
    (part,) = copying.parts(batch(trade(number, instrument=INSTRUMENTS[number % 3]) for number in range(ROWS)), keep_data=False)
    position = layout.column_names("trade").index("instrument")
    rows = [line.split(",") for line in part.decode().splitlines()]
    assert [name for name, _ in groupby(row[position] for row in rows)] == [f'"{name}"' for name in INSTRUMENTS]
    times = [int(row[0]) for row in rows if row[position] == '"ETH-USDT"']
    assert times == sorted(times)
    assert len(rows) == ROWS
