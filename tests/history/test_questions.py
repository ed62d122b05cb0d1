"""Parquet files of the history answer questions exactly: candles of trades, the newest event."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
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
from crosstape.history.parquet import extents
from crosstape.history.parquet.candles import candles
from crosstape.history.parquet.engine import asked, connection, missing_files
from crosstape.history.parquet.extents import Files
from crosstape.history.parquet.file import bytes_of
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.newest import newest
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
    of = LocalFolder(folder)
    return Files(tuple(names), of.file_system(), of.local_path if local else "", of.url)


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


def last(of: Files, query: Query) -> bytes | None:
    """Returns the JSON of the newest row of a query."""
    with connection() as made:
        table = newest(made, of, query)
    return None if table is None else events_of(table)[0]


def computed(of: Files, query: Query, timeframe: str) -> list[dict[str, object]]:
    """Returns the candles of a query."""
    with connection() as made:
        found: list[dict[str, object]] = candles(made, of, query, timeframe).to_pylist()
        return found


def expected(rows: Iterable[Row], query: Query, timeframe: str) -> list[dict[str, object]]:
    """Returns the same candles, computed from each trade alone."""
    tape = {(row.event.venue, row.event.trade_id) for row in rows if isinstance(row.event, Trade) and row.source is not Source.REST}
    found: dict[tuple[object, ...], PricedTrade] = {}
    for row in sorted(rows, key=lambda row: (row.id_ms, row.id_n)):
        one = row.event
        assert isinstance(one, Trade)
        assert one.venue_ts is not None
        fetched = row.source is Source.REST and one.trade_id
        key: tuple[object, ...] = (one.venue, one.trade_id) if fetched else (row.source, row.id_ms, row.id_n)
        if fetched and (key in tape or key in found):
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
    assert not computed(msgspec.structs.replace(of, names=()), query, "1m")


@settings(max_examples=40, deadline=None)
@given(recorded(), st.one_of(st.none(), st.integers(START + 1, START + 200 * SECOND)))
def test_the_newest_row_counts(commits: list[list[Row]], to_ts: int | None) -> None:
    """Also before a moment of the past, and where it was fetched by REST."""
    tape = {(row.event.venue, getattr(row.event, "trade_id", "")) for one in commits for row in one if row.source is Source.TAPE}
    there = [
        row
        for one in commits
        for row in one
        if row.event.instrument == "BTC-USDT"
        and (row.event.venue_ts or 0) < (to_ts or 2**63)
        and (row.source is Source.TAPE or (row.event.venue, getattr(row.event, "trade_id", "")) not in tape)
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = last(files(Path(folder), *commits), Query(kind="trade", instrument="BTC-USDT", to_ts=to_ts))

    if not there:
        assert found is None
        return
    best = max(there, key=lambda row: ((row.event.venue_ts or 0), row.id_ms, row.id_n))
    assert found == encode(best.event)


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
    """A closed one before an open one, then the highest revision, also one from REST."""
    rows = [
        Row(bar(Candle, 0, 0), 10), Row(bar(Candle, 0, 2, close="3"), 30), Row(bar(Candle, 0, 1, close="2"), 20),
        Row(bar(Candle, 1, 0, close="7"), 11), Row(bar(Candle, 1, 7, close="9"), 99, 0, Source.REST),
        Row(bar(Candle, 2, 5, closed=False), 13), Row(bar(Candle, 2, 0, close="6"), 14, 0, Source.REST),
        Row(bar(Candle, 2, 0, venue="okx"), 12),
    ]  # fmt: skip
    of = files(tmp_path, rows[:5], rows[5:])
    query = Query(kind="candle", instrument="BTC-USDT", timeframe="1m", venue="kraken")

    for minute, close in enumerate(("3", "9", "6")):
        found = last(of, msgspec.structs.replace(query, to_ts=START + minute * 60 * SECOND + 1))
        assert found is not None
        event = decode(found)
        assert isinstance(event, Candle)
        assert str(event.close) == close
    assert last(of, msgspec.structs.replace(query, timeframe="5m")) is None


def test_files_of_an_older_version_lack_a_column(tmp_path: Path) -> None:
    """Its rows have null there, and the others what they had."""
    of = files(tmp_path, [Row(trade(START, "1"), 1)], [Row(trade(START + 1, "2", trade_id="a"), 2)])
    old = tmp_path / of.names[0]
    pq.write_table(pq.read_table(old).drop_columns(["taker"]), old)
    extents._kept.clear()
    query = Query(kind="trade", instrument="BTC-USDT")
    for each in (of, msgspec.structs.replace(of, root="")):
        with connection() as made:
            found = newest(made, each, msgspec.structs.replace(query, to_ts=START + 1))
        assert found is not None
        assert found["taker"].to_pylist() == [None]
        assert [one["close"] for one in computed(each, query, "1m")] == ["2"]


async def test_a_torn_file_is_named(tmp_path: Path) -> None:
    """The error says which file."""
    of = files(tmp_path, [Row(trade(START, "1"), 1)])
    (tmp_path / of.names[0]).write_bytes(b"PAR1 torn")
    extents._kept.clear()

    with pytest.raises(HistoryError, match=r"000000000\.parquet"):
        await asked(lambda made: candles(made, of, Query(kind="trade", instrument="BTC-USDT"), "1m"))


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
    assert await asked(lambda made: newest(made, of, Query(kind="trade"))) is not None


def test_a_file_that_is_gone_is_no_other_error(tmp_path: Path) -> None:
    """So that a store looks which files there are now: it was merged and deleted."""
    of = files(tmp_path, [Row(trade(START, "1"), 1)])
    query = Query(kind="trade", instrument="BTC-USDT")
    computed(of, query, "1m")
    (tmp_path / of.names[0]).unlink()

    with pytest.raises(FileNotFoundError):
        computed(of, query, "1m")
    with pytest.raises(FileNotFoundError), connection() as made, missing_files(of):
        made.execute(f"SELECT * FROM read_parquet('{tmp_path / of.names[0]}')")


def test_files_elsewhere_are_read_by_their_file_system(tmp_path: Path) -> None:
    """As those of a bucket are."""
    of = files(tmp_path, [Row(trade(START, "1"), 1)], local=False)
    assert isinstance(of.system, pafs.SubTreeFileSystem)
    assert computed(of, Query(kind="trade", instrument="BTC-USDT"), "1m")[0]["trades"] == 1
