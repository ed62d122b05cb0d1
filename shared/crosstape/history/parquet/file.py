"""Turns a table of the history into the bytes of a Parquet file, and back.

Rows are sorted by instrument and time, so that a reader skips what it does not need by the statistics of row groups. The metadata of the
footer, key `crosstape`, has what makes a file a commit: see `Footer`. Pages have checksums, so that damage is found.
"""

from __future__ import annotations

import decimal
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history.arrow import DATA, KIND, scale_name, schema_of
from crosstape.history.columns import ColumnType, columns_of
from crosstape.history.parquet.cuts import MOST, cuts
from crosstape_schemas import KINDS

ROW_GROUP: Final = 100_000
"""Rows in a row group at most, where a file is written at once; see `cuts` for merged files."""
ROW_GROUP_BYTES: Final = 64_000_000
"""About the most bytes of a row group in memory: with long JSON it has fewer rows."""
DICTIONARY_BYTES: Final = 2_000_000
"""A dictionary may be so large that all decimals of a row group fit in it."""
LEVEL: Final = 3
"""Of zstd."""
ORDER: Final = tuple((name, "ascending") for name in ("instrument", "ts", "id_ms", "id_n"))
FOOTER: Final = b"crosstape"
"""The key of the footer in a file's metadata."""
MOST_MARKS_BYTES: Final = 1 << 30
"""Marks are no larger: a million streams have a tenth of it."""
_CODEC: Final = "zstd"
_FEW_INTS: Final = frozenset({"epoch", "depth", "levels", "venues", "interval_s", "revision"})
"""Integers of few different values."""
_DIGITS: Final = decimal.Context(prec=100, traps=[decimal.Inexact])
"""In which sums are added: Python's own context would round them at 28 digits."""

Readable: TypeAlias = bytes | Path | IO[bytes]
"""The bytes of a file, its path, or a file object that can seek."""


class Footer(msgspec.Struct, frozen=True):
    """What a file says about itself."""

    kind: str
    """Kind of its events."""
    rows: int
    """How many rows it has."""
    marks: Mapping[str, Bookmark]
    """Stream → how far it is recorded with this commit; of all streams of the kind."""
    sums: Mapping[str, Decimal]
    """Column → exact sum of its decimals. A check compares it with the rows, and that of a merged file with its sources (`added`)."""


class _Written(msgspec.Struct, frozen=True):
    """A footer as a file has it. Marks are those of all streams, in each commit, and much of their text repeats: they are compressed."""

    kind: str
    rows: int
    sums: Mapping[str, Decimal]
    marks_bytes: int
    """Of the marks as JSON."""
    marks: str
    """The same, compressed, in base 64."""


class RowGroup(msgspec.Struct, frozen=True):
    """One row group of a file, by its statistics."""

    rows: int
    instruments: tuple[str, str]
    """First and last in the order of text."""
    from_ts: int
    to_ts: int
    """`ts` of the oldest and the newest row."""

    def may_have(self, instrument: str | None, from_ts: int | None, to_ts: int | None) -> bool:
        """Whether a row of this instrument, with `ts` in `[from_ts, to_ts)`, may be in it. None: any."""
        first, last = self.instruments
        return (
            (instrument is None or first <= instrument <= last)
            and (from_ts is None or self.to_ts >= from_ts)
            and (to_ts is None or self.from_ts < to_ts)
        )


