"""The statements of docs/how-to/keep-history-in-postgresql.md run, and answer."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Final

import asyncpg

from crosstape.history import text_events
from crosstape.history.columns import BatchBuilder
from crosstape.history.postgres.store import PostgresStore
from crosstape.history.query import Query
from crosstape_schemas import KIND_OF, Bar, Book, FeedState, encode
from tests.history.batches import NOON, SECOND, candle, ids, trade

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/keep-history-in-postgresql.md"
STATEMENTS: Final = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


async def test_the_statements_of_the_page(postgres: str) -> None:
    """From the first to the last: users, tables made by the recorder's user, and each question asked by a user who may only read."""
    make_database, make_schema, *questions = STATEMENTS
    where = postgres.rpartition("@")[2].rpartition("/")[0]
    owner = await asyncpg.connect(postgres)
    for statement in filter(str.strip, make_database.split(";")):
        await owner.execute(statement)
    try:
        in_tape = await asyncpg.connect(f"{postgres.rpartition('/')[0]}/tape")
        await in_tape.execute(make_schema)
        await in_tape.close()
        async with contextlib.aclosing(PostgresStore(f"postgresql://recorder:CHANGE-ME@{where}/tape")) as store:
            await _fill(store)
        async with contextlib.aclosing(PostgresStore(f"postgresql://analyst:CHANGE-ME-TOO@{where}/tape")) as reader:
            assert await ids(reader, Query(kind="trade", to_ts=NOON + 3 * SECOND)) == ["0", "1", "2"]
        analyst = await asyncpg.connect(f"postgresql://analyst:CHANGE-ME-TOO@{where}/tape")
        answers = [[tuple(row) for row in await analyst.fetch(statement)] for statement in questions]
        await analyst.close()
    finally:
        await owner.execute("drop database if exists tape with (force)")
        await owner.execute("drop role if exists recorder")
        await owner.execute("drop role if exists analyst")
        await owner.close()

    newest, vwaps, once, bars, books = answers
    assert newest == []  # the trades are of another day
    assert [(str(row[1]), str(row[2]), row[3]) for row in vwaps] == [("67002.10000000", "1.250", 5)]
    assert len(once) == 5
    assert [(row[0], str(row[5])) for row in bars] == [("kraken", "1.750")]
    assert books == [("kraken", '["1.50","2"]')]


async def _fill(store: PostgresStore) -> None:
    """Record something of each kind that is asked for."""
    minute = candle(0)
    prices = {name: getattr(minute, name) for name in ("open", "high", "low", "close", "volume")}
    times = {name: getattr(minute, name) for name in ("venue_ts", "received_ts", "open_ts", "close_ts")}
    bar = Bar(
        venue="kraken", instrument="BTC-USDT", timeframe="1m", quote_volume=minute.volume, trades=1, taker_buy_volume=None, closed=True,
        **prices, **times,
    )  # fmt: skip
    level = ((minute.open, minute.high),)
    book = Book(
        venue="kraken", instrument="BTC-USDT", venue_ts=None, received_ts=NOON, bids=level, asks=(), depth=1, state=FeedState.LIVE
    )  # fmt: skip
    for events in ([trade(number) for number in range(5)], [bar], [book]):
        builder = BatchBuilder(KIND_OF[type(events[0])])
        for number, event in enumerate(events):
            data = encode(event)
            builder.add(1_000, number, text_events.decode(data), data)
        assert await store.append(builder.build(), {}, after=0) == 1
