"""Makes the SQL for the rows of a question: which columns, which rows, and which of several that say the same.

Times are integers of ns and are compared as such: DuckDB 2.0 rounds its timestamps of ns to µs.
"""

# ruff: noqa: S608  # SQL is made of our own words; values of callers are parameters

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.dataset as pads

from crosstape.history.arrow import schema_of
from crosstape.history.parquet.extents import Extent, Files, Group
from crosstape.history.query import Query
from crosstape.history.same_rows import MARGIN_NS, REVISED, SAME

_TYPES: Final = {
    pa.int64(): "BIGINT",
    pa.int8(): "TINYINT",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.decimal128(38, 18): "DECIMAL(38, 18)",
}


class Relation(msgspec.Struct, frozen=True):
    """Rows in SQL, and the values of its parameters."""

    sql: str
    values: dict[str, Any]


def source_of(made: duckdb.DuckDBPyConnection, files: Files, extents: Sequence[Extent], kind: str, names: Sequence[str]) -> str:
    """Returns the SQL of all rows of the files with these names, one at least: columns of the kind, null for one that older files lack.

    Files of the local disk are read by DuckDB, others by pyarrow: DuckDB would fetch an extension from the network for S3.
    """
    extents = [extent for extent, name in zip(extents, files.names, strict=True) if name in set(names)]
    if not files.root:
        dataset = pads.dataset(list(names), schema=schema_of(kind), format="parquet", filesystem=files.system)
        made.register("recorded", dataset)
        return "recorded"
    paths = ", ".join(_text(str(PurePosixPath(files.root) / name)) for name in names)
    alike = len({extent.columns for extent in extents}) == 1
    read = f"read_parquet([{paths}], hive_partitioning = false, union_by_name = {'false' if alike else 'true'})"
    there = {column for extent in extents for column in extent.columns}
    if all(name in there for name in schema_of(kind).names):
        return read
    columns = (
        _name(field.name) if field.name in there else f"NULL::{_type(field.type)} AS {_name(field.name)}" for field in schema_of(kind)
    )
    return f"(SELECT {', '.join(columns)} FROM {read})"


def rows_of(made: duckdb.DuckDBPyConnection, source: str, query: Query, groups: Sequence[Group]) -> Relation:
    """Returns the rows of a query, each once: of several that say the same, the one that counts. `groups`: where they may be."""
    where, values = wanted(query)
    sql = f"SELECT * FROM {source} WHERE {where}"
    if query.kind in REVISED:
        return Relation(f"({_counting(sql, query)})", values)
    if query.kind == "trade" and any(group.fetched for group in groups) and _keep_fetched(made, source, query):
        return Relation(f"({sql} AND source <> 'rest' UNION ALL SELECT * FROM fetched)", values)
    return Relation(f"({sql})", values)


def wanted(query: Query) -> tuple[str, dict[str, Any]]:
    """Returns the condition of a query, and its values."""
    given = {"instrument": query.instrument, "venue": query.venue, "timeframe": query.timeframe}
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    parts = [f"{name} = ${name}" for name in values]
    for name, sign, ts in (("from_ts", ">=", query.from_ts), ("to_ts", "<", query.to_ts)):
        if ts is not None:
            parts.append(f"ts {sign} ${name}")
            values[name] = ts
    return " AND ".join(parts) or "true", values


def _counting(sql: str, query: Query) -> str:
    """Return the rows of `sql`, of candles or bars, without those from REST that the tape has too; or the newest revision of each alone.

    Rows of one candle have one `ts`, so that a condition on it never parts them.
    """
    same = f"PARTITION BY {', '.join(SAME[query.kind])}"
    sql = f"{sql} QUALIFY source <> 'rest' OR NOT bool_or(source <> 'rest' AND closed) OVER ({same}, revision)"
    if query.newest_revisions:
        newest = "closed DESC, revision DESC, id_ms DESC, id_n DESC"
        return f"SELECT * FROM ({sql}) QUALIFY row_number() OVER ({same} ORDER BY {newest}) = 1"
    return sql


def _keep_fetched(made: duckdb.DuckDBPyConnection, source: str, query: Query) -> bool:
    """Make the table `fetched` of trades from REST that the tape does not have, each once. Returns False if nothing is from REST."""
    where, values = wanted(query)
    sql = f"SELECT min(ts), max(ts) FROM {source} WHERE source = 'rest' AND {where}"
    ((first_ts, last_ts),) = made.execute(sql, values).fetchall()
    if first_ts is None:
        return False
    near, values = wanted(around(query, first_ts, last_ts + 1))
    same = ", ".join(SAME["trade"])
    made.execute("DROP TABLE IF EXISTS fetched")
    made.execute(
        f"CREATE TEMP TABLE fetched AS WITH near AS (SELECT * FROM {source} WHERE {near}),"
        " once AS (SELECT * FROM near WHERE source = 'rest'"
        f" QUALIFY trade_id = '' OR row_number() OVER (PARTITION BY {same} ORDER BY id_ms, id_n, ts) = 1)"
        f" SELECT * FROM once ANTI JOIN (SELECT {same} FROM near WHERE source <> 'rest' AND trade_id <> '') USING ({same})",
        values,
    )
    if query.from_ts is not None or query.to_ts is not None:
        made.execute("DELETE FROM fetched WHERE ts < $first_ts OR ts > $last_ts", {"first_ts": first_ts, "last_ts": last_ts})
    return True


def around(query: Query, from_ts: int | None, to_ts: int | None) -> Query:
    """Returns the query for a range of time in which other rows of the same trades are."""
    return msgspec.structs.replace(
        query, from_ts=None if from_ts is None else from_ts - MARGIN_NS, to_ts=None if to_ts is None else to_ts + MARGIN_NS
    )


def _type(of: Any) -> str:
    return _TYPES[of]


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
