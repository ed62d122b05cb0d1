"""A lane's spool: what happened while the server is away and the memory is used up, on disk and in order, until the server is back.

While it is `active`, what happens on the lane's streams goes through it: into `backlog`, from there to the file, from there into batches.
So what was spooled comes before what came later. States (quotes, books, tickers) do not: they conflate, and what is newest is not old.

**Exactly once.** Each batch carries the spool's position as it will be once the batch is written, and the script writes it into the cursor
together with the batch. A successor asks the cursor and goes on behind it: there is no moment between "acknowledged" and "noted". A
position in a file of ours would have one, whatever the order of the two. One batch may be in flight when a spool is begun, made of
what was in memory; its entries are the first of the spool, and its number stands in the header: the cursor says whether that was written.

**What can be lost.** When the process is killed: what was published in the turn of the event loop that it was killed in, as if it
had been killed a moment sooner. Writes are to the page cache, which outlives the process, in blocks, at the end of the turn; they take tens
of µs. When the machine loses power: by `bus.spool_sync`, see the settings. fsync is what may take long, and runs in a thread.
An error of the disk loses nothing that is in the file: what could not be written stays in memory, as long as there is room.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.spool.segments import Chunk, SpoolFile
from crosstape.bus.spool.tape_identity import Identity
from crosstape_schemas import Event, encode

TURN: Final = 1_000
BLOCK_BYTES: Final = 256 << 10
"""Events go to the file in blocks of about so many at most: 1 ms."""

BLOCKS: Final = 32
"""And a block is no greater part of the bound than this, or it might never fit."""

RETRY_S: Final = 1.0
"""After an error of the disk, or another process's lock, nothing is tried for so long."""

CLAIM: Final = 1
"""The number of a producer's first batch, which is empty."""

READS: Final = 5
"""Attempts at reading what the disk does not give, before it counts as lost."""

SYNC_S: Final = 1.0
READ_BYTES: Final = 1 << 20

KEPT: Final = "kept-"
"""With the id of a tape: the directory of what is for that one."""

log = structlog.get_logger()


class Settled(msgspec.Struct, frozen=True):
    """What is not as it should be between a predecessor's spool and the tape."""

    unknown: int
    """Entries that may be on the tape, for all that is known: they are skipped."""
    forgotten: int | None
    """Events before what is still in the spool that were on the tape, and that the server lost. None: some, nobody knows how many."""


