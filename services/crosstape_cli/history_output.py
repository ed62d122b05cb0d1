"""Writes rows of the history for other programs, a table after the other: as JSON lines, CSV, or a Parquet file."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from crosstape.errors import StorageError
from crosstape.history.arrow import DECIMAL, events_of, fits, texts_of
from crosstape_cli.history import STDOUT, Format

_encode: Final = msgspec.json.Encoder().encode
_CANDLE_DECIMALS: Final = ("open", "high", "low", "close", "volume")


class Output(Protocol):
    """What takes tables."""

    def write(self, table: pa.Table) -> None:
        """Writes the rows of one table; all have the same columns."""


class Lines:
    """One JSON object per line: of events their JSON, byte for byte as it was on the tape."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, table: pa.Table) -> None:
        """See `Output`."""
        lines = events_of(table) if "d" in table.column_names else [_encode(row) for row in table.to_pylist()]
        self._file.write(b"\n".join([*lines, b""]))


class Csv:
    """CSV with a line of names; decimals in plain notation as the venue wrote them; null is empty, true and false are words."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._begun = False

    def write(self, table: pa.Table) -> None:
        """See `Output`."""
        rows = texts_of(table) if "d" in table.column_names else table
        options = pacsv.WriteOptions(include_header=not self._begun, quoting_style="needed")
        self._begun = True
        pacsv.write_csv(rows, self._file, options)


class ParquetFile:
    """A Parquet file with the columns of the history. Σ price × size stays text: it does not fit into a decimal of 38 digits."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._writer: Any = None

    def write(self, table: pa.Table) -> None:
        """See `Output`."""
        if "d" not in table.column_names:
            table = _with_decimals(table)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        """Writes the footer."""
        if self._writer is not None:
            self._writer.close()


def _with_decimals(table: pa.Table) -> pa.Table:
    """Return computed candles with decimals in place of text, where all of a column fit."""
    for name in _CANDLE_DECIMALS:
        column = table.column(name)
        if all(fits(text) for text in pc.unique(column).to_pylist()):
            table = table.set_column(table.schema.get_field_index(name), name, column.cast(DECIMAL))
    return table


@contextlib.contextmanager
def opened(format_: Format, output: str) -> Iterator[Output]:
    """Opens the output for the length of the block: standard output, or a file that gets its name when it is complete.

    Raises `StorageError` for a file that cannot be written, and `BrokenPipeError` where the reader of standard output is gone.
    """
    if output == STDOUT:
        try:
            yield _made(format_, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except OSError as exc:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what it holds cannot be written when the process ends, either
            if isinstance(exc, BrokenPipeError):
                raise
            raise StorageError(f"standard output cannot be written: {exc.strerror or exc}") from exc
        return
    try:
        with _file(Path(output)) as file:
            made = _made(format_, file)
            yield made
            if isinstance(made, ParquetFile):
                made.close()
    except OSError as exc:
        raise StorageError(f"--output {output}: it cannot be written: {exc.strerror or exc}") from exc


@contextlib.contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, which gets its name when it is complete. What is there and is no file, as a pipe or a device, is written."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()  # a link stays one
    part = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with part.open("xb") as file:
            yield file
        os.replace(part, path)  # noqa: PTH105
    finally:
        part.unlink(missing_ok=True)


def _made(format_: Format, file: IO[bytes]) -> Output:
    match format_:
        case "jsonl":
            return Lines(file)
        case "csv":
            return Csv(file)
        case "parquet":
            return ParquetFile(file)
