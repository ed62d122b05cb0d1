"""Finds the newest event in Parquet files: in the row groups that end last, and further back only if it is not in them."""

# ruff: noqa: S608  # SQL is made of our own words; values of callers are parameters

from __future__ import annotations

import duckdb
import msgspec
import pyarrow as pa

from crosstape.history.arrow import schema_of
from crosstape.history.parquet.extents import Files, extents_of, matching
from crosstape.history.parquet.reading import ORDER
from crosstape.history.parquet.relation import around, rows_of, source_of
from crosstape.history.query import Query


def newest(made: duckdb.DuckDBPyConnection, files: Files, query: Query) -> pa.Table | None:
    """Returns the newest row of a query, with the columns of `schema_of`; None: there is none."""
    extents = extents_of(files)
    groups = sorted(matching(extents, query), key=lambda group: group.last_ts, reverse=True)
    to_ts = query.to_ts
    for group in groups:
        from_ts = group.first_ts if query.from_ts is None else max(group.first_ts, query.from_ts)
        if to_ts is not None and from_ts >= to_ts:
            continue  # it was looked at, with a group that ends later
        within = msgspec.structs.replace(query, from_ts=from_ts, to_ts=to_ts)
        near = matching(extents, around(within, from_ts, to_ts))
        source = source_of(made, files, extents, query.kind, tuple(dict.fromkeys(one.file for one in near)))
        relation = rows_of(made, source, within, near)
        schema = schema_of(query.kind)
        columns = ", ".join(f'"{name}"' for name in schema.names)
        order = ", ".join(f"{name} DESC" for name in ORDER)
        found = made.sql(f"SELECT {columns} FROM {relation.sql} ORDER BY {order} LIMIT 1", params=relation.values).to_arrow_table()
        if len(found):
            return found.cast(pa.schema(list(schema))).replace_schema_metadata(schema.metadata)
        to_ts = from_ts
    return None