def bytes_of(table: pa.Table, marks: Mapping[str, Bookmark], *, row_group: int = ROW_GROUP) -> bytes:
    """Returns a Parquet file of these rows, sorted, and marks. `table`: with the schema of `schema_of`, its rows in any order."""
    kind = str((table.schema.metadata or {}).get(KIND, b""), "utf-8")
    if kind not in KINDS or not table.schema.equals(schema_of(kind)):
        raise HistoryError(f"a table cannot be written: its columns are not those of a kind of events ({kind or 'no kind'!r})")
    table = table.take(pc.sort_indices(table, ORDER))
    footer = Footer(kind, len(table), marks, sums_of(table))
    if len(table):
        row_group = max(1, min(row_group, ROW_GROUP_BYTES * len(table) // max(1, table.nbytes)))
    file = BytesIO()
    with pq.ParquetWriter(file, table.schema, **_options(kind)) as writer:
        writer.write_table(table, row_group)
        writer.add_key_value_metadata({FOOTER: _packed(footer)})  # in the schema's metadata it would be in the file twice
    return file.getvalue()


class FileWriter:
    """Makes a file of rows that come in parts, each sorted and behind the one before: only the part is held as a table."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rows = 0
        """How many rows were written."""
        self.sums: dict[str, Decimal] = {}
        """Column → exact sum of its decimals so far."""
        self._file = BytesIO()
        self._schema = schema_of(kind)
        self._writer = pq.ParquetWriter(self._file, self._schema, **_options(kind))

    def write(self, table: pa.Table) -> None:
        """Adds rows, with the schema of `schema_of`; they are sorted here."""
        if not table.num_rows:
            return
        table = table.take(pc.sort_indices(table, ORDER))
        self.rows += len(table)
        self.sums = added([self.sums, sums_of(table)])
        most = max(1, min(MOST, ROW_GROUP_BYTES * len(table) // max(1, table.nbytes)))
        first = 0
        for rows in cuts(pc.value_counts(table.column("instrument")).field("counts").to_pylist(), most):
            self._writer.write_table(table.slice(first, rows), rows)
            first += rows

    def finish(self, marks: Mapping[str, Bookmark]) -> bytes:
        """Returns the file."""
        sums = self.sums or sums_of(self._schema.empty_table())
        self._writer.add_key_value_metadata({FOOTER: _packed(Footer(self.kind, self.rows, marks, sums))})
        self._writer.close()
        return self._file.getvalue()


def sums_of(table: pa.Table) -> dict[str, Decimal]:
    """Returns the exact sum of each column of decimals; of one without numbers 0."""
    sums = {}
    for field in table.schema:
        if pa.types.is_decimal(field.type):
            # as 256 bits: a sum of 128 bits overflows into a negative number without an error
            wide = table.column(field.name).cast(pa.decimal256(76, field.type.scale))
            sums[field.name] = pc.sum(wide, min_count=0).as_py()
    return sums


def added(sums: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Returns the exact total of the sums of several files."""
    total: dict[str, Decimal] = {}
    for one in sums:
        for name, number in one.items():
            total[name] = _DIGITS.add(total.get(name, Decimal(0)), number)
    return total


def read_footer(source: Readable, name: str) -> Footer:
    """Returns what a file says about itself. `name`: of the file, for errors. Raises `HistoryError` for a torn or a foreign file."""
    with _reading(source, name) as file:
        return _footer(file, name)


def row_groups(source: Readable, name: str) -> list[RowGroup]:
    """Returns the row groups of a file, in order. Raises as `read_footer`."""
    with _reading(source, name) as file:
        _footer(file, name)
        metadata = file.metadata
        places = {metadata.schema.column(index).name: index for index in range(metadata.num_columns)}
        found = []
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            instruments, times = (group.column(places[column]).statistics for column in ("instrument", "ts"))
            found.append(RowGroup(group.num_rows, (instruments.min, instruments.max), times.min, times.max))
        return found


def read_table(source: Readable, name: str, *, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Returns the rows of a file, of these row groups or all, with the columns of `schema_of` or some of them.

    Raises as `read_footer`, and for pages whose checksum is wrong.
    """
    with _reading(source, name) as file:
        footer = _footer(file, name)
        table = file.read(columns) if groups is None else file.read_row_groups(list(groups), columns)
        if groups is None and len(table) != footer.rows:
            raise HistoryError(f"{name}: it has {len(table)} rows, and its footer says {footer.rows}")
        schema = schema_of(footer.kind)
        if columns is not None:
            schema = pa.schema([schema.field(column) for column in columns], schema.metadata)
        if not table.schema.equals(schema):
            raise HistoryError(f"{name}: its columns are not those of the kind {footer.kind}")
        return table.replace_schema_metadata(schema.metadata)


def _footer(file: pq.ParquetFile, name: str) -> Footer:
    found = (file.metadata.metadata or {}).get(FOOTER)
    if found is None:
        raise HistoryError(f"{name}: no file of crosstape's history: its metadata has no {FOOTER.decode()!r}")
    try:
        footer = _unpacked(found)
    except (msgspec.MsgspecError, pa.ArrowException, ValueError, OSError) as exc:
        raise HistoryError(f"{name}: no file of crosstape's history: {exc}") from exc
    if footer.kind not in KINDS:
        raise HistoryError(f"{name}: events of an unknown kind, {footer.kind!r:.50}")
    if footer.rows != file.metadata.num_rows:
        raise HistoryError(f"{name}: it has {file.metadata.num_rows} rows, and its footer says {footer.rows}")
    return footer


def _packed(footer: Footer) -> bytes:
    """Return a footer as text: other programs print what a file's metadata have."""
    marks = msgspec.json.encode(footer.marks)
    packed = pa.compress(marks, codec=_CODEC, asbytes=True)
    return msgspec.json.encode(_Written(footer.kind, footer.rows, footer.sums, len(marks), b64encode(packed).decode()))


def _unpacked(data: bytes) -> Footer:
    """Return the footer that `_packed` has made. Raises `msgspec.MsgspecError`, `pa.ArrowException`, `ValueError` or `OSError`."""
    written = msgspec.json.decode(data, type=_Written)
    if not 0 <= written.marks_bytes <= MOST_MARKS_BYTES:
        raise ValueError(f"marks of {written.marks_bytes} bytes")
    marks = pa.decompress(b64decode(written.marks), decompressed_size=written.marks_bytes, codec=_CODEC, asbytes=True)
    return Footer(written.kind, written.rows, msgspec.json.decode(marks, type=dict[str, Bookmark]), written.sums)


@contextmanager
def _reading(source: Readable, name: str) -> Iterator[pq.ParquetFile]:
    """Open a file for the length of the block; raise what is wrong with it as `HistoryError`."""
    try:
        with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise HistoryError(f"{name}: it cannot be read as Parquet: {str(exc).strip():.300}") from exc


def _options(kind: str) -> dict[str, Any]:
    """Return how files of a kind are written."""
    dictionaries, encodings = _encodings(kind)
    return {
        "compression": "zstd",
        "compression_level": LEVEL,
        "use_dictionary": dictionaries,
        "column_encoding": encodings,
        "dictionary_pagesize_limit": DICTIONARY_BYTES,
        "write_page_checksum": True,
        "sorting_columns": pq.SortingColumn.from_ordering(schema_of(kind), list(ORDER)),
    }


def _encodings(kind: str) -> tuple[list[str], dict[str, str]]:
    """Return the columns that have a dictionary, and the encodings of the others."""
    dictionaries: list[str] = []
    encodings = {DATA: "DELTA_BYTE_ARRAY"}
    for column in columns_of(kind):
        match column.type:
            case ColumnType.WORD:
                dictionaries.append(column.name)
            case ColumnType.INT if column.name in _FEW_INTS:
                dictionaries.append(column.name)
            case ColumnType.INT:
                encodings[column.name] = "DELTA_BINARY_PACKED"
            case ColumnType.TEXT:
                encodings[column.name] = "DELTA_BYTE_ARRAY"
            case ColumnType.DECIMAL:
                # no smaller than without, but an engine computes with each number of the dictionary once, which is ten times as fast
                dictionaries += column.name, scale_name(column.name)
            case ColumnType.BOOL:
                encodings[column.name] = "PLAIN"
    return dictionaries, encodings
