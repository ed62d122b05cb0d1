"""Reads the rows of a query in the order of their time, a slice of time after the other, so that the memory it needs has a bound.

Files are sorted by instrument. So a slice is read from every row group whose times overlap it, and sorted. While this goes on, files may be
merged and deleted: then the slice is planned again. Everything here blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from crosstape.errors import HistoryError
from crosstape.history.arrow import schema_of
from crosstape.history.parquet import doubles
from crosstape.history.parquet.catalogue import ATTEMPTS, DAY_NS, Catalogue, Footer, Group, day_ts, reading
from crosstape.history.parquet.names import Name
from crosstape.history.parquet.slices import Span, slices
from crosstape.history.query import Query

SLICE_ROWS: Final = 250_000
"""Rows of a slice, as far as the footers of files tell."""
DENSE: Final = 3
"""How many times as many rows a slice may have before it is divided."""
ORDER: Final = ("ts", "id_ms", "id_n", "venue", "instrument", "epoch", "seq")
"""Ids of two streams may be equal; the rest is there for one order in any case."""


class Unit(msgspec.Struct, frozen=True):
    """A row group that may have rows of a query."""

    path: str
    group: Group


class VisibleFiles(msgspec.Struct, frozen=True):
    """The files that count and may have rows of a query, or others of the same trades and candles: see `doubles`.

    They are not changed. They may be merged and deleted: then reading one raises `FileNotFoundError`, and the files are asked for again.
    """

    names: tuple[str, ...]
    """Of the file system, in the order of their commits."""
    system: pafs.FileSystem
    root: str
    """Folder of the local disk to which the names are relative; empty: they are in a bucket."""
    place: str
    """Address of the history."""


class Plan(msgspec.Struct, frozen=True):
    """What a query reads: row groups, and the range of time that they are in."""

    units: tuple[Unit, ...]
    from_ts: int
    to_ts: int

    def overlapping(self, from_ts: int, to_ts: int) -> list[Unit]:
        """Returns the row groups with rows of `[from_ts, to_ts)`."""
        return [unit for unit in self.units if unit.group.from_ts < to_ts and unit.group.to_ts >= from_ts]


def parts(catalogue: Catalogue, query: Query, slice_rows: int = SLICE_ROWS) -> Iterator[pa.Table]:
    """Yields the rows of a query, see `Store.read`. Needs memory for about two slices and, with a limit, for as many rows."""
    if query.limit is not None:
        yield from catalogue.retried(query.kind, lambda: _newest(catalogue, query, slice_rows))
        return
    plan = planned(catalogue, query)
    position, attempts = plan.from_ts, 0
    while position < plan.to_ts:
        try:
            for from_ts, to_ts in _slices(catalogue, plan, query, position, slice_rows):
                table = _slice(catalogue, plan, query, from_ts, to_ts)
                position, attempts = to_ts, 0
                if len(table):
                    yield table
        except FileNotFoundError:
            attempts += 1
            if attempts == ATTEMPTS:
                raise HistoryError(
                    f"{catalogue.folder.url}/{query.kind}: files are deleted faster than they can be read; try again"
                ) from None
            # Rows that came meanwhile are read as far as they lie in what is left.
            plan = Plan(planned(catalogue, query).units, position, plan.to_ts)


def _newest(catalogue: Catalogue, query: Query, slice_rows: int) -> list[pa.Table]:
    """Return the newest rows of a query, at most so many as its limit."""
    missing = query.limit or 0
    plan = planned(catalogue, query)
    found: list[pa.Table] = []
    for from_ts, to_ts in reversed(slices(_spans(plan), plan.from_ts, plan.to_ts, min(slice_rows, 4 * missing + 1_000))):
        if missing <= 0:
            break
        table = _slice(catalogue, plan, query, from_ts, to_ts)
        table = table.slice(max(len(table) - missing, 0))
        missing -= len(table)
        if len(table):
            found.append(table)
    return found[::-1]


def _slices(catalogue: Catalogue, plan: Plan, query: Query, position: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield the slices from `position` on. Where many more rows may be in one than footers tell, it is divided by the rows' times."""
    for from_ts, to_ts in slices(_spans(plan), position, plan.to_ts, rows):
        units = plan.overlapping(from_ts, to_ts)
        if sum(unit.group.rows for unit in units) <= DENSE * rows:
            yield from_ts, to_ts
            continue
        times = rows_of(catalogue, units, query, (from_ts, to_ts), ["ts"]).column("ts")
        if len(times) <= DENSE * rows:
            yield from_ts, to_ts
            continue
        ordered = times.take(pc.sort_indices(times))
        begin = from_ts
        for index in range(rows, len(ordered), rows):
            moment = ordered[index].as_py()
            if moment > begin:
                yield begin, moment
                begin = moment
        yield begin, to_ts


