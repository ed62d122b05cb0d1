"""What a store in PostgreSQL does beyond the contract of all stores."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history import text_events
from crosstape.history.batch import Batch, Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.postgres import copying
from crosstape.history.postgres.store import PostgresStore
from crosstape.history.query import Query
from crosstape.history.store import Position
from crosstape_schemas import KINDS, Gap, GapCause, Mark, encode
from tests.history.batches import DAY, MINUTE, NOON, SECOND, batch, candle, ids, read, trade
from tests.schemas.strategies import events
from tests.waiting import wait_until

TRADES = Query(kind="trade")
BTC = "tape:trade:BTC-USDT"


@pytest.fixture
def url(postgres: str) -> str:
    """A history of the test's own."""
    return f"{postgres}?schema=test_{uuid.uuid4().hex}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    """The store of this history."""
    async with contextlib.aclosing(PostgresStore(url)) as one:
        yield one


@pytest.fixture
async def server(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A user's own connection; table names are those of the test's history."""
    address, _, schema = url.partition("?schema=")
    connection = await asyncpg.connect(address, server_settings={"search_path": schema})
    try:
        yield connection
    finally:
        await connection.close()


def of(kind: str, *data: bytes, keep: Any = "events") -> Batch:
    """The batch of these events, with ids 1-0, 1-1 …"""
    builder = BatchBuilder(kind, keep)
    for number, one in enumerate(data):
        builder.add(1, number, text_events.decode(one), one)
    return builder.build()


async def test_the_tables_are_for_its_user_too(store: PostgresStore, server: asyncpg.Connection[asyncpg.Record]) -> None:
    """Numbers are numbers, with the venue's digits; `d` is there only where columns do not say it all."""
    odd = encode(trade(2)).replace(b'"size":"0.250"', b'"size":"+0.250"')
    rows = of("trade", encode(trade(1)), odd)
    await store.append(rows, {}, after=0)

    found = await server.fetch(
        "select price::text, size::text, price * size as value, taker, backfilled, convert_from(d, 'UTF8') as d from trade order by ts"
    )

    assert [tuple(row) for row in found] == [
        ("67001.10", "0.250", Decimal("16750.27500"), "buy", False, None),
        ("67002.10", "0.250", Decimal("16750.52500"), "buy", False, odd.decode()),
    ]  # fmt: skip


async def test_each_day_is_a_partition(store: PostgresStore, server: asyncpg.Connection[asyncpg.Record]) -> None:
    """By `ts`: a row at midnight is of the new day. Days that have no rows have none."""
    midnight = NOON + DAY // 2
    await store.append(batch([trade(1, ts=midnight - 1), trade(2, ts=midnight), trade(3, ts=midnight + 5 * DAY)]), {}, after=0)

    found = await server.fetch("select tableoid::regclass::text as part, trade_id from trade order by ts")

    assert [tuple(row) for row in found] == [("trade_20261130", "1"), ("trade_20261201", "2"), ("trade_20261206", "3")]


@pytest.mark.parametrize("ts", [-(2**63), -1, 0, 2**63 - 1])
async def test_any_time_of_64_bits_has_its_day(store: PostgresStore, ts: int) -> None:
    """Also one that no clock shows: a mistake of a venue stops no recorder."""
    rows = of("mark", encode(Mark(venue="okx", instrument="BTC-USDT-PERP", venue_ts=None, received_ts=ts, mark_price=None)))

    assert await store.append(rows, {}, after=0) == 1

    assert await read(store, Query(kind="mark")) == rows.data
    assert await store.last(Query(kind="mark", instrument="BTC-USDT-PERP")) == rows.data[0]
    assert await read(store, Query(kind="mark", from_ts=ts + 1)) == await read(store, Query(kind="mark", to_ts=ts)) == []


def _number(digits: int) -> st.SearchStrategy[str]:
    """A decimal of so many digits, with the point anywhere."""
    whole = st.text("0123456789", min_size=digits, max_size=digits)
    return st.tuples(whole, st.integers(1, digits)).map(lambda one: f"{one[0][: one[1]].lstrip('0') or '0'}.{one[0][one[1] :]}".rstrip("."))


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data(), st.sampled_from(sorted(KINDS)), st.booleans())
def test_every_event_comes_back_byte_for_byte(postgres: str, data: st.DataObject, kind: str, keep: bool) -> None:
    """All kinds, with any texts (NUL, quotes, tabs, ends of lines), times and decimals."""
    some = [encode(event) for event in data.draw(st.lists(events(kind), min_size=1, max_size=5))]
    asyncio.run(_round_trip(postgres, kind, some, keep))


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.integers(1, 60).flatmap(_number), min_size=1, max_size=20))
def test_decimals_of_any_length_come_back(postgres: str, numbers: list[str]) -> None:
    """With 1 to 60 digits, and zeros at their end: in the table, and in the events, though a table of Arrow holds 38 digits."""
    some = [encode(trade(number)).replace(b'"0.250"', f'"{text}"'.encode()) for number, text in enumerate(numbers)]

    assert asyncio.run(_round_trip(postgres, "trade", some, False)) == numbers


