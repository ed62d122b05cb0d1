"""Commits rows to the store, beside reading: each kind by itself, one commit at a time.

A commit has rows and the marks up to which they are complete, or it does not exist. So what was read is in the history exactly once,
whenever this process or the store ends. The number of a commit decides between two recorders: the later one drops its rows, and reads
again from the marks of the other. A store that cannot be used is tried again without end; reading stops once enough rows wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final

import structlog

from crosstape.history.batch import Batch, Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.query import Query
from crosstape.history.store import Position, Store
from crosstape_recorder import metrics
from crosstape_recorder.availability import StoreAvailability
from crosstape_recorder.binding import Binding
from crosstape_recorder.losses import Report
from crosstape_recorder.waiting_rows import Sealed, WaitingRows
from crosstape_recorder.wanted import GAP

LOOK_BACK_NS: Final = 86_400_000_000_000
"""How far before a gap's time the history is searched for the same gap: where the times of the two differ."""
AT_ONCE: Final = 4
"""How many commits are made at the same time; those of more kinds wait for their turn."""

log = structlog.get_logger(__name__)


class Found(Enum):
    """What has become of a commit that was not clearly made."""

    MADE = auto()  # it is in the store
    NOT_MADE = auto()  # and nobody else has committed events of its streams: it is still to be made
    TAKEN = auto()  # another recorder has committed the same events


