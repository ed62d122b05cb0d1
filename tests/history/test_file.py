"""Tables become Parquet files, and come back from them; what is no such file is refused by name."""

from __future__ import annotations

import contextlib
import random
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history import text_events
from crosstape.history.arrow import events_of, schema_of, table_of
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.file import Footer, added, bytes_of, read_footer, read_table, row_groups
from crosstape_schemas import KINDS, Side, Trade, encode
from tests.schemas.strategies import events

MARKS = {"tape:trade:BTC-USDT": Bookmark("1-2", (("binance", 5, 3),))}


def table(*data: bytes) -> pa.Table:
    """Returns the rows of these events of one kind."""
    decoded = [text_events.decode(one) for one in data]
    builder = BatchBuilder(text_events.kind_of(decoded[0]), "events")
    for number, (event, one) in enumerate(zip(decoded, data, strict=True)):
        builder.add(1, number, event, one)
    return table_of(builder.build())


def trade(number: int, instrument: str = "BTC-USDT", price: str = "67000.50") -> bytes:
    """Returns the JSON of one trade, made at `number` seconds."""
    at = number * 1_000_000_000
    size = Decimal(number) / 1000
    return encode(Trade("binance", instrument, at, at + 5_000_000, Decimal(price), size, Side.BUY, str(number), epoch=5, seq=number))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_every_event_comes_back_from_a_file(data: st.DataObject, kind: str) -> None:
    """All 16 kinds, byte for byte, sorted by instrument, time and id."""
    some = [encode(event) for event in data.draw(st.lists(events(kind), min_size=1, max_size=4))]
    rows = table(*some)

    file = bytes_of(rows, MARKS)
    read = read_table(file, "here")

    assert read.schema.equals(schema_of(kind), check_metadata=True)
    assert sorted(events_of(read)) == sorted(some)
    order = [tuple(row.values()) for row in read.select(["instrument", "ts", "id_ms", "id_n"]).to_pylist()]
    assert [(one[0].encode(), *one[1:]) for one in order] == sorted((one[0].encode(), *one[1:]) for one in order)
    footer = read_footer(file, "here")
    assert (footer.kind, footer.rows, footer.marks) == (kind, len(some), MARKS)


def test_a_file_has_sums_that_do_not_overflow() -> None:
    """The sums of the footer are exact, also where they have more digits than the numbers; those of several files can be added."""
    most = "99999999999999999999.999999999999999999"
    file = bytes_of(table(*(trade(number, price=most) for number in range(1, 8))), {})

    sums = read_footer(file, "here").sums

    assert f"{sums['price']:f}" == "699999999999999999999.999999999999999993"
    assert sums["size"] == Decimal("0.028")
    assert f"{added([sums, sums])['price']:f}" == "1399999999999999999999.999999999999999986"


def test_row_groups_say_what_is_in_them() -> None:
    """A reader finds the row groups of an instrument and a time by their statistics."""
    numbers = list(range(1, 101))
    random.Random(1).shuffle(numbers)
    file = bytes_of(table(*(trade(n, name) for n in numbers for name in ("BTC-USDT", "ETH-USDT"))), {}, row_group=50)

    groups = row_groups(file, "here")

    assert [group.rows for group in groups] == [50] * 4
    assert [group.may_have("ETH-USDT", None, None) for group in groups] == [False, False, True, True]
    assert [group.may_have(None, 51_000_000_000, None) for group in groups] == [False, True, False, True]
    assert [group.may_have("BTC-USDT", None, 51_000_000_000) for group in groups] == [True, False, False, False]
    part = read_table(file, "here", groups=[1], columns=["trade_id", "instrument"])
    assert part.column("trade_id").to_pylist() == [str(number) for number in range(51, 101)]


@pytest.mark.parametrize("where", [0, 100, 0.5, -9, -1])
def test_a_torn_file_is_refused_by_name(where: float) -> None:
    """A file that ends too early is no history, wherever it ends."""
    file = bytes_of(table(*map(trade, range(1, 50))), MARKS)
    end = int(where * len(file)) if isinstance(where, float) else where

    for read in (read_footer, row_groups, read_table):
        with pytest.raises(HistoryError, match=r"^s3://bucket/trade/7\.parquet: "):
            read(file[:end], "s3://bucket/trade/7.parquet")


