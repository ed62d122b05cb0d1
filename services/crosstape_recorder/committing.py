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

log = structlog.get_logger(__name__)


class Found(Enum):
    """What has become of a commit that was not clearly made."""

    MADE = auto()  # it is in the store
    NOT_MADE = auto()  # and nobody else has committed events of its streams: it is still to be made
    TAKEN = auto()  # another recorder has committed the same events


class Committer:
    """The only one that writes rows to the store, in this process."""

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
        self._wake = asyncio.Event()
        self._stopping = False
        self._logged_other = False
        self._bytes = store.bytes_written
        self._sealed_s = 0.0
        """Since when the rows that are being committed waited (monotonic); 0: none are."""

    def report(self, report: Report) -> None:
        """Commit this gap before any event behind it."""
        self._reports.append(report)
        for kind in report.kinds:
            self._rows[kind].expect()

    def wake(self) -> None:
        """Look now whether there is something to commit."""
        self._wake.set()

    def stop(self) -> None:
        """Commit all that was read, and end `run`."""
        self._stopping = True
        self._wake.set()

    def uncommitted_s(self) -> float:
        """Returns for how long the oldest row waits; 0: there is none."""
        since = [at for at in (self._sealed_s, *(rows.rows_s for rows in self._rows.values())) if at]
        return time.monotonic() - min(since) if since else 0.0

    async def run(self) -> None:
        """Commit what is due until `stop` is called. Raises `WrongTape` if the bus has another tape now."""
        while True:
            self._wake.clear()
            now_s = time.monotonic()
            due = min(self._rows.values(), key=lambda rows: rows.due_s)
            if self._stopping:
                due = max(self._rows.values(), key=lambda rows: (len(rows.builder), len(rows.changed)))
                if not due.changed:
                    return
            if self._stopping or due.due_s <= now_s:
                await self._commit(due)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due.due_s == float("inf") else due.due_s - now_s):
                    await self._wake.wait()

    async def _commit(self, rows: WaitingRows) -> None:
        """Commit what waits of one kind, and before it the gaps that are reported of it."""
        since_s = time.monotonic()
        self._sealed_s = rows.rows_s
        reports = [report for report in self._reports if rows.kind in report.kinds]
        sealed, generation = rows.seal(), rows.generation
        self.on_room()
        await self._binding.check()  # else they might be of another tape
        if reports:
            await self._availability.until_done(lambda: self._write_reports(reports))
        if rows.generation != generation:
            return  # another recorder was earlier
        batch = await asyncio.to_thread(sealed.builder.build)
        for refused in sealed.builder.refused:
            metrics.REFUSED.labels(rows.kind).inc()
            log.warning("recorder.refused", kind=rows.kind, id=refused.id, reason=refused.reason[:200])
        if await self._append(rows, batch, sealed):
            metrics.COMMIT_SECONDS.observe(time.monotonic() - since_s)
            metrics.COMMITS.labels(rows.kind).inc()
            metrics.ROWS.labels(rows.kind).inc(len(batch))
            metrics.LAST_COMMIT.set(time.time())
        self._sealed_s = 0.0
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

        return await self._availability.until_done(attempt)

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
