"""A store in memory, that can fail as stores do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
import pyarrow as pa

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import HistoryError
from crosstape.history.arrow import table_of
from crosstape.history.batch import Batch
from crosstape.history.query import Query
from crosstape.history.store import CheckResult, Position
from crosstape_schemas import AnyEvent, decode


class Commit(msgspec.Struct, frozen=True):
    """One commit."""

    batch: Batch
    marks: Mapping[str, Bookmark]


class Disk:
    """What several stores share, as processes share a folder."""

    def __init__(self) -> None:
        self.commits: dict[str, list[Commit]] = {}
        self.tapes: list[Identity] = []

    def events(self, kind: str) -> list[AnyEvent]:
        """Returns all events of a kind, in the order of their commits."""
        return [decode(data) for commit in self.commits.get(kind, []) for data in commit.batch.data]

    def position(self, kind: str) -> Position:
        """Returns how far the history of a kind goes."""
        commits = self.commits.get(kind, [])
        marks: dict[str, Bookmark] = {}
        for commit in commits:
            marks.update(commit.marks)
        return Position(len(commits), marks)


class MemoryStore:
    """A `Store`. What it cannot do is not asked of it."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.is_away = False
        """Whether it raises, and does nothing."""
        self.refuses: set[str] = set()
        """Kinds of which it takes no rows, as a database that cannot hold one of them."""
        self.cannot_compact = False
        """Whether merging fails, as with a torn file."""
        self.loses_answers = 0
        """How many more times it does what it is asked, and raises."""
        self.open = asyncio.Event()
        """Cleared: `append` takes until it is set."""
        self.open.set()
        self.calls = 0
        """How often something was to be appended."""
        self.asked = 0
        """How often anything was asked of it."""
        self.largest = 0
        """Rows of the largest commit."""
        self.bytes_written = 0
        self.compacted = 0
        self._compacting, self._release = asyncio.Event(), asyncio.Event()
        self._release.set()
        self.expired: list[tuple[int | None, int | None]] = []
        self.before_append: list[list[tuple[str, Commit]]] = []
        """Before each of the next appends of their kind: the commits that another process makes."""

    def _check(self) -> None:
        self.asked += 1
        if self.is_away:
            raise HistoryError("memory: it is away")

    async def tapes(self) -> Sequence[Identity]:
        """See `Store`."""
        self._check()
        return list(self.disk.tapes)

    async def bind(self, tape: Identity, *, after: int) -> bool:
        """See `Store`."""
        self._check()
        if len(self.disk.tapes) != after:
            return False
        self.disk.tapes.append(tape)
        return True

    async def position(self, kind: str) -> Position:
        """See `Store`."""
        self._check()
        return self.disk.position(kind)

    async def append(self, batch: Batch, marks: Mapping[str, Bookmark], *, after: int) -> int | None:
        """See `Store`."""
        self.calls += 1
        self._check()
        await self.open.wait()
        self._check()
        if batch.kind in self.refuses:
            raise HistoryError(f"memory: a row of {batch.kind} cannot be stored")
        commits = self.disk.commits.setdefault(batch.kind, [])
        if self.before_append and self.before_append[0][0][0] == batch.kind:
            commits += [commit for _, commit in self.before_append.pop(0)]
        if len(commits) != after:
            return None
        commits.append(Commit(batch, dict(marks)))
        self.largest = max(self.largest, len(batch))
        self.bytes_written += sum(map(len, batch.data))
        if self.loses_answers:
            self.loses_answers -= 1
            raise HistoryError("memory: the answer was lost")
        return after + 1

    async def read(self, query: Query) -> AsyncIterator[pa.Table]:
        """See `Store`. All rows of the kind."""
        self._check()
        for commit in list(self.disk.commits.get(query.kind, [])):
            yield table_of(commit.batch)

    async def candles(self, query: Query, timeframe: str) -> pa.Table:
        """Not asked for."""
        raise NotImplementedError

    async def last(self, query: Query) -> bytes | None:
        """Not asked for."""
        raise NotImplementedError

    def hold_compaction(self) -> tuple[asyncio.Event, asyncio.Event]:
        """Let `compact` take until the second of these events is set; the first says that it was called."""
        self._compacting, self._release = asyncio.Event(), asyncio.Event()
        return self._compacting, self._release

    async def compact(self) -> int:
        """Counted."""
        self._check()
        if self.cannot_compact:
            raise HistoryError("memory: a file is torn")
        self._compacting.set()
        await self._release.wait()
        self.compacted += 1
        return 2

    async def expire(self, *, before_ts: int | None = None, max_bytes: int | None = None) -> int:
        """Noted."""
        self._check()
        self.expired.append((before_ts, max_bytes))
        return 3

    async def check(self) -> CheckResult:
        """Not asked for."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """See `Store`."""