def test_a_changed_byte_is_found() -> None:
    """Pages have checksums: a file whose bytes have changed on the disk is not read as other numbers."""
    file = bytes_of(table(*map(trade, range(1, 50))), MARKS)
    rows = events_of(read_table(file, "here"))
    end = row_data_end(file)
    dice = random.Random(1)

    for _ in range(200):
        changed = bytearray(file)
        changed[dice.randrange(4, end)] ^= 1 << dice.randrange(8)
        with contextlib.suppress(HistoryError):
            assert events_of(read_table(bytes(changed), "here")) == rows  # a bit of a page's header that nobody reads


def row_data_end(file: bytes) -> int:
    """Returns where the pages of a file end and its footer begins."""
    return len(file) - 8 - int.from_bytes(file[-8:-4], "little")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"crosstape": "{}"},
        {"crosstape": '{"kind":"nonsense","rows":1,"marks":{},"sums":{}}'},
        {"crosstape": "no json"},
        {"pandas": "{}"},
    ],
)
def test_a_foreign_file_is_refused_by_name(metadata: dict[str, str]) -> None:
    """A Parquet file of somebody else in the folder is not taken for a commit."""
    file = BytesIO()
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), file)

    for read in (read_footer, row_groups, read_table):
        with pytest.raises(HistoryError, match=r"^data/x\.parquet: "):
            read(file.getvalue(), "data/x.parquet")


def test_a_table_of_other_columns_is_not_written() -> None:
    """Only what can be read again is written."""
    with pytest.raises(HistoryError):
        bytes_of(pa.table({"a": [1]}), {})
    with pytest.raises(HistoryError):
        bytes_of(table(trade(1)).drop_columns(["seq"]), {})


def test_a_file_is_read_by_path_and_by_file_object(tmp_path: Path) -> None:
    """Whatever holds the bytes; a file that is not there is the system's error, since another process may have merged it."""
    path = tmp_path / "1.parquet"
    path.write_bytes(bytes_of(table(trade(1)), MARKS))

    assert read_table(path, "1").equals(read_table(path.read_bytes(), "1"))
    with path.open("rb") as file:
        assert read_footer(file, "1") == Footer("trade", 1, MARKS, {"price": Decimal("67000.50"), "size": Decimal("0.001")})
    with pytest.raises(FileNotFoundError):
        read_footer(tmp_path / "2.parquet", "2")


def test_other_engines_read_it(tmp_path: Path) -> None:
    """DuckDB and polars read every encoding of a file, with all digits."""
    path = tmp_path / "1.parquet"
    path.write_bytes(bytes_of(table(*map(trade, range(1, 200))), MARKS))
    expected = read_table(path, "1").to_pylist()

    with duckdb.connect() as engine:
        found = engine.read_parquet(str(path)).to_arrow_table()

    assert found.to_pylist() == expected
    assert pl.read_parquet(path).to_dicts() == expected


def test_empty_commits_are_files() -> None:
    """A commit may have marks only."""
    for kind in KINDS:
        file = bytes_of(schema_of(kind).empty_table(), MARKS)
        assert read_footer(file, "here").marks == MARKS
        assert len(read_table(file, "here")) == 0


def test_marks_of_many_streams_take_little_of_a_commit() -> None:
    """Each commit has those of all streams: of 2,000 they are a small part of their JSON, and in the file once."""
    marks = {
        f"tape:trade:COIN{number}-USDT": Bookmark(f"{1_796_077_813_540 + number * 7_919 % 10_000}-0", tuple(
            (venue, 1_796_077_800_000_000_000, number * 104_729 % 1_000_003) for venue in ("binance", "kraken")
        ))
        for number in range(2_000)
    }  # fmt: skip
    empty = schema_of("trade").empty_table()

    made = bytes_of(empty, marks)

    assert read_footer(made, "one").marks == marks
    assert len(made) - len(bytes_of(empty, {})) < 50_000 < len(msgspec.json.encode(marks)) / 4
