"""Computes candles of the trades in Parquet files, exactly, by the method `bar/1`.

DuckDB adds up what its decimals hold. Σ price × size does not fit into `decimal(38, 18)` factors: the prices are multiplied by a power of
ten to whole numbers first, and the point is moved back at the end. (To cast each decimal to fewer digits would take ten times as long.)
Where that overflows, or where a trade's digits did not fit into a column, Python computes.
"""

# ruff: noqa: S608  # SQL is made of our own words; values of callers are parameters

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crosstape.history.exact_candles import COLUMNS, ID_DIGITS, NUMBERS, PricedTrade, candles_of, multiplied, plain, summed
from crosstape.history.parquet import whole
from crosstape.history.parquet.extents import Files, extents_of, matching
from crosstape.history.parquet.relation import Relation, around, rows_of, source_of
from crosstape.history.parquet.whole import Rule, scales_of
from crosstape.history.query import Query
from crosstape_schemas.timeframes import DAY, LENGTHS

SCHEMA: Final = pa.schema([("open_ts", pa.int64()), *((name, pa.string()) for name in NUMBERS), ("trades", pa.int64())])
"""Numbers are text: not rounded, in plain notation, without trailing zeros."""
MOST_SCALE: Final = 18
FIRST_MONDAY: Final = 4 * DAY
"""1970-01-05, where the first week begins."""
_PLACE: Final = (
    f"(ts, venue, CASE WHEN regexp_full_match(trade_id, '[0-9]{{1,{ID_DIGITS}}}') THEN length(ltrim(trade_id, '0')) ELSE -1 END,"
    f" CASE WHEN regexp_full_match(trade_id, '[0-9]{{1,{ID_DIGITS}}}') THEN ltrim(trade_id, '0') ELSE '' END, epoch, seq, price)"
)
"""The place of a trade among all of an instrument. Ids are compared as numbers: the longer one without leading zeros is the greater."""
_USABLE: Final = "price > 0 AND size > 0"
"""What else `bar/1` asks of a price or size always holds in a column."""


def candles(made: duckdb.DuckDBPyConnection, files: Files, query: Query, timeframe: str) -> pa.Table:
    """Returns the candles of the trades of a query, by `open_ts`, with the columns of `SCHEMA`. Intervals without trades have none.

    `query`: of kind `trade` and one instrument; its range is that of the trades. With a limit, the newest candles, at most so many.
    """
    extents = extents_of(files)
    groups = matching(extents, query)
    if not groups:
        return SCHEMA.empty_table()
    near = groups
    if any(group.fetched for group in groups):
        near = matching(extents, around(query, query.from_ts, query.to_ts))
    names = tuple(dict.fromkeys(group.file for group in near))
    source = source_of(made, files, extents, query.kind, names)
    relation = rows_of(made, source, query, groups)
    odd = _odd(made, relation, timeframe) if any(group.odd for group in groups) else pa.array([], pa.int64())
    scales = scales_of(groups)
    rule = Rule(_opens(timeframe), _PLACE, _USABLE)
    numbers = None if scales is None else whole.summed(made, relation, groups, scales, rule)
    if numbers is not None:
        table = pa.Table.from_arrays(
            [numbers["open_ts"], *(_texts(numbers[name]) for name in whole.NUMBERS), numbers["trades"]], schema=SCHEMA
        )
    else:
        known = [group.prices.scale for group in groups if group.prices is not None]
        table = _summed(made, relation, timeframe, max(known) if len(known) == len(groups) else MOST_SCALE)
    if table is None:
        table = _in_python(made, relation, timeframe, None)
    elif len(odd):
        usual = table.filter(pc.invert(pc.is_in(table["open_ts"], value_set=odd)))
        table = pa.concat_tables([usual, _in_python(made, relation, timeframe, odd)]).sort_by("open_ts")
    return table if query.limit is None else table.slice(max(0, len(table) - query.limit))


def _opens(timeframe: str) -> str:
    """Return the SQL of the interval in which `ts` lies, by integers alone (a month by the calendar of whole days)."""
    if timeframe == "1M":
        day = f"(DATE '1970-01-01' + (ts // {DAY})::INTEGER)"
        return f"date_diff('day', DATE '1970-01-01', date_trunc('month', {day})::DATE) * {DAY}::BIGINT"
    length, start = LENGTHS[timeframe], FIRST_MONDAY if timeframe == "1w" else 0
    return f"ts - (ts + {length - start}) % {length}"


def _odd(made: duckdb.DuckDBPyConnection, relation: Relation, timeframe: str) -> Any:
    """Return the intervals with a trade whose digits do not fit into a column."""
    sql = f"SELECT DISTINCT {_opens(timeframe)} AS open_ts FROM {relation.sql} WHERE price IS NULL OR size IS NULL"
    return made.sql(sql, params=relation.values).to_arrow_table()["open_ts"].cast(pa.int64()).combine_chunks()