async def _round_trip(postgres: str, kind: str, some: list[bytes], keep: bool) -> list[str]:
    """Write events to a new history and read them; returns their sizes as PostgreSQL has them, if they are trades."""
    schema = f"test_{uuid.uuid4().hex}"
    async with contextlib.aclosing(PostgresStore(f"{postgres}?schema={schema}", keep="events" if keep else "columns")) as store:
        rows = of(kind, *some)
        assert await store.append(rows, {}, after=0) == 1
        assert sorted(await read(store, Query(kind=kind, newest_revisions=False))) == sorted(rows.data)
        connection = await asyncpg.connect(postgres)
        try:
            if keep:
                assert await connection.fetchval(f'select count(*) from "{schema}"."{kind}" where d is null') == 0
            found = await connection.fetch(f'select size::text from "{schema}".trade order by id_n') if kind == "trade" else []
            await connection.execute(f'drop schema "{schema}" cascade')
        finally:
            await connection.close()
        return [row["size"] for row in found]


async def test_text_that_postgresql_cannot_hold_is_not_lost(store: PostgresStore, server: asyncpg.Connection[asyncpg.Record]) -> None:
    """The character NUL in a text stops no recorder: the column has another character, `d` and the event have it."""
    rows = of(
        "trade", encode(trade(1)), encode(trade(2, trade_id="a\0b")), encode(trade(3, trade_id="")), encode(trade(4, trade_id='\t"\\.\r\n'))
    )

    await store.append(rows, {}, after=0)

    assert await read(store, TRADES) == rows.data
    assert [row[0] for row in await server.fetch("select trade_id from trade order by ts")] == ["1", "a\ufffdb", "", '\t"\\.\r\n']
    assert [row[0] for row in await server.fetch("select trade_id from trade where d is not null")] == ["a\ufffdb"]
    assert [one.what for one in (await store.check()).findings if "its event" in one.what or "give back" in one.what] == []


