"""Sorts more rows by slices of time than fit in memory: each row group is read once, and its rows go to a file for each slice."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.errors import HistoryError
from crosstape.history.text_events import MOST


class Spool:
    """Rows of some slices of time, in files of the folder for temporary files. They go at the end of the block."""

    def __init__(self, schema: pa.Schema, edges: Sequence[int]) -> None:
        """`edges`: the moments between which the slices are."""
        self._schema = schema
        self._edges = list(edges)
        self._folder: Path | None = None
        self._writers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="crosstape-history-"))
        except OSError as exc:
            raise _error(exc) from exc
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        for writer, sink in self._writers.values():
            try:
                writer.close()
                sink.close()
            except OSError:
                continue  # the disk is full: nobody reads it any more
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, table: pa.Table) -> None:
        """Adds rows in any order; all are of one of the slices. Raises `HistoryError` where the disk is full."""
        table = table.sort_by("ts")
        ts = table.column("ts")
        # the last edge may be behind all moments of 64 bits
        ends = [pc.sum(pc.less(ts, edge), min_count=0).as_py() if edge <= MOST else len(ts) for edge in self._edges]
        try:
            for index, (start, end) in enumerate(pairwise(ends)):
                if end > start:
                    self._writer(index).write_table(table.slice(start, end - start))
        except OSError as exc:
            raise _error(exc) from exc

    def rows(self, index: int) -> pa.Table:
        """Returns the rows of a slice. No rows are added any more."""
        if index not in self._writers:
            return self._schema.empty_table()
        writer, sink = self._writers.pop(index)
        try:
            writer.close()
            sink.close()
            with pa.OSFile(self._path(index)) as file:
                table = pa.ipc.open_stream(file).read_all()
            Path(self._path(index)).unlink()
        except OSError as exc:
            raise _error(exc) from exc
        return table

    def _writer(self, index: int) -> Any:
        if index not in self._writers:
            sink = pa.OSFile(self._path(index), "wb")
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writers[index] = pa.ipc.new_stream(sink, self._schema, options=options), sink
        return self._writers[index][0]

    def _path(self, index: int) -> str:
        assert self._folder is not None
        return str(self._folder / f"{index}.arrow")


def _error(exc: OSError) -> HistoryError:
    return HistoryError(f"{tempfile.gettempdir()}: rows cannot be sorted there: {exc.strerror or exc}; set TMPDIR to another folder")