def _summed(made: duckdb.DuckDBPyConnection, relation: Relation, timeframe: str, scale: int) -> pa.Table | None:
    """Return the candles as DuckDB computes them; None: a sum has more digits than it can hold."""
    opens, factor = _opens(timeframe), 10**scale
    for amount in (
        f"sum(trunc(price * {factor}) * size)",
        f"sum(trunc(price * {factor}) * trunc(size)), sum(trunc(price * {factor}) * (size - trunc(size)))",
    ):
        try:
            made.execute("DROP TABLE IF EXISTS summed")
            made.execute(
                f"CREATE TEMP TABLE summed AS SELECT {opens} AS open_ts, max(price) AS high, min(price) AS low, sum(size) AS volume,"
                f" count(*) AS trades, min(ts) AS first_ts, max(ts) AS last_ts, {_named(amount)} FROM {relation.sql}"
                f" WHERE {_USABLE} GROUP BY 1",
                relation.values,
            )
            break
        except duckdb.OutOfRangeException:
            continue
    else:
        return None
    # First and last trade: only of those at the first and last moment of an interval, since to order all would take three times as long.
    found = made.sql(
        f"WITH edges AS (SELECT {opens} AS open_ts, arg_min(price, {_PLACE}) AS open, arg_max(price, {_PLACE}) AS close"
        f" FROM {relation.sql} WHERE {_USABLE} AND ts IN (SELECT first_ts FROM summed UNION SELECT last_ts FROM summed) GROUP BY 1)"
        " SELECT summed.*, edges.open, edges.close FROM summed JOIN edges USING (open_ts) ORDER BY open_ts",
        params=relation.values,
    ).to_arrow_table()
    return pa.Table.from_arrays(
        [
            found["open_ts"].cast(pa.int64()),
            *(_texts(found[name]) for name in ("open", "high", "low", "close", "volume")),
            _amounts([found[name] for name in ("amount", "rest") if name in found.column_names], scale),
            found["trades"].cast(pa.int64()),
        ],
        schema=SCHEMA,
    )


def _named(amount: str) -> str:
    first, comma, second = amount.partition("), sum(")
    return f"{first}) AS amount, sum({second} AS rest" if comma else f"{amount} AS amount"


def _amounts(parts: list[Any], scale: int) -> Any:
    """Return Σ price × size as text: the sum of the parts, with the point `scale` digits further to the left."""
    if len(parts) == 1:
        whole = _one(parts[0])
        moved = pa.Array.from_buffers(pa.decimal128(38, 18 + scale), len(whole), whole.buffers(), offset=whole.offset)
        return _texts(pa.chunked_array([moved]))
    shift = Decimal(1).scaleb(-scale)
    pairs = zip(*(part.to_pylist() for part in parts), strict=True)
    return pa.array([plain(multiplied(summed(pair), shift)) for pair in pairs], pa.string())


def _texts(numbers: Any) -> Any:
    """Return decimals as text, in plain notation, without trailing zeros."""
    texts = _one(numbers).cast(pa.string())
    if len(texts) and pc.any(pc.match_substring(texts, "E")).as_py():  # Arrow writes small ones with an exponent
        texts = pa.array([f"{Decimal(text):f}" if "E" in text else text for text in texts.to_pylist()], pa.string())
    pointed = pc.match_substring(texts, ".")
    return pc.if_else(pointed, pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), "."), texts)


def _one(column: Any) -> Any:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _in_python(made: duckdb.DuckDBPyConnection, relation: Relation, timeframe: str, only: Any) -> pa.Table:
    """Return the candles of the intervals in `only` (None: of all), computed from each trade by itself."""
    where = ""
    if only is not None:
        made.register("odd_opens", pa.table({"open_ts": only}))
        where = f" WHERE {_opens(timeframe)} IN (SELECT open_ts FROM odd_opens)"
    names = "ts, venue, trade_id, epoch, seq, price, size, d"
    found = candles_of(_trades(made.sql(f"SELECT {names} FROM {relation.sql}{where}", params=relation.values)), timeframe)
    columns = {name: [candle[name] for candle in found.values()] for name in COLUMNS}
    return pa.Table.from_pydict(columns, schema=SCHEMA)


def _trades(found: duckdb.DuckDBPyRelation) -> Iterator[PricedTrade]:
    decode = msgspec.json.Decoder(_Priced).decode
    for batch in found.to_arrow_reader(100_000):
        for row in batch.to_pylist():
            price, size, data = row["price"], row["size"], row.pop("d")
            if price is None or size is None:
                try:
                    read = decode(data)
                except (msgspec.MsgspecError, TypeError):  # no number at all
                    continue
                row |= {"price": read.price, "size": read.size}
            yield PricedTrade(**row)


class _Priced(msgspec.Struct):
    price: Decimal
    size: Decimal
