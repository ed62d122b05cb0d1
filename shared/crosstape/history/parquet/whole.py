"""Adds up trades in whole numbers of 64 bits where all prices and sizes of the row groups fit, which takes half the time of decimals.

A column `decimal(38, 18)` has numbers of 128 bits, each a multiple of a power of ten. They are divided by it without a division: a power of
two is a shift, and a power of five has an inverse modulo 2^64. Rows are taken a slice of time after the other, so that memory has a bound.
"""

# ruff: noqa: S608  # SQL is made of our own words; values of callers are parameters

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crosstape.history.parquet.extents import Group
from crosstape.history.parquet.relation import Relation
from crosstape.history.parquet.slices import Span, slices

POINT: Final = 18
"""Digits behind the point of a column."""
SLICE_ROWS: Final = 2_000_000
"""Rows that are held at once, about; 60 bytes each."""
CHUNK_ROWS: Final = 250_000
"""Rows that one thread makes whole at a time."""
NUMBERS: Final = ("open", "high", "low", "close", "volume", "amount")


class Scales(msgspec.Struct, frozen=True):
    """Digits behind the point that are enough for all prices, and for all sizes."""

    price: int
    size: int


class Rule(msgspec.Struct, frozen=True):
    """What candles are made by, in SQL."""

    opens: str
    """In which interval a trade is."""
    place: str
    """Its place among all trades."""
    usable: str
    """Whether it counts."""


def scales_of(groups: Sequence[Group]) -> Scales | None:
    """Returns the scales in which all prices and sizes of row groups are whole numbers of 63 bits; None: there are none."""
    found: list[int] = []
    for numbers in ([group.prices for group in groups], [group.sizes for group in groups]):
        known = [one for one in numbers if one is not None]
        if not known or len(known) < len(numbers):
            return None
        scale = max(one.scale for one in known)
        if not 0 <= scale <= POINT or max(one.most for one in known).scaleb(scale) >= 2**63:
            return None
        found.append(scale)
    return Scales(*found)


def summed(made: duckdb.DuckDBPyConnection, relation: Relation, groups: Sequence[Group], scales: Scales, rule: Rule) -> pa.Table | None:
    """Returns the candles of trades, by `open_ts`: `NUMBERS` as decimals, and `trades`. None: a sum has more digits than fit."""
    try:
        _add(made, relation, groups, scales, rule)
        _decide(made, relation, scales, rule)
        found = made.sql(
            "SELECT open_ts, coalesce(a.first, b.low) AS open, sums.high, sums.low, coalesce(c.last, d.low) AS close, volume, amount,"
            " trades FROM sums JOIN edges b ON b.ts = first_ts JOIN edges d ON d.ts = last_ts"
            " LEFT JOIN decided a ON a.ts = first_ts LEFT JOIN decided c ON c.ts = last_ts ORDER BY open_ts"
        ).to_arrow_table()
    except (duckdb.OutOfRangeException, duckdb.ConversionException):
        return None
    digits = dict.fromkeys(NUMBERS, scales.price) | {"volume": scales.size, "amount": scales.price + scales.size}
    columns = [_pointed(found[name], digits[name]) for name in NUMBERS]
    names = ["open_ts", *NUMBERS, "trades"]
    return pa.table([found["open_ts"].cast(pa.int64()), *columns, found["trades"].cast(pa.int64())], names=names)


