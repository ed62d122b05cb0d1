"""Reads the streams that are recorded, from their marks in the store on, and finds new ones in the tape's registry.

Bounded: while a kind has as many rows waiting as one commit takes, nothing is read; if the store takes other kinds and not this one, the
streams of this kind are not. The entries wait on the tape, where only trimming loses them; then they become gaps of the history.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Final, cast

import structlog

from crosstape.bus import Client, Reader, Start
from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import execute
from crosstape.bus.metrics.prometheus import PrometheusReaderMetrics
from crosstape.bus.read.entry import Run
from crosstape.history.columns import TextEntry
from crosstape.history.text_events import decode, decode_all
from crosstape_recorder import losses, metrics
from crosstape_recorder.binding import Binding
from crosstape_recorder.committing import Committer
from crosstape_recorder.feed import Feed
from crosstape_recorder.losses import Losses
from crosstape_recorder.waiting_rows import WaitingRows
from crosstape_recorder.wanted import Wanted

DISCOVER_S: Final = 2.0
"""How often the registry is read."""
READ_S: Final = 0.5
"""Longest wait for entries: so soon reading starts again from other marks."""
SYNC_S: Final = 1.0
"""How often the marks of streams move that had nothing of use."""
_ORIGIN: Final = "0-0"

log = structlog.get_logger(__name__)


class Reading:
    """Reads, and hands what it has read to the rows of each kind."""

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        rows: Mapping[str, WaitingRows],
        committer: Committer,
        availability: Availability,
    ) -> None:
        self._client = client
        self._keys = wanted.keys
        self._wanted = wanted
        self._rows = rows
        self._committer = committer
        self._availability = availability
        self._metrics = PrometheusReaderMetrics()
        self._losses = Losses()
        self._feeds: dict[str, Feed] = {}
        self._reader: Reader | None = None
        self._again = False
        self._refused: set[str] = set()
        """Kinds whose rows wait because the store does not take them."""
        self._left_out: set[str] = set()
        """Streams that are not read for that reason."""
        self._room = asyncio.Event()
        self._since_ts = max((_newest_ts(one) for one in rows.values()), default=0) or time.time_ns()
        """When the history ends that the store had at the start; for an empty store, now. A numbering that began before it is not part of
        the history of a stream that was not recorded then."""
        self.newest_ms = 0
        """Time of the newest entry that was read, by the server's clock."""
        committer.on_room = self._room.set
        committer.on_taken = self._read_again

    @property
    def streams(self) -> int:
        """How many streams are read."""
        return len(self._feeds)

    @property
    def has_more(self) -> bool:
        """Whether entries wait on the tape, as far as is known."""
        return bool(self._left_out) or self._is_full() or (self._reader is not None and self._reader.has_more)

    async def run(self) -> None:
        """Read until cancelled. Raises `BusError` where waiting for the server cannot help, as `Reader.read` does."""
        while True:
            self._again = False
            self._refused, self._left_out = set(), set()
            self._losses.forget()
            starts = {stream: feed.rewind() or Start.BEGINNING for stream, feed in self._feeds.items()}
            async with Reader(
                self._client,
                self._keys,
                streams=starts,
                on_gap=self._losses.note,
                metrics=self._metrics,
                availability=self._availability,
                decode=decode,
                decode_all=decode_all,
            ) as self._reader:
                await self._read(self._reader)

    async def _read(self, reader: Reader) -> None:
        synced_s = time.monotonic()
        while True:
            self._leave_out(reader)
            while self._is_full() and not self._again:
                self._room.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(READ_S):
                        await self._room.wait()  # until a commit has taken rows, or it shows that the store does not take them
                self._leave_out(reader)
            runs = await reader.read_runs(timeout_s=READ_S)
            if self._again:
                return  # what was read now counts as unread
            if runs:
                self._accept(runs)
            now_s = time.monotonic()
            if not runs or now_s >= synced_s + SYNC_S:
                synced_s = now_s
                self._sync(reader)

    def _leave_out(self, reader: Reader) -> None:
        """Do not read the streams of kinds that are full and that the store does not take, while it takes others. Read them again later."""
        refused = {rows.kind for rows in self._rows.values() if rows.is_full and self._committer.is_refused(rows.kind)}
        left_out = {name for name, feed in self._feeds.items() if refused and refused & {rows.kind for rows in feed.rows}}
        self._refused = refused
        if new := left_out - self._left_out:
            reader.remove(new)
        if again := self._left_out - left_out:
            reader.add({name: self._feeds[name].rewind() or Start.BEGINNING for name in again})
        self._left_out = left_out

    def _is_full(self) -> bool:
        return any(rows.is_full and rows.kind not in self._refused for rows in self._rows.values())

    def _accept(self, runs: Sequence[Run]) -> None:
        for run in runs:
            feed = self._feeds[run.stream]
            if run.stream in self._losses:
                self._report(feed, cast("list[TextEntry]", run.entries()))
            feed.accept(run)
        self.newest_ms = int(runs[-1].ids[-1].partition(b"-")[0])
        self._committer.wake()

    def _report(self, feed: Feed, run: Sequence[TextEntry]) -> None:
        """Report what is missing before some of these entries, but not what was on the tape before its history began."""
        for missed, following in self._losses.behind(feed.stream, run):
            before = run[: run.index(following)]
            is_before = feed.is_new and missed.first_missing == 1 and missed.epoch <= self._since_ts
            if is_before and missed.venue not in feed.venues | {entry.event.venue for entry in before}:
                continue
            for report in losses.report(feed, self._wanted.feed(feed.stream), missed, following, run):
                self._note(report)

    def _note(self, report: losses.Report) -> None:
        gap = report.gap
        metrics.MISSED.inc(1 if gap.missed is None else gap.missed)
        log.warning("recorder.missed", kind=gap.kind, instrument=gap.instrument, venue=gap.venue, first=gap.seq, count=gap.missed)
        self._committer.report(report)

    def _sync(self, reader: Reader) -> None:
        """Move the marks of streams of which nothing was returned, though they were read."""
        for stream, cursor in reader.cursors.items():
            feed = self._feeds[stream]
            if cursor == _ORIGIN or not feed.is_before(cursor):
                continue
            if stream in self._losses and self._losses.at_end(stream):
                for report in losses.report_at_end(feed, self._wanted.feed(stream), cursor):
                    self._note(report)
            feed.move(cursor)
            self._committer.wake()

    def _read_again(self, rows: WaitingRows) -> None:
        """Read all streams again from their marks: those of a kind are others now."""
        self._again = True
        self._room.set()

    async def discover(self, binding: Binding) -> None:
        """Look for streams until cancelled. Raises `WrongTape` if the bus has another tape now."""
        while True:
            await self.look()
            await binding.check()
            await asyncio.sleep(DISCOVER_S)

    async def look(self) -> None:
        """Look once for streams that are to be recorded, and read those that are new."""
        found = await self._availability.until_answered(self._registered, self.look)
        new = {stream: kinds for stream, kinds in self._wanted.select(found).items() if stream not in self._feeds}
        starts = {}
        for stream, kinds in new.items():
            feed = self._feeds[stream] = Feed(stream, [self._rows[kind] for kind in kinds])
            starts[stream] = feed.rewind() or Start.BEGINNING
        if starts and self._reader is not None:
            self._reader.add(starts)
        metrics.STREAMS.set(len(self._feeds))

    async def _registered(self) -> list[str]:
        names: list[str] = []
        for partition in range(self._keys.partitions):
            names += (name.decode(errors="replace") for name in await execute(self._client, "SMEMBERS", self._keys.registry(partition)))
        return names


def _newest_ts(rows: WaitingRows) -> int:
    """Return when the newest entry in the history of a kind was added to the tape, ns; 0: there is none."""
    return max((int(mark.id.partition("-")[0]) * 1_000_000 for mark in rows.committed.values()), default=0)
