"""Runs DuckDB in this process: one database in memory, which holds nothing, with a connection of its own for each question."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb

from crosstape.errors import HistoryError

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


async def parts_of(question: Callable[[duckdb.DuckDBPyConnection], Iterator[_T]]) -> AsyncGenerator[_T]:
    """Yields what a question yields, one by one: the next is asked for when the last one was used. Raises as `asked`."""
    running = _Running()
    parts = running.each(question)
    try:
        while (part := await running.result(lambda: next(parts, None))) is not None:
            yield part
    finally:
        parts.close()


class _Running:
    """One question, which another thread can stop."""

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False

    def run(self, question: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        with connection() as made:
            self._check(made)
            return question(made)

    def each(self, question: Callable[[duckdb.DuckDBPyConnection], Iterator[_T]]) -> Any:
        """Yields the parts; a generator, whose steps may run in several threads, one after another."""
        with connection() as made:
            self._check(made)
            yield from question(made)

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