def planned(catalogue: Catalogue, query: Query) -> Plan:
    """Returns what to read for a query. Raises `HistoryError`."""
    units = catalogue.retried(query.kind, lambda: _units(catalogue, query))
    first = min((unit.group.from_ts for unit in units), default=0)
    last = max((unit.group.to_ts + 1 for unit in units), default=0)
    from_ts = first if query.from_ts is None else max(first, query.from_ts)
    to_ts = last if query.to_ts is None else min(last, query.to_ts)
    return Plan(tuple(units), from_ts, to_ts)


def visible_files(catalogue: Catalogue, query: Query) -> VisibleFiles:
    """Returns the files for a query, by their names; no file is read."""
    listing = catalogue.listing(query.kind)
    names = tuple(listing.path(name) for name in listing.cover.names if _may_have(name, query))
    return VisibleFiles(names, catalogue.file_system, catalogue.folder.local_path, catalogue.folder.url)


def _units(catalogue: Catalogue, query: Query) -> list[Unit]:
    listing = catalogue.listing(query.kind)
    return [
        Unit(listing.path(name), group)
        for name in listing.cover.names
        if _may_have(name, query)
        for group in _groups(catalogue.footer(listing, name), query)
    ]


def _planned_again(catalogue: Catalogue, query: Query, before: Plan, position: int) -> Plan:
    """Plan the rest of a query whose files have been merged. Rows that came meanwhile are read as far as they lie in what is left."""
    plan = planned(catalogue, query)
    return Plan(plan.units, position, min(plan.to_ts, before.to_ts))


def _may_have(name: Name, query: Query) -> bool:
    """Whether a file may have rows of this time or, for their doubles, shortly before or behind."""
    if not name.is_merged:
        return True
    day = day_ts(name.day)
    margin = doubles.MARGIN_NS
    return (query.from_ts is None or day + DAY_NS > query.from_ts - margin) and (query.to_ts is None or day < query.to_ts + margin)


def _groups(footer: Footer, query: Query) -> Iterable[Group]:
    margin = doubles.MARGIN_NS if query.kind == "trade" else 0
    for group in footer.groups:
        if query.from_ts is not None and group.to_ts < query.from_ts - margin:
            continue
        if query.to_ts is not None and group.from_ts >= query.to_ts + margin:
            continue
        if query.instrument is None or group.first_instrument <= query.instrument <= group.last_instrument:
            yield group


def _spans(plan: Plan) -> list[Span]:
    return [Span(unit.group.from_ts, unit.group.to_ts, unit.group.rows) for unit in plan.units]


def _slice(catalogue: Catalogue, plan: Plan, query: Query, from_ts: int, to_ts: int) -> pa.Table:
    """Return the rows of a slice of time, in their order. Raises `FileNotFoundError` where files have been merged meanwhile."""
    kind = query.kind
    table = rows_of(catalogue, plan.overlapping(from_ts, to_ts), query, (from_ts, to_ts))
    if kind in doubles.SAME and len(table) and doubles.has_rest(table):
        margin = doubles.MARGIN_NS if kind == "trade" else 0
        start, end = from_ts - margin, to_ts + margin
        near = rows_of(catalogue, plan.overlapping(start, end), query, (start, end), doubles.columns_needed(kind))
        table = doubles.without_doubles(table, kind, near)
    if query.newest_revisions and kind in doubles.REVISED:
        table = doubles.newest_revisions(table, kind)
    return table.sort_by([(name, "ascending") for name in ORDER])


def rows_of(
    catalogue: Catalogue, units: Sequence[Unit], query: Query, span: tuple[int, int], columns: Sequence[str] | None = None
) -> pa.Table:
    """Returns the rows of a query in `[from, to)`, in no order. Raises `FileNotFoundError` where a file has been merged."""
    by_path: dict[str, list[int]] = {}
    for unit in units:
        by_path.setdefault(unit.path, []).append(unit.group.index)
    schema = schema_of(query.kind)
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
    wanted = list(dict.fromkeys([*_filter_columns(query), *schema.names]))
    found = [schema.empty_table()]
    for path, groups in by_path.items():
        with catalogue.open(path) as file, reading(catalogue.folder, path):
            there = [group for group in groups if query.instrument is None or _has_instrument(file, group, query.instrument)]
            if there:
                table = conformed(file.read_row_groups(there, columns=wanted), query.kind, wanted)
                found.append(table.filter(_mask(table, query, *span)).select(schema.names))
    return pa.concat_tables([table.replace_schema_metadata(schema.metadata) for table in found])


def _has_instrument(file: Any, group: int, instrument: str) -> bool:
    """Whether a row group, whose instruments may be many, has this one: its column costs little beside all others."""
    column = file.read_row_group(group, columns=["instrument"]).column(0)
    return bool(pc.any(pc.equal(column, instrument)).as_py())


def _filter_columns(query: Query) -> list[str]:
    return ["ts", *(name for name in ("instrument", "venue", "timeframe") if getattr(query, name) is not None)]


def _mask(table: pa.Table, query: Query, from_ts: int, to_ts: int) -> Any:
    ts = table.column("ts")
    mask = pc.and_(pc.greater_equal(ts, from_ts), pc.less(ts, to_ts))
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
