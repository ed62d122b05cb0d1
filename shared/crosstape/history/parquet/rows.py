"""Reads rows of a query from row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.history.arrow import schema_of
from crosstape.history.parquet.catalogue import Catalogue, Group, reading
from crosstape.history.parquet.planning import Unit
from crosstape.history.query import Query
from crosstape.history.text_events import LEAST, MOST


def rows_of(
    catalogue: Catalogue, units: Sequence[Unit], query: Query, span: tuple[int, int], columns: Sequence[str] | None = None
) -> pa.Table:
    """Returns the rows of a query in `[from, to)`, in no order. Raises `FileNotFoundError` where a file has been merged."""
    schema = schema_of(query.kind)
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
    return pa.concat_tables([schema.empty_table(), *each(catalogue, units, query, span, schema)])


def each(catalogue: Catalogue, units: Sequence[Unit], query: Query, span: tuple[int, int], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yields the rows of a query in `[from, to)`, of a row group after the other, with the columns of a schema. Raises as `rows_of`."""
    by_path: dict[str, list[Group]] = {}
    for unit in units:
        by_path.setdefault(unit.path, []).append(unit.group)
    wanted = list(dict.fromkeys([*_filter_columns(query), *schema.names]))
    for path, groups in by_path.items():
        with catalogue.open(path) as file, reading(catalogue.folder, path):
            for group in groups:
                if query.instrument is None or _has_instrument(file, group, query.instrument):
                    table = conformed(file.read_row_group(group.index, columns=wanted), query.kind, wanted)
                    table = table.filter(_mask(table, query, *span)).select(schema.names)
                    yield table.replace_schema_metadata(schema.metadata)


def _has_instrument(file: Any, group: Group, instrument: str) -> bool:
    """Whether a row group, whose instruments may be many, has this one: its column costs little beside all others."""
    if instrument in (group.first_instrument, group.last_instrument):
        return True
    column = file.read_row_group(group.index, columns=["instrument"]).column(0)
    return bool(pc.any(pc.equal(column, instrument)).as_py())


def _filter_columns(query: Query) -> list[str]:
    return ["ts", *(name for name in ("instrument", "venue", "timeframe") if getattr(query, name) is not None)]


def _mask(table: pa.Table, query: Query, from_ts: int, to_ts: int) -> Any:
    ts = table.column("ts")
    # the newest moment of 64 bits is in a range whose end has more
    mask = pc.and_(pc.greater_equal(ts, max(from_ts, LEAST)), pc.less_equal(ts, min(to_ts - 1, MOST)))
    for name in _filter_columns(query)[1:]:
        mask = pc.and_(mask, pc.equal(table.column(name), getattr(query, name)))
    return mask


def conformed(table: pa.Table, kind: str, names: Sequence[str]) -> pa.Table:
    """Returns columns with the types of `schema_of`: files have dictionaries for words, and those of an earlier version fewer columns."""
    schema = schema_of(kind)
    schema = pa.schema([schema.field(name) for name in names], metadata=schema.metadata)
    columns = [
        table.column(one.name).cast(one.type) if one.name in table.column_names else pa.nulls(len(table), one.type) for one in schema
    ]
    return pa.table(columns, schema=schema)