class Committer:
    """The only one that writes rows to the store, in this process: each kind in a task of its own.

    A kind whose rows the store does not take holds back no other: it is tried again and again, and its streams alone are not read.
    """

    def __init__(self, store: Store, rows: Mapping[str, WaitingRows], binding: Binding, availability: StoreAvailability) -> None:
        self.on_room: Callable[[], None] = lambda: None
        """Called whenever rows that were waiting are being committed."""
        self.on_taken: Callable[[WaitingRows], None] = lambda rows: None
        """Called when another recorder has committed rows of a kind: they are to be read again from its marks."""
        self._store = store
        self._rows = rows
        self._binding = binding
        self._availability = availability
        self._reports: list[Report] = []
        self._wake = {kind: asyncio.Event() for kind in rows}
        self._gaps = asyncio.Lock()
        """Held while gaps are committed: those that the recorder reports, and those of the tape."""
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._stopping = False
        self._logged_other = False
        self._bytes = store.bytes_written
        self._sealed_s: dict[str, float] = {}
        """Kind → since when the rows that are being committed waited (monotonic); 0: there are only marks."""

    def report(self, report: Report) -> None:
        """Commit this gap before any event behind it."""
        self._reports.append(report)
        for kind in report.kinds:
            self._rows[kind].expect()

    def wake(self) -> None:
        """Look now whether there is something to commit."""
        for event in self._wake.values():
            event.set()

    def stop(self) -> None:
        """Commit all that was read, and end `run`."""
        self._stopping = True
        self.wake()

    def is_refused(self, kind: str) -> bool:
        """Whether the store does not take the rows of a kind now."""
        return self._availability.is_refused(kind)

    def uncommitted_s(self) -> float:
        """Returns for how long the oldest row waits; 0: there is none."""
        since = [at for at in (*self._sealed_s.values(), *(rows.rows_s for rows in self._rows.values())) if at]
        return time.monotonic() - min(since) if since else 0.0

    async def run(self) -> None:
        """Commit what is due until `stop` is called. Raises `WrongTape` if the bus has another tape now."""
        async with asyncio.TaskGroup() as tasks:
            for rows in self._rows.values():
                tasks.create_task(self._run(rows), name=f"recorder.commit.{rows.kind}")

    async def _run(self, rows: WaitingRows) -> None:
        wake = self._wake[rows.kind]
        while True:
            wake.clear()
            now_s = time.monotonic()
            if self._stopping and not rows.changed:
                return
            if self._stopping or rows.due_s <= now_s:
                self._sealed_s[rows.kind] = rows.rows_s
                await self._commit(rows)
                del self._sealed_s[rows.kind]
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if rows.due_s == float("inf") else rows.due_s - now_s):
                    await wake.wait()

    async def _commit(self, rows: WaitingRows) -> None:
        """Commit what waits of one kind, and before it the gaps that are reported of it."""
        since_s = time.monotonic()
        reports = [report for report in self._reports if rows.kind in report.kinds]
        sealed, generation = rows.seal(), rows.generation
        self.on_room()
        await self._binding.check()  # else they might be of another tape
        if reports:
            async with self._gaps:
                await self._availability.until_done(lambda: self._write_reports(reports), kind=rows.kind)
        async with self._slots:
            batch = await asyncio.to_thread(sealed.builder.build)
        for refused in sealed.builder.refused:
            metrics.REFUSED.labels(rows.kind).inc()
            log.warning("recorder.refused", kind=rows.kind, id=refused.id, reason=refused.reason[:200])
        async with self._gaps if rows.kind == GAP else contextlib.nullcontext():
            if rows.generation != generation:
                return  # another recorder was earlier
            made = await self._append(rows, batch, sealed)
        if made:
            metrics.COMMIT_SECONDS.observe(time.monotonic() - since_s)
            metrics.COMMITS.labels(rows.kind).inc()
            metrics.ROWS.labels(rows.kind).inc(len(batch))
            metrics.LAST_COMMIT.set(time.time())
        self._count_bytes()

    async def _append(self, rows: WaitingRows, batch: Batch, sealed: Sealed) -> bool:
        """Returns whether the commit was made; if not, another recorder was earlier."""
        unsure = False

        async def attempt() -> bool:
            nonlocal unsure
            number: int | None = None
            if not unsure:
                unsure = True  # an error leaves open whether it was made
                number = await self._store.append(batch, sealed.marks, after=rows.number)
            while number is None:
                position = await self._store.position(rows.kind)
                match found(rows, sealed, position):
                    case Found.MADE:
                        number = position.number
                    case Found.TAKEN:
                        self._note_taken(rows, position)
                        return False
                    case Found.NOT_MADE:
                        rows.number = position.number
                        number = await self._store.append(batch, sealed.marks, after=rows.number)
            rows.committed_as(number, sealed)
            return True

        async def in_turn() -> bool:
            async with self._slots:
                return await attempt()

        return await self._availability.until_done(in_turn, kind=rows.kind)

    def _note_taken(self, rows: WaitingRows, position: Position) -> None:
        metrics.RACES.inc()
        if not self._logged_other:
            self._logged_other = True
            log.warning(
                "recorder.another", kind=rows.kind, number=position.number,
                hint="another recorder writes the same streams to this store: each event is kept once, and one of the two is enough",
            )  # fmt: skip
        self._reports = [report for report in self._reports if rows.kind not in report.kinds]
        rows.restart(position)
        self.on_taken(rows)

    async def _write_reports(self, reports: list[Report]) -> None:
        """Write those gaps that the history does not have. May be repeated: what an attempt has written is found by the next one."""
        gaps = self._rows[GAP]
        while True:
            written = await self._written(reports)
            builder = BatchBuilder(GAP)
            for report in reports:
                if report.key not in written:
                    builder.add(*report.row, Source.RECORDER)
            if len(builder):
                batch = builder.build()
                number = await self._store.append(batch, {}, after=gaps.number)
                if number is None:  # whoever was earlier may have written the same gaps
                    position = await self._store.position(GAP)
                    if gaps.is_taken(position):
                        self._note_taken(gaps, position)
                    gaps.number = position.number
                    continue
                gaps.number = number
                metrics.COMMITS.labels(GAP).inc()
                metrics.ROWS.labels(GAP).inc(len(batch))
            done = set(map(id, reports))
            self._reports = [report for report in self._reports if id(report) not in done]
            return

    async def _written(self, reports: list[Report]) -> set[tuple[object, ...]]:
        """Return the keys of the gaps of this source in the history."""
        found: set[tuple[object, ...]] = set()
        for instrument in {report.gap.instrument for report in reports}:
            from_ts = min(report.gap.from_ts for report in reports if report.gap.instrument == instrument) - LOOK_BACK_NS
            async for table in self._store.read(Query(kind=GAP, instrument=instrument, from_ts=from_ts)):
                for row in table.to_pylist():
                    if row["source"] == Source.RECORDER:
                        found.add(tuple(row[name] for name in ("kind", "instrument", "venue", "epoch", "seq", "missed", "id_ms", "id_n")))
        return found

    def _count_bytes(self) -> None:
        written = self._store.bytes_written
        metrics.BYTES.inc(max(0, written - self._bytes))
        self._bytes = written


def found(rows: WaitingRows, sealed: Sealed, position: Position) -> Found:
    """Says what has become of a commit, by the marks of its streams in the store."""
    marks = {stream: position.marks.get(stream) for stream in sealed.marks}
    if sealed.marks and marks == dict(sealed.marks):
        return Found.MADE
    before = {stream: rows.committed.get(stream) for stream in sealed.marks}
    return Found.NOT_MADE if marks == before else Found.TAKEN
