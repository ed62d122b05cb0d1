"""Writes a batch as the CSV that `COPY … FROM STDIN (FORMAT csv)` takes. Pure.

The numbers stay the tape's text: none becomes a Decimal. Arrow writes the text, in a third of the time that Python's `join` takes; it
escapes what must be, and tells an empty text from null by its quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from crosstape.history import arrow
from crosstape.history.batch import Batch
from crosstape.history.columns import ColumnType, is_nested
from crosstape.history.postgres import layout

ROWS: Final = 8_192
"""Rows of one part: a few ms of computing, then others have their turn."""
RUN: Final = 256
"""Rows of one instrument that follow each other, on average: then they are left as they are."""
_OPTIONS: Final = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
_ALWAYS_FITS: Final = 19
"""No decimal of so many characters is too long for a table of Arrow, however they are divided by the point."""
_NUL: Final = "\0"
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def parts(batch: Batch, keep_data: bool) -> Iterator[bytes]:
    """Yields the rows of a batch, some at a time and in each part an instrument's together. Their columns are `layout.column_names`.

    `keep_data`: with `d` for every row. PostgreSQL's `text` cannot hold the character NUL. It is replaced where an event has it,
    and the event's own bytes are kept in `d`.
    """
    for start in range(0, len(batch), ROWS):
        part = _part(batch, slice(start, start + ROWS))
        made = _csv(part, _kept(part, keep_data))
        if b"\0" in made:
            made = _csv(part, _kept(_without_nul(part), keep_data))
        yield made


def _part(batch: Batch, rows: slice) -> Batch:
    columns = {name: values[rows] for name, values in batch.columns.items()}
    return Batch(batch.kind, columns, batch.data[rows], batch.exact[rows])


def _grouped(table: pa.Table) -> pa.Table:
    """Return the rows with each instrument's together, as they came: those that one question is about are then in few pages."""
    codes = table.column("instrument").combine_chunks().dictionary_encode().indices
    different = pc.not_equal(codes[1:], codes[:-1])
    if (pc.sum(different).as_py() or 0) * RUN <= len(codes):
        return table
    return table.take(pc.sort_indices(codes))


def _csv(batch: Batch, kept: list[bytes | None]) -> bytes:
    described = layout.columns(batch.kind)
    arrays: list[Any] = [arrow.array_of(batch.columns[column.name], column.type) for column in described]
    for column, values in zip(described, arrays, strict=True):
        if column.type is ColumnType.DECIMAL:
            for row in _too_long(values):
                kept[row] = batch.data[row]
    if any(kept):
        arrays.append(pa.array([None if one is None else f"\\x{one.hex()}" for one in kept], pa.string()))
    else:
        arrays.append(pa.nulls(len(batch), pa.string()))
    sink = pa.BufferOutputStream()
    table = pa.Table.from_arrays(arrays, layout.column_names(batch.kind))
    pyarrow.csv.write_csv(table if batch.kind in layout.SMALL else _grouped(table), sink, _OPTIONS)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _kept(batch: Batch, keep_data: bool) -> list[bytes | None]:
    """Return each row's JSON where the columns alone do not give it back, else None."""
    if keep_data or is_nested(batch.kind):
        return [*batch.data]
    if all(batch.exact):
        return [None] * len(batch)
    return [None if exact else one for exact, one in zip(batch.exact, batch.data, strict=True)]


def _too_long(numbers: Any) -> list[int]:
    """Return the rows whose number PostgreSQL holds, and a table of Arrow does not: there, `d` has to give the event."""
    longest = pc.max(pc.binary_length(numbers)).as_py()
    if longest is None or longest <= _ALWAYS_FITS:
        return []
    return [row for row, text in enumerate(numbers.to_pylist()) if text is not None and not arrow.fits(text)]


def storable(value: object) -> object:
    """Returns a column's value as PostgreSQL can hold it."""
    return value.replace(_NUL, _REPLACEMENT) if isinstance(value, str) else value


def _without_nul(batch: Batch) -> Batch:
    """Replace NUL in the columns of this part of a batch, and return it with such rows as not exact."""
    for values in batch.columns.values():
        if not isinstance(values, list):  # integers
            continue
        for row, value in enumerate(values):
            if isinstance(value, str) and _NUL in value:
                values[row] = storable(value)
                batch.exact[row] = False
    return batch