async def test_a_reader_sees_one_moment(url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits that others make while it reads, and days that they add, are not in it, and do not wait for it."""
    monkeypatch.setattr("crosstape.history.postgres.store.ROWS", 2)
    await store.append(batch([trade(number, ts=NOON + number * DAY // 2) for number in range(6)]), {}, after=0)
    reading = store.read(TRADES)
    seen = (await anext(reading)).column("trade_id").to_pylist()

    async with contextlib.aclosing(PostgresStore(url)) as other, asyncio.timeout(5):
        later = [trade(number, ts=NOON + number * DAY // 2 + 1) for number in range(10)]
        assert await other.append(batch(later, first_ms=2_000), {}, after=1) == 2
        assert len(await ids(other, TRADES)) == 16

    assert seen + [one async for table in reading for one in table.column("trade_id").to_pylist()] == [str(number) for number in range(6)]


async def test_a_day_that_is_read_is_deleted_later(url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader gets all rows; others read and write meanwhile."""
    monkeypatch.setattr("crosstape.history.postgres.store.ROWS", 1)
    monkeypatch.setattr("crosstape.history.postgres.tables.DROP_LOCK_S", 1)
    await store.append(batch([trade(1), trade(2), trade(3, ts=NOON + DAY)]), {}, after=0)
    reading = store.read(TRADES)
    await anext(reading)

    async with contextlib.aclosing(PostgresStore(url)) as other:
        assert await other.expire(before_ts=NOON + DAY) == 0
        assert [table.num_rows async for table in reading] == [1, 1]
        assert await other.expire(before_ts=NOON + DAY) == 2
        assert await ids(store, TRADES) == ["3"]


async def test_a_deleted_day_is_made_again(url: str, store: PostgresStore) -> None:
    """A writer notices that another process has deleted a day which it had made."""
    await store.append(batch([trade(1), trade(2, ts=NOON + DAY)]), {}, after=0)
    async with contextlib.aclosing(PostgresStore(url)) as other:
        await other.expire(before_ts=NOON + DAY)

    assert await store.append(batch([trade(3)]), {}, after=1) == 2

    assert await ids(store, TRADES) == ["3", "2"]


async def test_a_history_that_was_dropped_is_made_again(store: PostgresStore, server: asyncpg.Connection[asyncpg.Record]) -> None:
    """Its writer begins again where there is nothing."""
    await store.append(batch([trade(1)]), {BTC: Bookmark("1-0")}, after=0)
    await server.execute(f'drop schema "{store._address.schema}" cascade')

    assert await store.append(batch([trade(2)]), {}, after=1) is None
    assert await store.position("trade") == Position(0, {})
    assert await store.append(batch([trade(2)]), {}, after=0) == 1
    assert await ids(store, TRADES) == ["2"]


async def test_a_table_of_an_older_version_gets_new_columns(store: PostgresStore, server: asyncpg.Connection[asyncpg.Record]) -> None:
    """Until a writer has added them they are null for a reader."""
    await store.append(of("gap", *GAPS), {}, after=0)
    await server.execute("alter table gap drop column nonexistent")
    async with contextlib.aclosing(PostgresStore(store_url(store))) as newer:
        assert [table.column("nonexistent").to_pylist() async for table in newer.read(Query(kind="gap"))] == [[None]]

        await newer.append(of("gap", *GAPS), {}, after=1)

        assert [table.column("nonexistent").to_pylist() async for table in newer.read(Query(kind="gap"))] == [[None, 0]]


GAPS = [
    b'{"type":"gap","venue":"kraken","instrument":"BTC-USDT","venue_ts":null,"received_ts":1796040000000000000,"kind":"trade",'
    b'"from_ts":1796039000000000000,"to_ts":1796040000000000000,"missed":2,"cause":"disconnect","repaired":false,"nonexistent":0,"epoch":7,"seq":1}'
]


def store_url(store: PostgresStore) -> str:
    """Where this store is."""
    address = store._address
    return f"{address.url}?schema={address.schema}"


async def test_who_may_only_read_reads(url: str, store: PostgresStore, server: asyncpg.Connection[asyncpg.Record]) -> None:
    """A user with no right but `select`, who is told what is refused."""
    await store.append(batch([trade(1)]), {BTC: Bookmark("1-0")}, after=0)
    address, _, schema = url.partition("?schema=")
    role = f"r_{schema}"
    await server.execute(f"create role {role} login password 'pw'; grant usage on schema {schema} to {role}")
    await server.execute(f"grant select on all tables in schema {schema} to {role}")
    try:
        reader_url = f"postgresql://{role}:pw@{address.rpartition('@')[2]}?schema={schema}"
        async with contextlib.aclosing(PostgresStore(reader_url)) as reader:
            assert await ids(reader, TRADES) == ["1"]
            assert (await reader.position("trade")).number == 1
            assert await reader.last(TRADES) is not None
            with pytest.raises(HistoryError, match="permission denied"):
                await reader.append(batch([trade(2)]), {}, after=1)
            with pytest.raises(HistoryError, match="permission denied"):
                await reader.append(of("gap", *GAPS), {}, after=0)
    finally:
        await server.execute(f"drop owned by {role}; drop role {role}")


async def test_candles_count_a_fetched_trade_once(store: PostgresStore) -> None:
    """If the tape has it, that one; at the ends of an interval, too."""
    await store.append(batch([trade(1), trade(2, ts=NOON + 2 * SECOND + 7)]), {}, after=0)
    fetched = [trade(0, price=Decimal("1.50")), trade(1), trade(2), trade(3), trade(3)]
    await store.append(batch(fetched, source=Source.REST), {}, after=1)

    (candle,) = (await store.candles(Query(kind="trade", instrument="BTC-USDT"), "1m")).to_pylist()

    assert (candle["open"], candle["close"], candle["volume"], candle["trades"]) == ("1.5", "67003.1", "1", 4)


async def test_an_unknown_timeframe_or_kind_is_an_error(store: PostgresStore) -> None:
    """It names what there is."""
    await store.append(batch([trade(1)]), {}, after=0)
    with pytest.raises(HistoryError, match="no timeframe '7m'; there are 1s, 1m"):
        await store.candles(TRADES, "7m")
    with pytest.raises(HistoryError, match="no kind 'trades'; there are trade, quote"):
        await ids(store, Query(kind="trades"))


async def test_the_newest_event(store: PostgresStore) -> None:
    """Of an instrument that is rare, before a moment, by revision; and none if there is none."""
    rare = batch([trade(1, instrument="ADA-USDT")])
    await store.append(rare, {}, after=0)
    often = batch([trade(number, ts=NOON + number * DAY, venue="okx" if number == 3 else "kraken") for number in range(40)], first_ms=5_000)
    await store.append(often, {}, after=1)
    await store.append(batch([trade(39, ts=NOON + 39 * DAY + SECOND)], source=Source.REST), {}, after=2)
    first, second = batch([candle(1)]), batch([candle(1, revision=1)], first_ms=2_000)
    await store.append(second, {}, after=0)
    await store.append(first, {}, after=1)

    assert await store.last(TRADES) == often.data[-1]
    assert await store.last(Query(kind="trade", instrument="ADA-USDT")) == rare.data[0]
    assert await store.last(Query(kind="trade", venue="okx")) == often.data[3]
    assert await store.last(Query(kind="trade", to_ts=NOON + 7 * DAY)) == often.data[6]
    assert await store.last(Query(kind="candle", timeframe="1m")) == second.data[0]
    assert await store.last(Query(kind="candle", timeframe="5m")) is None
    assert await store.last(Query(kind="trade", from_ts=NOON + 99 * DAY)) is None
    assert await store.last(Query(kind="quote")) is None


async def test_what_is_wrong_is_found(store: PostgresStore, server: asyncpg.Connection[asyncpg.Record]) -> None:
    """A digit that was changed, a row that is there twice, one that the marks do not cover."""
    rows = [trade(number) for number in range(1, 6)]
    await store.append(batch(rows), {BTC: Bookmark("1003-0", (("kraken", 7, 5),))}, after=0)
    await server.execute(
        "update trade set price = price + 0.01, d = convert_to($1, 'UTF8') where trade_id = '2'", batch(rows).data[1].decode()
    )
    await server.execute("insert into trade select * from trade where trade_id = '3'")
    await server.execute("update trade set taker = 'seller' where trade_id = '4'")

    result = await store.check()

    assert (result.commits, result.rows) == (1, 6)
    found = [f"{one.where}: {one.what}" for one in result.findings]
    assert sorted(text.partition(".")[2] for text in found) == [
        "trade: number 3 of kraken in the stream trade:BTC-USDT, epoch 7, is there more than once",
        "trade: the newest row of trade:BTC-USDT is of entry 1004-0, and its mark is 1003-0: it would be recorded again",
        "trade_20261130, entry 1001-0: price is '67002.11', and '67002.10' in its event",
        "trade_20261130, entry 1003-0: it does not give back an event of its kind",
    ]


async def test_numbers_that_the_recorder_reported_as_missing_are_no_finding(store: PostgresStore) -> None:
    """A gap row of its own says that they had left the tape."""
    marks = {BTC: Bookmark("9000-0")}
    await store.append(batch([trade(1), trade(2)]), marks, after=0)
    await store.append(batch([trade(9)], first_ms=2_000, first_seq=9), {}, after=1)
    (finding,) = (await store.check()).findings
    assert "numbers 3 to 8 of kraken in the stream trade:BTC-USDT, epoch 7, are missing" in finding.what

    builder = BatchBuilder("gap")
    gap = Gap(
        venue="kraken", instrument="BTC-USDT", venue_ts=None, received_ts=NOON + MINUTE, kind="trade", from_ts=NOON + 2 * SECOND,
        to_ts=NOON + 9 * SECOND, missed=6, cause=GapCause.BUS,
    )  # fmt: skip
    builder.add(5_000, 0, text_events.decode(encode(gap)), encode(gap), Source.RECORDER)
    await store.append(builder.build(), {}, after=0)

    assert (await store.check()).findings == ()


async def test_a_commit_that_fails_leaves_nothing(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here what copies the rows fails behind the first part. The connection is good for the next."""
    await store.append(batch([trade(1)]), {}, after=0)
    monkeypatch.setattr(copying, "ROWS", 1)
    made = copying.parts

    def breaking(rows: Batch, keep_data: bool) -> Iterator[bytes]:
        for number, part in enumerate(made(rows, keep_data)):
            if number == 2:
                raise OSError("no more")
            yield part

    monkeypatch.setattr(copying, "parts", breaking)
    with pytest.raises(HistoryError, match="no more"):
        await store.append(batch([trade(number) for number in range(2, 9)]), {BTC: Bookmark("5-0")}, after=1)

    monkeypatch.setattr(copying, "parts", made)
    assert await store.position("trade") == Position(1, {})
    assert await store.append(batch([trade(2), trade(3), trade(4)]), {}, after=1) == 2
    assert await ids(store, TRADES) == ["1", "2", "3", "4"]


async def test_a_cancelled_commit_leaves_nothing(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its connection is not in the way of the next."""
    await store.append(batch([trade(1)]), {}, after=0)
    monkeypatch.setattr(copying, "ROWS", 1)
    writing = asyncio.create_task(store.append(batch([trade(number) for number in range(2, 2_000)]), {}, after=1))
    written = store.bytes_written
    await wait_until(lambda: store.bytes_written > written, what="it has begun")
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await store.append(batch([trade(2)]), {}, after=1) == 2
    assert await ids(store, TRADES) == ["1", "2"]
