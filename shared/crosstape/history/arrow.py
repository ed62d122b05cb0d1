"""Turns batches into Arrow tables, and tables into the JSON of their events. It needs the extra `history`.

A decimal is a column `decimal128(38, 18)`, and beside it NAME`_scale` says how many digits were written behind the point, so that `1.50`
comes back as `1.50`. A number that does not fit is null, and the row's `d` has it. Nothing is rounded.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from itertools import groupby
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.errors import HistoryError
from crosstape.history import text_events
from crosstape.history.batch import Batch, Source
from crosstape.history.columns import BatchBuilder, ColumnType, columns_of, is_nested
from crosstape.history.lines import Lines, Same
from crosstape_schemas import KINDS

PRECISION: Final = 38
SCALE: Final = 18
DECIMAL: Final = pa.decimal128(PRECISION, SCALE)
DATA: Final = "d"
"""The column of the event's JSON."""
KIND: Final = b"crosstape.kind"
"""The key of the kind in the metadata of a schema."""
_TYPES: Final = {
    ColumnType.INT: pa.int64(),
    ColumnType.DECIMAL: DECIMAL,
    ColumnType.TEXT: pa.string(),
    ColumnType.WORD: pa.string(),
    ColumnType.BOOL: pa.bool_(),
}


def scale_name(column: str) -> str:
    """Returns the name of the column that says how many digits of a decimal are behind the point."""
    return f"{column}_scale"


@cache
def schema_of(kind: str) -> pa.Schema:
    """Returns the columns of a kind: those of `columns_of`, behind each decimal its scale, and `d`. Raises `KeyError` for another kind."""
    fields: list[Any] = []
    for column in columns_of(kind):
        fields.append(pa.field(column.name, _TYPES[column.type]))
        if column.type is ColumnType.DECIMAL:
            fields.append(pa.field(scale_name(column.name), pa.int8()))
    return pa.schema([*fields, pa.field(DATA, pa.string())], metadata={KIND: kind.encode()})


def table_of(batch: Batch, keep_data: bool = False) -> pa.Table:
    """Returns the rows of a batch, in their order, with the columns of `schema_of`. `keep_data`: with `d` for every row."""
    arrays: list[Any] = []
    exact = batch.exact
    data: Any
    for column in columns_of(batch.kind):
        values = batch.columns[column.name]
        if column.type is not ColumnType.DECIMAL:
            arrays.append(array_of(values, column.type))
            continue
        numbers, scales, unfit = _decimals(array_of(values, column.type))
        if unfit:
            exact = list(exact)
            for index in unfit:
                exact[index] = False
        arrays += numbers, scales
    if keep_data or is_nested(batch.kind) or not any(exact):
        data = batch.data
    elif all(exact):
        data = pa.nulls(len(batch), pa.string())
    else:
        data = [None if is_exact else one for is_exact, one in zip(exact, batch.data, strict=True)]
    arrays.append(data if isinstance(data, pa.Array) else array_of(data, ColumnType.TEXT))
    return pa.Table.from_arrays(arrays, schema=schema_of(batch.kind))


def array_of(values: Sequence[object], type_: ColumnType) -> pa.Array:
    """Returns the values of a batch's column as Arrow has them; decimals as their texts."""
    if isinstance(values, array):
        return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])
    if isinstance(values, Lines):
        made = [one for type_of, pieces in groupby(values.pieces, type) for one in _pieces(type_of, list(pieces))]
        return pa.concat_arrays(made) if made else pa.array([], pa.string())
    return pa.array(values, pa.string() if type_ is ColumnType.DECIMAL else _TYPES[type_])


def _pieces(type_of: type, pieces: list[Any]) -> Iterator[pa.Array]:
    """Yield the texts of pieces of `Lines` that are of one type."""
    if type_of is bytes:
        yield pc.split_pattern(pa.array([b"\n".join(pieces)], pa.binary()), b"\n").values.cast(pa.string())
    elif type_of is Same:
        yield from (pa.repeat(pa.scalar(same.value, pa.string()), same.count) for same in pieces)
    else:
        yield from (pa.array(values, pa.string()) for values in pieces)


def _decimals(texts: pa.Array) -> tuple[pa.Array, pa.Array, list[int]]:
    """Return the numbers and scales of these texts, and the indices of those that are null because they do not fit.

    Whether they fit is decided by their lengths: pyarrow 26 does not refuse all that are too large. `350000000000000000000` becomes
    another number without an error, because its unscaled value has more than 128 bits.
    """
    unfit: list[int] = []
    before, behind = _digits(texts)
    if (pc.max(before).as_py() or 0) > PRECISION - SCALE or (pc.max(behind).as_py() or 0) > SCALE:
        values = texts.to_pylist()
        unfit = [index for index, text in enumerate(values) if text is not None and not fits(text)]
        for index in unfit:
            values[index] = None
        texts = pa.array(values, pa.string())
        _, behind = _digits(texts)
    return pc.cast(texts, DECIMAL), behind.cast(pa.int8()), unfit


