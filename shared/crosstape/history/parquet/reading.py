"""Reads the rows of a query in the order of their time, a slice of time after the other, so that the memory it needs has a bound.

Files are sorted by instrument. So the rows of a slice may be in every row group of a day. While they are read, files may be merged and
deleted: then what is left is planned again. Everything here blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.errors import HistoryError
from crosstape.history.arrow import schema_of
from crosstape.history.parquet import doubles
from crosstape.history.parquet.catalogue import ATTEMPTS, Catalogue
from crosstape.history.parquet.planning import Plan, planned
from crosstape.history.parquet.rows import each, rows_of
from crosstape.history.parquet.slices import Span, slices
from crosstape.history.parquet.spool import Spool
from crosstape.history.query import Query
from crosstape.history.same_rows import MARGIN_NS, REVISED, SAME

SLICE_ROWS: Final = 250_000
"""Rows of a slice, about."""
DENSE: Final = 2
"""A slice may have so many times as many rows before it is divided, and row groups be read so often before their rows are spooled."""
WINDOW_SLICES: Final = 32
"""Slices for which rows are spooled at a time."""
ORDER: Final = ("ts", "id_ms", "id_n", "venue", "instrument", "epoch", "seq")
"""Ids of two streams may be equal; the rest is there for one order in any case."""


def parts(catalogue: Catalogue, query: Query, slice_rows: int = SLICE_ROWS) -> Iterator[pa.Table]:
    """Yields the rows of a query, see `Store.read`. Needs memory for some slices and, with a limit, for as many rows."""
    if query.limit is not None:
        yield from catalogue.retried(query.kind, lambda: _newest(catalogue, query, slice_rows))
        return
    plan = planned(catalogue, query)
    position, attempts = plan.from_ts, 0
    while position < plan.to_ts:
        try:
            for from_ts, to_ts in slices(_spans(plan), position, plan.to_ts, WINDOW_SLICES * slice_rows):
                for end, table in _window(catalogue, plan, query, (from_ts, to_ts), slice_rows):
                    position, attempts = end, 0
                    if len(table):
                        yield table
        except FileNotFoundError:
            attempts += 1
            if attempts == ATTEMPTS:
                where = f"{catalogue.folder.url}/{query.kind}"
                raise HistoryError(f"{where}: files are deleted faster than they can be read; try again") from None
            # Rows that came meanwhile are read as far as they lie in what is left.
            plan = Plan(planned(catalogue, query).units, position, plan.to_ts)


def _newest(catalogue: Catalogue, query: Query, slice_rows: int) -> list[pa.Table]:
    """Return the newest rows of a query, at most so many as its limit."""
    missing = query.limit or 0
    plan = planned(catalogue, query)
    found: list[pa.Table] = []
    for span in reversed(slices(_spans(plan), plan.from_ts, plan.to_ts, min(slice_rows, 4 * missing + 1_000))):
        if missing <= 0:
            break
        table = _slice(catalogue, plan, query, span, rows_of(catalogue, plan.overlapping(*span), query, span))
        table = table.slice(max(len(table) - missing, 0))
        missing -= len(table)
        if len(table):
            found.append(table)
    return found[::-1]


def _window(catalogue: Catalogue, plan: Plan, query: Query, span: tuple[int, int], rows: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield the slices of a range of time, each with the moment up to which it goes."""
    units = plan.overlapping(*span)
    found, count = [schema_of(query.kind).empty_table()], 0
    for table in each(catalogue, units, query, span, schema_of(query.kind)):
        found.append(table)
        count += len(table)
        if count > DENSE * rows:
            break
    else:
        yield span[1], _slice(catalogue, plan, query, span, pa.concat_tables(found))
        return
    del found
    edges = _edges(rows_of(catalogue, units, query, span, ["ts"]).column("ts"), span, rows)
    reads = sum(unit.group.rows for start, end in pairwise(edges) for unit in plan.overlapping(start, end))
    if reads <= DENSE * sum(unit.group.rows for unit in units):
        for start, end in pairwise(edges):
            table = rows_of(catalogue, plan.overlapping(start, end), query, (start, end))
            yield end, _slice(catalogue, plan, query, (start, end), table)
        return
    for first in range(0, len(edges) - 1, WINDOW_SLICES):
        chosen = edges[first : first + WINDOW_SLICES + 1]
        between = chosen[0], chosen[-1]
        with Spool(schema_of(query.kind), chosen) as spool:
            for table in each(catalogue, plan.overlapping(*between), query, between, schema_of(query.kind)):
                spool.add(table)
            for index, (start, end) in enumerate(pairwise(chosen)):
                yield end, _slice(catalogue, plan, query, (start, end), spool.rows(index))


def _edges(times: pa.ChunkedArray, span: tuple[int, int], rows: int) -> list[int]:
    """Return the moments that divide rows into slices: each has `rows` rows, or a little more where many are of one moment."""
    edges = [span[0]]
    if len(times) > DENSE * rows:
        ordered = times.take(pc.sort_indices(times)).combine_chunks()
        for index in range(rows, len(ordered), rows):
            moment = ordered[index].as_py()
            if moment > edges[-1]:
                edges.append(moment)
    return [*edges, span[1]]


def _spans(plan: Plan) -> list[Span]:
    return [Span(unit.group.from_ts, unit.group.to_ts, unit.group.rows) for unit in plan.units]


def _slice(catalogue: Catalogue, plan: Plan, query: Query, span: tuple[int, int], table: pa.Table) -> pa.Table:
    """Return the rows of a slice of time, in their order, without those that do not count. Raises as `rows_of`."""
    kind = query.kind
    if kind in SAME and len(table) and doubles.has_rest(table):
        margin = MARGIN_NS if kind == "trade" else 0
        around = span[0] - margin, span[1] + margin
        near = rows_of(catalogue, plan.overlapping(*around), query, around, doubles.columns_needed(kind))
        table = doubles.without_doubles(table, kind, near)
    if query.newest_revisions and kind in REVISED:
        table = doubles.newest_revisions(table, kind)
    return table.combine_chunks() if _is_in_order(table) else table.sort_by([(name, "ascending") for name in ORDER])


def _is_in_order(table: pa.Table) -> bool:
    """Whether the first columns of `ORDER` grow from row to row, as in a file of one instrument. It takes less time than to sort."""
    if len(table) < 2:
        return True
    grows: Any = pa.scalar(False)
    for name in ("id_n", "id_ms", "ts"):
        column = table.column(name)
        one, next_one = column.slice(0, len(column) - 1), column.slice(1)
        grows = pc.or_(pc.less(one, next_one), pc.and_(pc.equal(one, next_one), grows))
    return bool(pc.all(grows).as_py())
