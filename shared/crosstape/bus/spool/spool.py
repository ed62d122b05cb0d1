"""The spool of one partition: lossless events on disk, in order, while the server is away and the memory is used up.

While a spool is `active`, the lossless events of the partition go into `backlog`, from there to disk, and from there into batches. So what
was spooled comes before what came later. States (quotes, open candles) do not go through it: they are conflated, the newest is not old.

**Exactly once.** Each batch carries the spool's position as it will be once the batch is written, and the script writes it into the cursor
together with the batch. A successor reads the cursor and continues behind it: there is no moment between "acknowledged" and "noted". A
position in a file would have such a moment, whatever the order of the two. One batch may be in flight when a spool is started, made
of what was in memory. Its entries are the first of the spool, and its number is in the header: the cursor says whether it was written.

**What can be lost.** When the process is killed: the events published in the turn of the event loop in which it was killed, as if it had
been killed a moment sooner. Writes go to the page cache, which outlives the process, in blocks, at the end of the turn; they take tens of
µs. When the machine loses power: what the setting `bus.spool_sync` allows. fsync may take long, and runs in a thread. An error of the disk
loses nothing that is on it: what could not be written stays in memory, as long as there is memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.spool import disk_health
from crosstape.bus.spool.directory import SpoolDirectory
from crosstape.bus.spool.disk_health import DiskHealth
from crosstape.bus.spool.recovery import Cursor, Recovered, recover
from crosstape.bus.spool.segments import Chunk
from crosstape.bus.spool.tape_identity import Identity
from crosstape.log import get_log
from crosstape_schemas import Event, encode

TURN: Final = 1_000
"""Events that are written in one turn of the event loop at most."""

BLOCK_BYTES: Final = 256 << 10
"""Events are written in blocks of about this size at most: 1 ms."""

BLOCKS: Final = 32
"""A block is no greater part of the bound than this (1/32), or it might never fit."""

READS: Final = 5
"""Attempts to read what the disk does not give, before it counts as lost."""

SYNC_S: Final = 1.0
READ_BYTES: Final = 1 << 20

KEPT: Final = "kept-"
"""Followed by the id of a tape: the directory of what is kept for that tape."""

log = get_log(__name__)


class Spool:
    """The spool of one partition. `freed` is called with the count of events that have left the memory, `changed` after each change."""

    def __init__(
        self,
        path: Path,
        *,
        bound: int,
        sync: Literal["never", "second", "always"],
        metrics: PublisherMetrics,
        freed: Callable[[int], None],
        changed: Callable[[], None],
        tape: Callable[[], Identity] = Identity,
    ) -> None:
        """`tape`: the tape that this process writes to, as far as it is known."""
        self.disk = SpoolDirectory(path, bound)
        self.active = False
        """Whether lossless events go through it."""
        self.adopted = False
        """Whether we have looked for entries that a predecessor left."""
        self.settled = True
        """Whether it is known how many of the entries are on the tape."""
        self.inherited_to = 0
        """Entries up to this count are a predecessor's."""
        self.backlog: deque[Event] = deque()
        """Events in memory that wait to be written to disk, in order."""
        self._block_bytes = min(BLOCK_BYTES, bound // BLOCKS)
        self._sync = sync
        self._metrics = metrics
        self._freed = freed
        self._changed = changed
        self._tape = tape
        self._health = DiskHealth(path, metrics)
        self._full_at: int | None = None  # the size at which a block did not fit
        self._closed = False
        self._scheduled = False
        self._unsynced = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether the partition's writer has to look at the spool."""
        return self.active or not self.adopted

    @property
    def position(self) -> bytes:
        """What the cursor should say once all entries that are done are on the tape; empty without a spool."""
        return self.position_at(self.disk.done_to) if self.disk.opened and self.settled else b""

    def position_at(self, index: int) -> bytes:
        """What the cursor should say once the entries up to this count are on the tape."""
        return b"%d:%d" % (self.disk.header.id, index)

    def exists(self) -> bool:
        """Whether a predecessor has left something, or has it still."""
        try:
            return self.disk.exists()
        except OSError as exc:
            self._health.failed(exc)
            return False

    def open(self) -> bool:
        """Lock the directory, new or with what a predecessor left. Returns whether it is ours; not tried for a while after a failure."""
        if self.disk.opened:
            return True
        if self._health.pausing:
            return False
        try:
            found = self.disk.open()
        except OSError as exc:
            self._health.failed(exc)
            return False
        if not found:
            self.label()
        else:
            self.settled = False
            self.inherited_to = self.disk.written_to
            log.warning("bus.spool_found", spool=str(self.disk.path), entries=self.disk.unread, bytes=self.disk.size)
            self._changed()
        return True

    def found_identity(self) -> Identity:
        """The tape that the entries a process left here are for; not known if it left none, or there is no label."""
        try:
            return Identity.parse(self.disk.read_label()) if self.disk.exists() else Identity()
        except OSError as exc:
            self._health.failed(exc)
            return Identity()

    @property
    def foreign(self) -> bool:
        """Whether the entries are for another tape than ours."""
        theirs = Identity.parse(self.disk.label).id
        return bool(theirs) and theirs != self._tape().id

    def keep_aside(self) -> Path | None:
        """Move the entries, which are for another tape, where no producer takes them for its own. Returns where; None: the disk failed.

        Later events are spooled as if nothing had been there.
        """
        path = self.disk.path
        try:
            kept = self.disk.move(path.parent / f"{KEPT}{Identity.parse(self.disk.label).id}" / path.name)
        except OSError as exc:
            self._health.failed(exc)
            return None
        self.active, self.settled, self.inherited_to = False, True, 0
        self._changed()
        return kept

    def label(self) -> None:
        """Write which tape the entries of this process are for, once that is known."""
        if (tape := self._tape()).id and self.disk.opened and not self.disk.label:
            try:
                self.disk.write_label(tape.label)
            except OSError as exc:
                self._health.failed(exc)

    def start(self, epoch: int, batch: int, in_flight: list[bytes]) -> bool:
        """Route lossless events through the spool from now on, behind those in flight in this batch. Returns whether the disk allows it."""
        fresh = not self.disk.opened
        if self._closed or not self.disk.bound or not self.open():
            return False
        try:
            if fresh and not self.disk.written_to:
                self.disk.start(epoch, batch, in_flight)
        except OSError as exc:
            self._health.failed(exc)
            self._leave()
            return False
        self.active = True
        return True

    def append(self, event: Event) -> None:
        """Add an event behind all others; it is written at the end of the event loop's turn."""
        self.backlog.append(event)
        self.schedule()

    def schedule(self) -> None:
        """Write the backlog, one block in each turn of the event loop."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._write_turn)

    def _write_turn(self) -> None:
        self._scheduled = False
        if self.active and self.spill() and self.backlog:
            self.schedule()

    def spill(self, most: int = TURN) -> bool:
        """Write at most this many events of the backlog, in one block. Returns whether any was written; the others stay."""
        count = min(most, len(self.backlog))
        if not count or not self.disk.bound or self._health.pausing:
            return False
        if self._full_at is not None and self.disk.size >= self._full_at:
            return False
        block, size = [], 0
        for event in islice(self.backlog, count):
            block.append(encode(event))
            size += len(block[-1])
            if size > self._block_bytes:
                break
        count = len(block)
        try:
            fits = self.disk.append(block)
        except OSError as exc:
            self._health.failed(exc)
            return False
        if not fits:
            if self._full_at is None:
                log.warning("bus.spool_full", spool=str(self.disk.path), entries=self.disk.unread, bound=self.disk.bound)
            self._full_at = self.disk.size
            return False
        self._full_at = None
        for _ in range(count):
            self.backlog.popleft()
        self._health.worked("use")
        self._unsynced.set()
        self._metrics.spooled(count)
        self._freed(count)
        self._changed()
        return True

    async def read(self, most: int, limit: int) -> Chunk | None:
        """Read the next entries, if there are any. The spool does not move on: a cancelled read has changed nothing."""
        stretch = self.disk.next_stretch()
        if stretch is None:
            return None
        for _ in range(READS):
            try:
                return await asyncio.to_thread(stretch.read, most, limit)
            except OSError as exc:
                self._health.failed(exc)
                await asyncio.sleep(disk_health.RETRY_S)
        return stretch.give_up([])

    async def settle(self, cursor: Cursor) -> Recovered:
        """Continue behind the entries that are on the tape by this cursor. When cancelled, it can be called again."""
        disk = self.disk
        recovered = recover(disk.header, cursor, done_to=disk.done_to, written_to=disk.written_to)
        target = recovered.done_to
        while disk.read_to < target:
            if not disk.skip_segment(target) and (chunk := await self.read(target - disk.read_to, READ_BYTES)) is not None:
                disk.advance(chunk)
        self.settled = True
        self.acknowledge(target)
        return recovered

    def stop(self) -> list[Event]:
        """Let lossless events go past the spool again. Returns the backlog, which comes first."""
        self.active = False
        rest = list(self.backlog)
        self.backlog.clear()
        return rest

    def acknowledge(self, index: int) -> None:
        """Count the entries up to `index` as on the tape, or lost."""
        if not self.disk.opened:
            return
        try:
            self.disk.discard_to(index)
        except OSError as exc:
            self._health.failed(exc)
        if not self.active and self.disk.done_to >= self.disk.written_to:
            self.disk.close()
        if self.active and self.backlog:
            self.schedule()
        self._changed()

    async def run(self) -> None:
        """Force what is written to the disk, as the setting says, until cancelled."""
        while self._sync != "never":
            await self._unsynced.wait()  # no timeout: nothing is to be done until something is written
            if self._sync == "second":
                await asyncio.sleep(SYNC_S)
            self._unsynced.clear()
            try:
                await asyncio.to_thread(self.disk.sync)
            except OSError as exc:
                self._health.sync_failed(exc)
            else:
                self._health.worked("sync")

    def close(self) -> None:
        """Leave the entries to a successor. Blocks for an fsync, if the setting asks for any."""
        if self.disk.opened and self._sync != "never":
            try:
                self.disk.sync()
            except OSError as exc:
                self._health.sync_failed(exc)
        self._closed = self.adopted = True
        self._leave()

    def _leave(self) -> None:
        self.active = False
        self.backlog.clear()
        self.disk.close()