def _add(made: duckdb.DuckDBPyConnection, relation: Relation, groups: Sequence[Group], scales: Scales, rule: Rule) -> None:
    """Make the tables `sums`, of each interval, and `edges`, of each moment at which one begins or ends."""
    made.execute("CREATE OR REPLACE TEMP TABLE edges (ts BIGINT, low BIGINT, high BIGINT)")
    made.execute(
        "CREATE OR REPLACE TEMP TABLE parts (slice INTEGER, open_ts BIGINT, high BIGINT, low BIGINT, volume HUGEINT, amount HUGEINT,"
        " trades BIGINT, first_ts BIGINT, last_ts BIGINT)"
    )
    spans = [Span(group.first_ts, group.last_ts, group.rows) for group in groups]
    from_ts, to_ts = min(span.from_ts for span in spans), max(span.to_ts for span in spans) + 1
    for number, (start, end) in enumerate(slices(spans, from_ts, to_ts, SLICE_ROWS)):
        rows = made.sql(
            f"SELECT ts, price, size FROM {relation.sql} WHERE {rule.usable} AND ts BETWEEN $slice_first AND $slice_last",
            params=relation.values | {"slice_first": start, "slice_last": end - 1},
        ).to_arrow_table(CHUNK_ROWS)
        made.register(
            "whole", pa.table({"ts": rows["ts"], "price": whole(rows["price"], scales.price), "size": whole(rows["size"], scales.size)})
        )
        made.execute(
            f"INSERT INTO parts SELECT {number}, {rule.opens} AS open_ts, max(price), min(price), sum(size), sum(price::HUGEINT * size),"
            " count(*), min(ts), max(ts) FROM whole GROUP BY 2"
        )
        made.execute(
            "INSERT INTO edges SELECT ts, min(price), max(price) FROM whole WHERE ts IN"
            f" (SELECT first_ts FROM parts WHERE slice = {number} UNION SELECT last_ts FROM parts WHERE slice = {number}) GROUP BY 1"
        )
        made.unregister("whole")
    made.execute(
        "CREATE OR REPLACE TEMP TABLE sums AS SELECT open_ts, max(high) AS high, min(low) AS low, sum(volume)::DECIMAL(38, 0) AS volume,"
        " sum(amount)::DECIMAL(38, 0) AS amount, sum(trades)::BIGINT AS trades, min(first_ts) AS first_ts, max(last_ts) AS last_ts"
        " FROM parts GROUP BY 1"
    )


def _decide(made: duckdb.DuckDBPyConnection, relation: Relation, scales: Scales, rule: Rule) -> None:
    """Make the table `decided`: the first and the last price of the moments at which an interval begins or ends with several prices."""
    made.execute(
        "CREATE OR REPLACE TEMP TABLE several AS SELECT ts FROM edges WHERE low < high"
        " AND ts IN (SELECT first_ts FROM sums UNION SELECT last_ts FROM sums)"
    )
    made.execute("CREATE OR REPLACE TEMP TABLE decided (ts BIGINT, first BIGINT, last BIGINT)")
    if made.execute("SELECT count(*) FROM several").fetchall() != [(0,)]:
        made.execute(
            f"INSERT INTO decided SELECT ts, (arg_min(price, {rule.place}) * {10**scales.price})::BIGINT,"
            f" (arg_max(price, {rule.place}) * {10**scales.price})::BIGINT"
            f" FROM {relation.sql} WHERE {rule.usable} AND ts IN (SELECT ts FROM several) GROUP BY 1",
            relation.values,
        )


def whole(numbers: pa.ChunkedArray, scale: int) -> pa.ChunkedArray:
    """Returns decimals of 18 digits behind the point in units of `scale` digits. None is null, and each is a whole number of 63 bits."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        return pa.chunked_array(threads.map(lambda chunk: _whole(chunk, POINT - scale), numbers.chunks), pa.int64())


def _whole(numbers: Any, digits: int) -> Any:
    """Return decimals divided by a power of ten. It takes less time to do that with their upper halves, too, than to part them first."""
    count = len(numbers)
    words = pa.Array.from_buffers(pa.uint64(), 2 * count, [None, numbers.buffers()[1]], offset=2 * numbers.offset)
    if digits and count:
        upper = pa.concat_arrays([pc.shift_left(words.slice(1), pa.scalar(64 - digits, pa.uint64())), pa.array([0], pa.uint64())])
        words = pc.bit_wise_or(pc.shift_right(words, pa.scalar(digits, pa.uint64())), upper)
        words = pc.multiply(words, pa.scalar(pow(5**digits, -1, 2**64), pa.uint64()))
    every_other = pa.Array.from_buffers(pa.bool_(), 2 * count, [None, pa.py_buffer(b"\x55" * (count // 4 + 1))])
    return words.filter(every_other).view(pa.int64())


def _pointed(numbers: pa.ChunkedArray, scale: int) -> pa.ChunkedArray:
    """Return whole numbers as decimals, with the point `scale` digits further to the left."""
    one = numbers.cast(pa.decimal128(38, 0)).combine_chunks()
    chunks = one.chunks if isinstance(one, pa.ChunkedArray) else [one]
    of = pa.decimal128(38, scale)
    return pa.chunked_array([pa.Array.from_buffers(of, len(chunk), chunk.buffers(), offset=chunk.offset) for chunk in chunks], of)
