"""The history in Parquet files: a store of the seam `crosstape.history.store`, in a folder or in an S3 bucket.

All that blocks runs in a few threads of the store's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Literal, TypeVar

import msgspec
import pyarrow as pa

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import HistoryError
from crosstape.history.arrow import events_of, table_of
from crosstape.history.batch import Batch
from crosstape.history.parquet import engine, planning, reading
from crosstape.history.parquet.candles import candles
from crosstape.history.parquet.catalogue import Catalogue
from crosstape.history.parquet.checking import Check
from crosstape.history.parquet.committing import Commits
from crosstape.history.parquet.compaction import Compaction
from crosstape.history.parquet.expiry import Expiry
from crosstape.history.parquet.extents import Files
from crosstape.history.parquet.folder import Folder
from crosstape.history.parquet.newest import newest
from crosstape.history.query import Query
from crosstape.history.store import CheckResult, Position
from crosstape_schemas import TIMEFRAMES

THREADS: Final = 4
"""How many calls run at once; others wait."""

T = TypeVar("T")


class ParquetStore:
    """A `Store` of the files of a folder. Any number of processes may have one on the same folder."""

    def __init__(self, folder: Folder, *, keep: Literal["columns", "events"] = "columns", clock: Callable[[], int] = time.time_ns) -> None:
        """`keep`: as the setting `recorder.keep`. `clock`: ns since the epoch, by which merged files get old."""
        self._keep_data = keep == "events"
        self._catalogue = Catalogue(folder)
        self._commits = Commits(self._catalogue)
        self._clock = clock
        self._compaction = Compaction(self._catalogue, clock)
        self._expiry = Expiry(self._catalogue)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="crosstape-history")

    @property
    def bytes_written(self) -> int:
        """See `Store`."""
        return self._commits.bytes_written + self._compaction.bytes_written

    async def tapes(self) -> Sequence[Identity]:
        """See `Store`."""
        return await self._run(self._commits.tapes)

    async def bind(self, tape: Identity, *, after: int) -> bool:
        """See `Store`."""
        return await self._run(self._commits.bind, tape, after)

    async def position(self, kind: str) -> Position:
        """See `Store`."""
        return await self._run(self._commits.position, kind)

    async def append(self, batch: Batch, marks: Mapping[str, Bookmark], *, after: int) -> int | None:
        """See `Store`. Where the answer is lost, it is found out whether the commit is there; if it cannot be, this raises."""

        def write() -> int | None:
            return self._commits.append(batch.kind, table_of(batch, self._keep_data), marks, after)

        return await self._run(write)

    async def read(self, query: Query) -> AsyncIterator[pa.Table]:
        """See `Store`. Files that are merged meanwhile are no trouble; rows that come meanwhile may be among the parts or not."""
        parts = reading.parts(self._catalogue, query)
        while (table := await self._run(next, parts, None)) is not None:
            yield table

    async def candles(self, query: Query, timeframe: str) -> pa.Table:
        """See `Store`."""
        if timeframe not in TIMEFRAMES:
            raise HistoryError(f"there is no timeframe {timeframe!r:.50}; there are {', '.join(TIMEFRAMES)}")
        query = msgspec.structs.replace(query, kind="trade", timeframe=None)
        return await engine.asked(lambda made: self._asked(query, lambda files: candles(made, files, query, timeframe)))

    async def last(self, query: Query) -> bytes | None:
        """See `Store`."""
        table = await engine.asked(lambda made: self._asked(query, lambda files: newest(made, files, query)))
        return None if table is None else events_of(table)[0]

    async def visible_files(self, query: Query) -> Files:
        """Returns the files that a question in SQL reads."""
        return await self._run(planning.visible_files, self._catalogue, query)

    async def compact(self) -> int:
        """See `Store`. Any number of processes may do it at once."""
        return await self._sum(self._compaction.steps())

    async def expire(self, *, before_ts: int | None = None, max_bytes: int | None = None) -> int:
        """See `Store`. Any number of processes may do it at once. The newest day stays in any case, unless it is before `before_ts`."""
        return await self._sum(self._expiry.steps(before_ts, max_bytes))

    async def check(self) -> CheckResult:
        """See `Store`. Commits that come meanwhile may be left out."""
        check = Check(self._catalogue, self._clock)
        await self._sum(check.steps())
        return check.result()

    async def aclose(self) -> None:
        """See `Store`. Waits for what runs; merging is given up."""
        self._compaction.stop()
        await asyncio.get_running_loop().run_in_executor(None, partial(self._threads.shutdown, wait=True))

    async def _sum(self, steps: Iterator[int]) -> int:
        """Run the steps one by one, so that other calls get their turn and this one can be cancelled between two."""
        total = 0
        while (one := await self._run(next, steps, None)) is not None:
            total += one
        return total

    def _asked(self, query: Query, question: Callable[[Files], T]) -> T:
        """Return the answer of the files that count; they are looked up again where one was merged and deleted meanwhile."""

        def ask() -> T:
            files = planning.visible_files(self._catalogue, query)
            with engine.missing_files(files):
                return question(files)

        return self._catalogue.retried(query.kind, ask)

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)