def _digits(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return how many characters each text has before its point, and how many behind it."""
    length, point = pc.binary_length(texts), pc.find_substring(texts, ".")
    whole = pc.equal(point, -1)
    return pc.if_else(whole, length, point), pc.if_else(whole, 0, pc.subtract(pc.subtract(length, point), 1))


def fits(text: str) -> bool:
    """Whether a decimal in plain notation fits in a column `decimal128(38, 18)`, all its digits behind the point included."""
    before, _, behind = text.lstrip("-").partition(".")
    return len(behind) <= SCALE and len(before.lstrip("0")) <= PRECISION - SCALE


def events_of(table: pa.Table, kind: str | None = None) -> list[bytes]:
    """Returns the JSON of each row, byte for byte as it was on the tape: from `d` or, where this is null, made from the columns.

    `kind`: of the table; None: as its schema says (that of `schema_of` does). Raises `HistoryError` for a table that does not have the
    columns of its kind, or a null where an event cannot have one.
    """
    kind = kind or _kind_of(table)
    data = table.column(DATA).to_pylist()
    missing = pc.is_null(table.column(DATA))
    made = iter(_made(table.filter(missing), kind)) if table.column(DATA).null_count else iter(())
    return [next(made) if text is None else text.encode() for text in data]


def texts_of(table: pa.Table, kind: str | None = None) -> pa.Table:
    """Returns the rows with their decimals as text in plain notation, as they were written, and without the columns of their scales.

    The column `d` stays only where events have more in it than columns. Raises as `events_of`.
    """
    kind = kind or _kind_of(table)
    names: list[str] = []
    arrays: list[Any] = []
    for column in columns_of(kind):
        found = _one(table.column(column.name))
        if column.type is ColumnType.DECIMAL:
            texts = _texts(found, _one(table.column(scale_name(column.name))))
            unfit = pc.indices_nonzero(pc.and_(pc.is_null(found), pc.is_valid(_one(table.column(DATA))))).to_pylist()
            found = _with_unfit(texts, unfit, table.column(DATA), column.name) if unfit else texts
        names.append(column.name)
        arrays.append(found)
    if is_nested(kind):
        names.append(DATA)
        arrays.append(table.column(DATA))
    return pa.Table.from_arrays(arrays, names=names)


def _with_unfit(texts: pa.Array, rows: list[int], data: pa.ChunkedArray, name: str) -> pa.Array:
    """Return the texts with those of rows whose number did not fit into the column: they are in the event's JSON alone."""
    values = texts.to_pylist()
    for row in rows:
        values[row] = getattr(text_events.decode(data[row].as_py()), name, None)
    return pa.array(values, pa.string())


def batch_of(table: pa.Table, kind: str | None = None) -> Batch:
    """Returns the rows of a table as a batch, with the tape's text of each decimal. Raises as `events_of`."""
    kind = kind or _kind_of(table)
    builder = BatchBuilder(kind, "events")
    ids = (table.column(name).to_pylist() for name in ("id_ms", "id_n", "source"))
    for data, id_ms, id_n, source in zip(events_of(table, kind), *ids, strict=True):
        builder.add(id_ms, id_n, text_events.decode(data), data, Source(source))
    return builder.build()


def _kind_of(table: pa.Table) -> str:
    kind = str((table.schema.metadata or {}).get(KIND, b""), "utf-8")
    if kind not in KINDS:
        raise HistoryError(f"a table of the history does not say its kind of events: its schema's metadata has no {KIND.decode()!r}")
    return kind


def _made(table: pa.Table, kind: str) -> Iterator[bytes]:
    """Yield the JSON of each row, made from its columns."""
    columns = {column.name: column for column in columns_of(kind)}
    cls = text_events.text_type(kind)
    values: list[list[Any]] = []
    for name in cls.__struct_fields__:
        column = columns.get("ts" if name == "ts" else name)
        if column is None or name not in table.column_names:
            raise HistoryError(f"a {kind} of the history cannot be read: {name} is not in its columns, and {DATA!r} is null")
        found = table.column(name)
        if found.null_count and not column.nullable:
            raise HistoryError(f"a {kind} of the history cannot be read: {name} is null, and {DATA!r} is, too")
        if column.type is ColumnType.DECIMAL:
            found = _texts(_one(found), _one(table.column(scale_name(name))))
        values.append(found.to_pylist())
    encode = text_events.encode
    for row in zip(*values, strict=True):
        yield encode(cls(*row))


def _texts(numbers: pa.Array, scales: pa.Array) -> pa.Array:
    """Return the decimals as they were written: with `scales` digits behind the point."""
    places: list[Any] = []
    texts: list[Any] = []
    for scale in pc.unique(scales).to_pylist():
        where = pc.indices_nonzero(pc.is_null(scales) if scale is None else pc.equal(scales, scale))
        places.append(where)
        part = numbers.take(where)
        texts.append(pa.nulls(len(where), pa.string()) if scale is None else _written(part.cast(pa.decimal128(PRECISION, scale))))
    if not places:
        return pa.array([], pa.string())
    return pa.concat_arrays(texts).take(pc.sort_indices(pa.concat_arrays(places)))


def _written(numbers: pa.Array) -> pa.Array:
    """Return the text of decimals in plain notation; Arrow writes small ones with an exponent."""
    texts = numbers.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    values = texts.to_pylist()
    return pa.array([f"{Decimal(text):f}" if text is not None and "E" in text else text for text in values], pa.string())


def _one(column: Any) -> pa.Array:
    """Return a table's column as one array."""
    column = column.combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
