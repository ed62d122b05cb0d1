"""Runs DuckDB in this process: one database in memory, which holds nothing, with a connection of its own for each question."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import duckdb
import pyarrow.fs as pafs

from crosstape.errors import HistoryError
from crosstape.history.parquet.extents import Files

MEMORY: Final = "1GB"
"""What all questions of this process hold together; beyond it they use the disk, in the folder for temporary files."""
THREADS: Final = 4
"""Threads of all questions of this process together, at most."""
STOP_S: Final = 0.02
"""How often DuckDB is told to stop until it has."""

_T = TypeVar("_T")
_lock: Final = threading.Lock()
_databases: Final[dict[int, duckdb.DuckDBPyConnection]] = {}
"""Process id → its database: one that was forked off must not use its parent's."""


@contextlib.contextmanager
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a connection for one question, in one thread. Raises `HistoryError` for what DuckDB cannot do."""
    made = _database().cursor()
    try:
        yield made
    except duckdb.InterruptException:
        raise
    except duckdb.Error as exc:
        raise HistoryError(f"the history cannot be asked: {str(exc).partition(chr(10))[0]:.300}") from exc
    finally:
        made.close()


def _database() -> duckdb.DuckDBPyConnection:
    with _lock:
        found = _databases.get(os.getpid())
        if found is None:
            spill = Path(tempfile.gettempdir()) / f"crosstape-history-{os.getuid()}-{os.getpid()}"
            found = duckdb.connect(
                config={
                    "memory_limit": MEMORY,
                    "threads": min(THREADS, os.cpu_count() or 1),
                    "temp_directory": str(spill),
                    # Nothing is fetched from the network, and no setting of the user's home is read.
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                }
            )
            found.execute("SET parquet_metadata_cache = true")  # files are never changed
            found.execute("SET python_enable_replacements = false")  # a name in SQL is no variable of ours
            _databases.clear()
            _databases[os.getpid()] = found
        return found


async def asked(question: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
    """Runs a question in a thread, with a connection of its own. If the caller is cancelled, DuckDB is stopped. Raises `HistoryError`."""
    running = _Running()
    return await running.result(lambda: running.run(question))


@contextlib.contextmanager
def missing_files(files: Files) -> Iterator[None]:
    """Raises `FileNotFoundError` in place of DuckDB's error where a file is gone, because it was merged and deleted meanwhile."""
    try:
        yield
    except duckdb.Error as exc:
        gone = [one.path for one in files.system.get_file_info(list(files.names)) if one.type is pafs.FileType.NotFound]
        if gone:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), gone[0]) from exc
        raise


class _Running:
    """One question, which another thread can stop."""

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False

    def run(self, question: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        with connection() as made:
            self._check(made)
            return question(made)

    async def result(self, step: Callable[[], _T]) -> _T:
        """Returns what a step of the question returns, which runs in a thread."""
        task = asyncio.ensure_future(asyncio.to_thread(step))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._stopped = True
            while not task.done():
                if self._connection is not None:
                    self._connection.interrupt()  # again and again: between two statements it has no effect
                await asyncio.wait([task], timeout=STOP_S)
            if not task.cancelled():
                task.exception()  # nobody asks for it: the caller is gone
            raise

    def _check(self, made: duckdb.DuckDBPyConnection) -> None:
        self._connection = made
        if self._stopped:
            raise duckdb.InterruptException("stopped")