class Spool:
    """One lane's. `freed` is told how many events have left the memory."""

    def __init__(
        self,
        directory: Path,
        *,
        bound: int,
        sync: Literal["never", "second", "always"],
        metrics: PublisherMetrics,
        freed: Callable[[int], None],
        changed: Callable[[], None],
        tape: Callable[[], Identity] = Identity,
    ) -> None:
        """`tape`: the one that this process writes to, as far as it is known."""
        self.file = SpoolFile(directory, bound)
        self.active = False
        """Whether what happens goes through it."""
        self.adopted = False
        """Whether what a predecessor left was looked for."""
        self.settled = True
        """Whether it is known how much of the file is on the tape."""
        self.inherited_to = 0
        """Entries up to this count are a predecessor's."""
        self.backlog: deque[Event] = deque()
        """In memory, to be written: in order."""
        self._block_bytes = min(BLOCK_BYTES, bound // BLOCKS)
        self._sync = sync
        self._metrics = metrics
        self._freed = freed
        self._changed = changed
        self._tape = tape
        self._retry_at = 0.0
        self._failing: set[str] = set()
        self._full_at: int | None = None  # its size when there was no room for more
        self._closed = False
        self._scheduled = False
        self._unsynced = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether the lane has anything to do about it."""
        return self.active or not self.adopted

    @property
    def position(self) -> bytes:
        """What the cursor says once what was used is on the tape; empty without a spool."""
        return self.position_at(self.file.used_to) if self.file.opened and self.settled else b""

    def position_at(self, index: int) -> bytes:
        """The same once the entries up to this count are."""
        return b"%d:%d" % (self.file.header.id, index)

    def exists(self) -> bool:
        """Whether a predecessor has left something, or has it still."""
        try:
            return self.file.exists()
        except OSError as exc:
            self.failed(exc)
            return False

    def open(self) -> bool:
        """Whether it is ours now: as a new one, or with what a predecessor left. Not for a while after that failed."""
        if self.file.opened:
            return True
        if time.monotonic() < self._retry_at:
            return False
        try:
            found = self.file.open()
        except OSError as exc:
            self.failed(exc)
            return False
        if not found:
            self.label()
        else:
            self.settled = False
            self.inherited_to = self.file.written_to
            log.warning("bus.spool_found", spool=str(self.file.directory), entries=self.file.unread, bytes=self.file.size)
            self._changed()
        return True

    def left_for(self) -> Identity:
        """The tape that what a process left here is for; unknown if it left nothing, or does not say."""
        try:
            return Identity.parse(self.file.read_label()) if self.file.exists() else Identity()
        except OSError as exc:
            self.failed(exc)
            return Identity()

    @property
    def foreign(self) -> bool:
        """Whether what it holds is for another tape than ours."""
        theirs = Identity.parse(self.file.label).id
        return bool(theirs) and theirs != self._tape().id

    def keep_aside(self) -> Path | None:
        """Leave what it holds, for another tape, where no producer takes it for its own: in which directory. None: the disk refused.

        What comes then is spooled as if nothing had been there.
        """
        directory = self.file.directory
        try:
            kept = self.file.move(directory.parent / f"{KEPT}{Identity.parse(self.file.label).id}" / directory.name)
        except OSError as exc:
            self.failed(exc)
            return None
        self.active, self.settled, self.inherited_to = False, True, 0
        self._changed()
        return kept

    def label(self) -> None:
        """Bind what is spooled by this process to the tape, once that is known."""
        if (tape := self._tape()).id and self.file.opened and not self.file.label:
            try:
                self.file.write_label(tape.label)
            except OSError as exc:
                self.failed(exc)

    def begin(self, epoch: int, batch: int, in_flight: list[bytes]) -> bool:
        """From now on what happens goes through it, behind what is in flight in this batch, the newest: whether the disk allows it."""
        fresh = not self.file.opened
        if self._closed or not self.file.bound or not self.open():
            return False
        try:
            if fresh and not self.file.written_to:
                self.file.begin(epoch, batch, in_flight)
        except OSError as exc:
            self.failed(exc)
            self._leave()
            return False
        self.active = True
        return True

    def put(self, event: Event) -> None:
        """Behind all others; written by the end of the loop's turn."""
        self.backlog.append(event)
        self.schedule()

    def schedule(self) -> None:
        """Write the backlog, a block a turn."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self.active and self.spill() and self.backlog:
            self.schedule()

    def spill(self, most: int = TURN) -> bool:
        """Write so much of the backlog: whether any of it could be. What could not stays."""
        count = min(most, len(self.backlog))
        if not count or not self.file.bound or time.monotonic() < self._retry_at:
            return False
        if self._full_at is not None and self.file.size >= self._full_at:
            return False
        block, size = [], 0
        for event in islice(self.backlog, count):
            block.append(encode(event))
            size += len(block[-1])
            if size > self._block_bytes:
                break
        count = len(block)
        try:
            fits = self.file.append(block)
        except OSError as exc:
            self.failed(exc)
            return False
        if not fits:
            if self._full_at is None:
                log.warning("bus.spool_full", spool=str(self.file.directory), entries=self.file.unread, bound=self.file.bound)
            self._full_at = self.file.size
            return False
        self._full_at = None
        for _ in range(count):
            self.backlog.popleft()
        self._well("use")
        self._unsynced.set()
        self._metrics.spooled(count)
        self._freed(count)
        self._changed()
        return True

    async def read(self, most: int, limit: int) -> Chunk | None:
        """The next entries, if there are any, without taking them: cancelled, it has changed nothing."""
        place = self.file.place()
        if place is None:
            return None
        for _ in range(READS):
            try:
                return await asyncio.to_thread(place.read, most, limit)
            except OSError as exc:
                self.failed(exc)
                await asyncio.sleep(RETRY_S)
        return place.give_up([])

    async def settle(self, position: bytes | None, epoch: bytes | None, batch: bytes | None) -> Settled:
        """Go on behind what is on the tape, by the cursor's position and the last batch of the epoch before ours.

        Cancelled, it can be asked again.
        """
        file, head = self.file, self.file.header
        spool_id, _, index = (position or b"").partition(b":")
        prior, written = _number(epoch), _number(batch)
        target = unknown = 0
        forgotten: int | None = 0
        if spool_id == b"%d" % head.id:
            target = _number(index)
            forgotten = max(0, file.used_to - target)
        elif prior <= head.epoch and head.batch - 1 > (written if prior == head.epoch else CLAIM):
            forgotten = None
        elif head.carried and prior > head.epoch:  # others have written since, and had no spool: it is not known any more
            target = head.carried
            unknown = max(0, head.carried - file.used_to)
        elif head.carried and prior == head.epoch and written >= head.batch:
            target = head.carried
        target = min(target, file.written_to)
        while file.read_to < target:
            if not file.jump(target) and (chunk := await self.read(target - file.read_to, READ_BYTES)) is not None:
                file.take(chunk)
        self.settled = True
        self.use(target)
        return Settled(unknown, forgotten)

    def end(self) -> list[Event]:
        """What happens goes past it again; what was not written yet comes first."""
        self.active = False
        rest = list(self.backlog)
        self.backlog.clear()
        return rest

    def use(self, index: int) -> None:
        """The entries up to this count are on the tape, or lost."""
        if not self.file.opened:
            return
        try:
            self.file.use(index)
        except OSError as exc:
            self.failed(exc)
        if not self.active and self.file.used_to >= self.file.written_to:
            self.file.close()
        if self.active and self.backlog:
            self.schedule()
        self._changed()

    def failed(self, exc: OSError) -> None:
        """The disk did not do it: nothing is tried for a while."""
        self._retry_at = time.monotonic() + RETRY_S
        self._ill("use", exc)

    def _ill(self, what: str, exc: OSError) -> None:
        """Said once until it works again, and counted each time."""
        self._metrics.spool_error()
        if what not in self._failing:
            self._failing.add(what)
            log.error("bus.spool_failed", spool=str(self.file.directory), what=what, reason=f"{type(exc).__name__}: {exc.strerror or exc}")

    def _well(self, what: str) -> None:
        if what in self._failing:
            self._failing.remove(what)
            log.info("bus.spool_well", spool=str(self.file.directory), what=what)

    async def run(self) -> None:
        """Bring what is written to the disk, as the policy says, until cancelled."""
        while self._sync != "never":
            await self._unsynced.wait()  # until something is written
            if self._sync == "second":
                await asyncio.sleep(SYNC_S)
            self._unsynced.clear()
            try:
                await asyncio.to_thread(self.file.sync)
            except OSError as exc:
                self._ill("sync", exc)
            else:
                self._well("sync")

    def close(self) -> None:
        """Leave it, with what is in it, to a successor. Blocks for an fsync, if the policy has any."""
        if self.file.opened and self._sync != "never":
            try:
                self.file.sync()
            except OSError as exc:
                self._ill("sync", exc)
        self._closed = self.adopted = True
        self._leave()

    def _leave(self) -> None:
        self.active = False
        self.backlog.clear()
        self.file.close()


def _number(text: bytes | None) -> int:
    """0 for what is none."""
    return int(text) if text and text.isdigit() else 0
