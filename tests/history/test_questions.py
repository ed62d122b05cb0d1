"""Parquet files of the history answer questions exactly: candles of trades, ranges of rows, the last event."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape.errors import HistoryError
from crosstape.history import text_events
from crosstape.history.arrow import events_of, table_of
from crosstape.history.batch import Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.exact_candles import PricedTrade, candles_of
from crosstape.history.parquet import candles as of_trades
from crosstape.history.parquet import extents, questions
from crosstape.history.parquet.engine import asked, connection, parts_of
from crosstape.history.parquet.extents import Files
from crosstape.history.parquet.file import bytes_of
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.query import Query
from crosstape_schemas import TIMEFRAMES, AnyEvent, Bar, Candle, Side, Trade, decode, encode
from crosstape_schemas.timeframes import DAY, SECOND, close_of

START = 1_764_460_800 * SECOND
"""2025-11-30, a Sunday."""


class Row(msgspec.Struct, frozen=True):
    """An event as it is recorded."""

    event: AnyEvent
    id_ms: int
    id_n: int = 0
    source: Source = Source.TAPE


def files(folder: Path, *commits: Sequence[Row], local: bool = True, row_group: int = 3) -> Files:
    """Returns files of these rows, one for each commit."""
    names = []
    for number, rows in enumerate(commits):
        builder = BatchBuilder(text_events.kind_of(text_events.decode(encode(rows[0].event))), "events")
        for row in rows:
            data = encode(row.event)
            builder.add(row.id_ms, row.id_n, text_events.decode(data), data, row.source)
        names.append(f"{number:09}.parquet")
        (folder / names[-1]).write_bytes(bytes_of(table_of(builder.build()), {}, row_group=row_group))
    found = Files.in_folder(LocalFolder(folder), names)
    return found if local else msgspec.structs.replace(found, root="")


def trade(ts: int, price: str, size: str = "1", **fields: Any) -> Trade:
    """Returns a trade made at `ts`."""
    given: dict[str, Any] = {
        "venue": "binance",
        "instrument": "BTC-USDT",
        "trade_id": str(ts),
        "taker": Side.BUY,
        "epoch": 1,
        "seq": 1,
    } | fields
    return Trade(venue_ts=ts, received_ts=ts + 7, price=Decimal(price), size=Decimal(size), **given)


def read(of: Files, query: Query) -> list[bytes]:
    """Returns the JSON of the rows of a query."""
    with connection() as made:
        return [data for table in questions.rows(made, of, query) for data in events_of(table)]


def computed(of: Files, query: Query, timeframe: str) -> list[dict[str, object]]:
    """Returns the candles of a query."""
    with connection() as made:
        found: list[dict[str, object]] = of_trades.candles(made, of, query, timeframe).to_pylist()
        return found


def expected(rows: Iterable[Row], query: Query, timeframe: str) -> list[dict[str, object]]:
    """Returns the same candles, computed from each trade alone."""
    tape = {(row.event.venue, row.event.trade_id) for row in rows if isinstance(row.event, Trade) and row.source is not Source.REST}
    found: dict[tuple[object, ...], PricedTrade] = {}
    for row in sorted(rows, key=lambda row: (row.id_ms, row.id_n)):
        one = row.event
        assert isinstance(one, Trade)
        assert one.venue_ts is not None
        key: tuple[object, ...] = (one.venue, one.trade_id) if row.source is Source.REST else (row.id_ms, row.id_n)
        if row.source is Source.REST and key in tape:
            continue
        within = (query.from_ts or 0) <= one.venue_ts < (query.to_ts or 2**63)
        if within and query.venue in (None, one.venue) and query.instrument == one.instrument:
            found[key] = PricedTrade(one.venue_ts, one.venue, one.trade_id, one.epoch, one.seq, one.price, one.size)
    return list(candles_of(found.values(), timeframe).values())


def numbers(most: int, scale: int) -> st.SearchStrategy[str]:
    """Generates prices and sizes as the tape has them, also with zeros at their ends."""
    return st.tuples(st.integers(0, most), st.integers(0, scale)).map(lambda one: f"{Decimal(one[0]).scaleb(-one[1]):f}")


TRADES = st.builds(
    trade,
    st.one_of(
        st.integers(START, START + 180 * SECOND),
        st.integers(0, 5).map(lambda n: START + n * 60 * SECOND - 1),
        st.integers(START, START + 3),
    ),
    st.one_of(numbers(10**9, 8), numbers(10**25, 20), st.just("0")),
    st.one_of(numbers(10**9, 8), numbers(10**25, 22)),
    venue=st.sampled_from(["binance", "kraken"]),
    instrument=st.sampled_from(["BTC-USDT", "BTC-USDT", "ETH-USDT"]),
    trade_id=st.one_of(st.integers(0, 12).map(str), st.sampled_from(["", "007", "x1", "٣", "1" * 41, "9" * 40])),
    epoch=st.integers(1, 2),
    seq=st.integers(1, 10**6),
)


@st.composite
def recorded(draw: st.DrawFn) -> list[list[Row]]:
    """Generates commits of trades; some come from REST, and some of these are on the tape as well."""
    events = draw(st.lists(TRADES, min_size=1, max_size=25, unique_by=lambda one: (one.venue, one.epoch, one.seq)))
    rows = [Row(one, START // 10**6 + place, place) for place, one in enumerate(events)]
    for place, one in enumerate(draw(st.lists(st.sampled_from(events), max_size=6))):
        if one.trade_id:
            again = msgspec.structs.replace(one, epoch=0, seq=0, received_ts=one.received_ts + 1)
            rows.append(Row(again, START // 10**6 + 1000, place, Source.REST))
    for place, one in enumerate(draw(st.lists(TRADES, max_size=4))):
        fetched = msgspec.structs.replace(one, epoch=0, seq=0, trade_id=f"rest{place}")
        rows += [Row(fetched, START // 10**6 + 2000, place, Source.REST)] * draw(st.integers(1, 2))
    rows = draw(st.permutations(rows))
    cut = draw(st.integers(0, len(rows)))
    return [part for part in (rows[:cut], rows[cut:]) if part]


RANGES = st.tuples(
    st.one_of(st.none(), st.integers(START - 2, START + 100 * SECOND)),
    st.one_of(st.none(), st.integers(START + 101 * SECOND, START + 200 * SECOND)),
)


@settings(max_examples=60, deadline=None)
@given(recorded(), RANGES, st.sampled_from([None, "binance"]), st.sampled_from(TIMEFRAMES), st.booleans())
def test_candles_are_those_of_each_trade_alone(
    commits: list[list[Row]], span: tuple[int | None, int | None], venue: str | None, timeframe: str, local: bool
) -> None:
    """Digit by digit, whatever digits prices and sizes have, and in whatever files and order the trades are."""
    query = Query(kind="trade", instrument="BTC-USDT", venue=venue, from_ts=span[0], to_ts=span[1])
    with tempfile.TemporaryDirectory() as folder:
        of = files(Path(folder), *commits, local=local)

        assert computed(of, query, timeframe) == expected([row for rows in commits for row in rows], query, timeframe)


@pytest.mark.parametrize(
    ("price", "size"),
    [("67000.50", "0.00000001"), ("99999999999999999999", "99999999999999999999"), ("0.000000000000000001", "99999999999999999999.9"),
     ("0.00001234", "123456789012.5"), ("0.1234567890123456789", "3"), ("1600000000.25", "9999999.123456789012345678")],
)  # fmt: skip
def test_quote_volume_is_exact(tmp_path: Path, price: str, size: str) -> None:
    """Where decimals of 38 digits do not hold Σ price × size, another way is used, and no digit is lost."""
    rows = [Row(trade(START + number, price, size), number) for number in range(1, 40)]
    query = Query(kind="trade", instrument="BTC-USDT")

    (candle,) = computed(files(tmp_path, rows), query, "1m")

    assert candle == expected(rows, query, "1m")[0]


def test_months_and_weeks_begin_where_those_of_the_tape_do(tmp_path: Path) -> None:
    """Weeks on Monday, months on the 1st, UTC, to the ns."""
    moments = [ts for first in (START, START + DAY, START + 32 * DAY, START + 93 * DAY) for ts in (first - 1, first, first + 999)]
    rows = [Row(trade(ts, "1"), number) for number, ts in enumerate(moments)]
    query = Query(kind="trade", instrument="BTC-USDT")

    for timeframe in ("1w", "1M", "1d"):
        assert computed(files(tmp_path, rows), query, timeframe) == expected(rows, query, timeframe)


def test_a_limit_gives_the_newest_candles(tmp_path: Path) -> None:
    """And nothing gives none."""
    of = files(tmp_path, [Row(trade(START + number * 60 * SECOND, "1"), number) for number in range(5)])
    query = Query(kind="trade", instrument="BTC-USDT", limit=2)

    assert [one["open_ts"] for one in computed(of, query, "1m")] == [START + 180 * SECOND, START + 240 * SECOND]
    assert not computed(of, msgspec.structs.replace(query, instrument="ETH-USDT"), "1m")
    assert not computed(of.of(()), query, "1m")


@pytest.mark.parametrize("local", [True, False])
def test_rows_come_in_order_whatever_the_parts(tmp_path: Path, local: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By time and id over all files; a limit gives the newest; a part is no more than what is asked for at a time."""
    moments = [(number * 7919) % 500 * SECOND + START for number in range(300)]
    rows = [Row(trade(ts, "1", trade_id=str(place)), START // 10**6, place) for place, ts in enumerate(moments)]
    of = files(tmp_path, rows[::3], rows[1::3], rows[2::3], local=local, row_group=20)
    query = Query(kind="trade", instrument="BTC-USDT", from_ts=START + 50 * SECOND, to_ts=START + 400 * SECOND)
    within = sorted(
        ((row.event.venue_ts, row.id_ms, row.id_n), encode(row.event))
        for row in rows
        if 50 <= ((row.event.venue_ts or 0) - START) // SECOND < 400
    )
    monkeypatch.setattr(extents, "PART_ROWS", 17)

    assert read(of, query) == [data for _, data in within]
    for limit in (1, 16, 50, 1_000):
        assert read(of, msgspec.structs.replace(query, limit=limit)) == [data for _, data in within[-limit:]]
    monkeypatch.setattr(questions, "HELD_ROWS", 10)
    assert read(of, msgspec.structs.replace(query, limit=50)) == [data for _, data in within[-50:]]
    with connection() as made:
        sizes = [len(table) for table in questions.rows(made, of, query)]
    assert len(sizes) > 5
    assert max(sizes) < 60


@settings(max_examples=40, deadline=None)
@given(recorded(), st.one_of(st.none(), st.integers(1, 9)))
def test_rows_and_the_last_row_are_each_once(commits: list[list[Row]], limit: int | None) -> None:
    """A trade that was fetched is left out where the tape has it, and is there once if it was fetched twice."""
    rows = [row for one in commits for row in one if row.event.instrument == "BTC-USDT"]
    tape = {(row.event.venue, getattr(row.event, "trade_id", "")) for row in rows if row.source is Source.TAPE}
    wanted = [encode(row.event) for row in rows if row.source is Source.TAPE]
    wanted += {
        encode(row.event) for row in rows if row.source is Source.REST and (row.event.venue, getattr(row.event, "trade_id", "")) not in tape
    }
    query = Query(kind="trade", instrument="BTC-USDT")
    with tempfile.TemporaryDirectory() as folder:
        of = files(Path(folder), *commits)
        found = read(of, query)
        newest = read(of, msgspec.structs.replace(query, limit=limit))
        with connection() as made:
            last = questions.last(made, of, query)

    assert sorted(found) == sorted(wanted)
    assert newest == (found if limit is None else found[-limit:])
    assert (last is None) == (not found)
    assert last is None or events_of(last) == found[-1:]


def bar(
    cls: type[Candle] | type[Bar], minute: int, revision: int, *, venue: str = "kraken", closed: bool = True, close: str = "1"
) -> AnyEvent:
    """Returns a candle or bar."""
    open_ts = START + minute * 60 * SECOND
    one = Decimal(close)
    return cls(
        venue, "BTC-USDT", None, open_ts + 61 * SECOND, "1m", open_ts, close_of("1m", open_ts), one, one, one, one, one, one, 1, None,
        closed=closed, revision=revision,
    )  # fmt: skip


def test_of_a_candle_the_newest_revision_counts(tmp_path: Path) -> None:
    """That of the tape before one from REST; all that the tape had, where all revisions are wanted."""
    rows = [
        Row(bar(Candle, 0, 0), 10), Row(bar(Candle, 0, 2, close="3"), 30), Row(bar(Candle, 0, 1, close="2"), 20),
        Row(bar(Candle, 1, 0), 11), Row(bar(Candle, 1, 7, close="9"), 99, 0, Source.REST),
        Row(bar(Candle, 2, 0, close="4"), 97, 0, Source.REST), Row(bar(Candle, 2, 0, close="5"), 98, 0, Source.REST),
        Row(bar(Candle, 0, 0, venue="okx"), 12), Row(bar(Candle, 3, 5, closed=False), 13), Row(bar(Candle, 3, 0, close="6"), 14),
    ]  # fmt: skip
    of = files(tmp_path, rows[:5], rows[5:])
    query = Query(kind="candle", instrument="BTC-USDT", timeframe="1m", venue="kraken")

    newest = [decode(data) for data in read(of, query)]
    every = [decode(data) for data in read(of, msgspec.structs.replace(query, newest_revisions=False))]

    assert [(str(one.close), one.revision) for one in newest if isinstance(one, Candle)] == [("3", 2), ("1", 0), ("5", 0), ("6", 0)]
    assert [(str(one.close), one.revision) for one in every if isinstance(one, Candle)] == [
        ("1", 0),
        ("2", 1),
        ("3", 2),
        ("1", 0),
        ("5", 0),
        ("1", 5),
        ("6", 0),
    ]
    assert not read(of, msgspec.structs.replace(query, timeframe="5m"))
    assert len(read(of, msgspec.structs.replace(query, venue=None))) == 5


def test_files_of_an_older_version_lack_a_column(tmp_path: Path) -> None:
    """Its rows have null there, and the others what they had."""
    of = files(tmp_path, [Row(trade(START, "1"), 1)], [Row(trade(START + 1, "2", trade_id="a"), 2)])
    old = tmp_path / of.names[0]
    pq.write_table(pq.read_table(old).drop_columns(["taker"]), old)
    extents._kept.clear()
    query = Query(kind="trade", instrument="BTC-USDT")
    for each in (of, msgspec.structs.replace(of, root="")):
        with connection() as made:
            found = pa.concat_tables(questions.rows(made, each, query))
        assert found["taker"].to_pylist() == [None, "buy"]
        assert [one["close"] for one in computed(each, query, "1m")] == ["2"]


async def test_a_torn_file_is_named(tmp_path: Path) -> None:
    """The error says which file."""
    of = files(tmp_path, [Row(trade(START, "1"), 1)])
    (tmp_path / of.names[0]).write_bytes(b"PAR1 torn")
    extents._kept.clear()

    with pytest.raises(HistoryError, match=r"000000000\.parquet"):
        await asked(lambda made: of_trades.candles(made, of, Query(kind="trade", instrument="BTC-USDT"), "1m"))


async def test_a_cancelled_question_ends(tmp_path: Path) -> None:
    """DuckDB is stopped, and the next question has its answer."""
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(made: duckdb.DuckDBPyConnection) -> None:
        loop.call_soon_threadsafe(begun.set)
        made.execute("SELECT count(*) FROM range(100000000) a, range(100000000) b").fetchall()

    task = asyncio.create_task(asked(endless))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)

    of = files(tmp_path, [Row(trade(START, "1"), 1)])
    query = Query(kind="trade")
    tables = [table async for table in parts_of(lambda made: questions.rows(made, of, query))]
    assert len(tables) == 1


async def test_a_reader_that_stops_early_leaves_nothing_open(tmp_path: Path) -> None:
    """Its parts are not read on."""
    of = files(tmp_path, [Row(trade(START + number, "1"), number) for number in range(50)])
    closed = []

    def tables(made: duckdb.DuckDBPyConnection) -> Iterator[pa.Table]:
        try:
            yield from questions.rows(made, of, Query(kind="trade"))
            yield from questions.rows(made, of, Query(kind="trade"))
        finally:
            closed.append(True)

    reading = parts_of(tables)
    await anext(reading)
    await reading.aclose()
    assert closed


def test_files_elsewhere_are_read_by_their_file_system(tmp_path: Path) -> None:
    """As those of a bucket are."""
    of = files(tmp_path, [Row(trade(START, "1"), 1)], local=False)
    assert isinstance(of.system, pafs.SubTreeFileSystem)
    assert computed(of, Query(kind="trade", instrument="BTC-USDT"), "1m")[0]["trades"] == 1
