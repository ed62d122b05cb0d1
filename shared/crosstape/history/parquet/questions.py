"""Asks Parquet files of the history: ranges of rows, the last event, candles of trades. Exact; blocks; run it by `engine`.

relation  which rows
candles   prices and sums
extents   which files
"""

# ruff: noqa: S608  # SQL is made of our own words; values of callers are parameters

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import duckdb
import msgspec
import pyarrow as pa

from crosstape.history.arrow import schema_of
from crosstape.history.parquet.extents import Extent, Files, Group, Span, extents_of, matching, parts
from crosstape.history.parquet.relation import AROUND_NS, ORDER, Relation, rows_of, source_of
from crosstape.history.query import Query

HELD_ROWS: Final = 200_000
"""Rows of a query with a limit that are held in memory; beyond it, the newest are counted first, and then read."""


def rows(made: duckdb.DuckDBPyConnection, files: Files, query: Query) -> Iterator[pa.Table]:
    """Yields the rows of a query, oldest first, in tables of some 100,000 rows, with the columns of `schema_of`. None is empty.

    With a limit, its newest rows: from the newest part back, as far as needed.
    """
    extents = extents_of(files)
    groups = matching(extents, query)
    spans = list(parts(groups, query))
    if query.limit is None:
        for span in spans:
            yield from _part(made, files, extents, query, span)
        return
    yield from _newest(made, files, extents, query, spans[::-1])


def last(made: duckdb.DuckDBPyConnection, files: Files, query: Query) -> pa.Table | None:
    """Returns the newest row of a query; None: there is none."""
    found = list(rows(made, files, msgspec.structs.replace(query, limit=1)))
    return found[-1] if found else None


def _newest(
    made: duckdb.DuckDBPyConnection, files: Files, extents: list[Extent], query: Query, newest_first: list[tuple[Span, tuple[str, ...]]]
) -> Iterator[pa.Table]:
    assert query.limit is not None
    left = query.limit
    held: list[pa.Table] = []
    chosen: list[tuple[Span, tuple[str, ...]]] = []
    for span in newest_first:
        if query.limit <= HELD_ROWS:
            few = left if left < HELD_ROWS else None
            found = list(_part(made, files, extents, query, span, newest=few))
            held += reversed(found)
            left -= sum(map(len, found))
        else:
            chosen.append(span)
            left -= _count(made, files, extents, query, span)
        if left <= 0:
            break
    drop = max(0, -left)
    for table in reversed(held) if held else (part for span in reversed(chosen) for part in _part(made, files, extents, query, span)):
        if drop < len(table):
            yield table.slice(drop)
        drop = max(0, drop - len(table))


def _part(
    made: duckdb.DuckDBPyConnection,
    files: Files,
    extents: list[Extent],
    query: Query,
    span: tuple[Span, tuple[str, ...]],
    *,
    newest: int | None = None,
) -> Iterator[pa.Table]:
    """Yield the rows of one span of time; `newest`: only so many of them, the newest."""
    relation, _ = _relation(made, files, extents, query, span)
    schema = schema_of(query.kind)
    names = ", ".join(f'"{name}"' for name in schema.names)
    order = ", ".join(ORDER)
    sql = f"SELECT {names} FROM {relation.sql}"
    if newest is not None:
        sql = f"SELECT * FROM ({sql} ORDER BY {order.replace(',', ' DESC,')} DESC LIMIT {newest})"
    found = made.sql(f"{sql} ORDER BY {order}", params=relation.values).to_arrow_table()
    if len(found):
        yield found.cast(pa.schema(list(schema))).replace_schema_metadata(schema.metadata)


def _count(made: duckdb.DuckDBPyConnection, files: Files, extents: list[Extent], query: Query, span: tuple[Span, tuple[str, ...]]) -> int:
    relation, _ = _relation(made, files, extents, query, span)
    ((found,),) = made.execute(f"SELECT count(*) FROM {relation.sql}", relation.values).fetchall()
    return int(found)


def _relation(
    made: duckdb.DuckDBPyConnection, files: Files, extents: list[Extent], query: Query, span: tuple[Span, tuple[str, ...]]
) -> tuple[Relation, list[Group]]:
    """Return the rows of a span of time. A candle or trade that was fetched, too, counts once, wherever spans part."""
    (from_ts, to_ts), names = span
    within = msgspec.structs.replace(query, from_ts=from_ts, to_ts=to_ts)
    groups = matching(extents, within)
    if query.kind == "trade" and any(group.fetched for group in groups):
        around = msgspec.structs.replace(within, from_ts=from_ts - AROUND_NS, to_ts=to_ts + AROUND_NS)
        names = tuple(dict.fromkeys(group.file for group in matching(extents, around)))  # a trade's other row may be in another file
    chosen = [extent for extent, name in zip(extents, files.names, strict=True) if name in set(names)]
    source = source_of(made, files.of(names), chosen, query.kind)
    return rows_of(made, source, within, groups), groups
