"""What comes out of a lane's spool: a predecessor's first, then what went past the memory, by stream, as it goes into batches.

Here events change over between memory and spool: what waits goes into it when it is begun, and what is not in the file yet goes back into
memory when all of the file is on its way. The spool itself is `spool`'s, the turns that its batches take are the lane's.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec
import structlog

from crosstape.bus.client.call import execute
from crosstape.bus.publish.batch import BATCH_BYTES, Batch
from crosstape.bus.publish.losses import Losses
from crosstape.bus.publish.memory_budget import MemoryBudget
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.stream import Queue, Stream
from crosstape.bus.publish.streams import Streams
from crosstape.bus.spool.segments import Chunk
from crosstape.bus.spool.spool import Spool
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import BusError
from crosstape_schemas import Event, decode

LOCK_S: Final = 10.0
"""How long a predecessor, which is told to stop as soon as it writes, may take to let go of the spool."""

LOCK_POLL_S: Final = 0.05

PART: Final = 4
"""What one batch takes out of a spool is no greater part of the memory than this."""

log = structlog.get_logger()


class Part(msgspec.Struct, frozen=True):
    """What one batch takes out of the spool."""

    events: dict[Stream, list[Event]]
    end: int
    """Once it is written, so many entries of the spool are."""


class SpoolReader:
    """One lane's. `claimed` is set when what a predecessor left is on the tape."""

    def __init__(
        self, producer: Producer, partition: int, spool: Spool, *, queue: Queue, streams: Streams, room: MemoryBudget, losses: Losses
    ) -> None:
        self.spool = spool
        self.claimed = asyncio.Event()
        self._producer = producer
        self._cursor = producer.cursor(partition)
        self._cap = max(1, min(producer.settings.batch, room.bound // PART))
        self._queue = queue
        self._streams = streams
        self._room = room
        self._losses = losses
        self._newest_ts = 0

    def begin(self, in_flight: Batch | None, batch: int) -> bool:
        """From now on what happens goes through the spool, what waits in memory first: whether the disk allows it.

        `batch` is the number of what is in flight, or of the next one.
        """
        if not self.spool.adopted and self._producer.tape.identity.id and self.spool.exists() and self.spool.open():
            self._part_with_foreign()
        carried = [] if in_flight is None or in_flight.spooled_to else in_flight.happenings()
        if not self.spool.begin(self._producer.epoch, batch, carried):
            return False
        self._through()
        return True

    async def adopt(self) -> None:
        """Now that a predecessor cannot write to the server any more, find what it left in the spool, behind what is on the tape of it."""
        spool = self.spool
        deadline = time.monotonic() + LOCK_S
        while not spool.file.opened and spool.exists() and not spool.open():
            if time.monotonic() > deadline:  # it has not ended, or the disk is no good: what it left waits for our successor
                log.error("bus.spool_left", producer=self._producer.name, spool=str(spool.file.directory))
                break
            await asyncio.sleep(LOCK_POLL_S)
        self._part_with_foreign()
        spool.label()
        if not spool.settled:
            client, words = self._producer.client, ("HMGET", self._cursor, "spool", "prior_epoch", "prior_batch")
            said = await self._producer.availability.until_answered(lambda: execute(client, *words), self)
            found = await spool.settle(*said)
            if found.unknown:
                self._damaged(found.unknown, spool.file.header.id)
            if found.forgotten != 0:
                log.warning("bus.data_lost", producer=self._producer.name, before_spool=spool.file.header.id, missed=found.forgotten)
                began_ts = min(spool.file.header.epoch or spool.file.header.id, spool.file.header.id)  # an epoch may be ahead of all clocks
                self._losses.note_venue_wide(found.forgotten, began_ts)
        if spool.file.torn:
            self._damaged(None, spool.file.header.id, torn=spool.file.torn)
            spool.file.torn = 0
        spool.adopted = True
        if spool.file.unread and not spool.active:
            self._room.tighten()
            self._through()
        self.use(0)

    def _part_with_foreign(self) -> None:
        """What a process left here for another tape is kept for that one, and not published on ours."""
        spool = self.spool
        if not spool.file.opened or not spool.foreign:
            return
        theirs, entries, size = Identity.parse(spool.file.label), spool.inherited_to - spool.file.used_to, spool.file.size
        own = spool.file.written_to - spool.inherited_to  # spooled behind it, before it was known which tape ours is
        rest = spool.end()
        kept = spool.keep_aside()
        log.error(
            "bus.spool_of_another_tape",
            producer=self._producer.name,
            kept=str(kept or spool.file.directory),
            of_tape=theirs.id,
            of_origin=theirs.origin,
            this_tape=self._producer.tape.identity.id,
            entries=entries,
            bytes=size,
            hint="to publish it, move it back and start this producer on the server that holds that tape",
        )
        self._producer.metrics.spool_kept_aside()
        if kept is None:
            spool.close()
        if own:
            self._losses.note_venue_wide(own, self._producer.started_ts)
        for event in rest:
            self._queue.put(self._streams.of(event), event)

    async def take(self) -> Part | None:
        """The next of what was spooled, if there is any. What cannot be read, or is no event of ours, is a loss."""
        spool = self.spool
        stuck = not spool.file.unread and not spool.spill()  # else what waits for the file, which is no better than memory, goes past it
        chunk = await spool.read(self._cap, BATCH_BYTES)
        if not spool.active:  # it was left meanwhile
            return None
        part = None
        if chunk is not None:
            spool.file.take(chunk)
            part = self._part(chunk)
        if not spool.file.unread and (stuck or len(spool.backlog) <= self._cap):
            self._past()
        if part is None and chunk is not None:
            self.use(chunk.end)
        return part

    def use(self, index: int) -> None:
        """The entries up to this count are on the tape, or lost."""
        spool = self.spool
        spool.use(index)
        if not self.claimed.is_set() and (not spool.file.opened or spool.file.used_to >= spool.inherited_to):
            self.claimed.set()

    def _through(self) -> None:
        """What waits in memory goes into the spool, and what happens behind it."""
        spool = self.spool
        spool.active = True
        spool.backlog.extend(self._queue.take_happenings())
        spool.schedule()
        self._queue.wake.set()

    def _past(self) -> None:
        """What is in the file is on its way; what comes now follows it in memory."""
        for event in self.spool.end():
            self._queue.put(self._streams.of(event), event)

    def _part(self, chunk: Chunk) -> Part | None:
        """These entries, by stream; those that are no event of ours are lost, as are those that could not be read."""
        events: dict[Stream, list[Event]] = {}
        lost, entries, before_ts = 0, 0, 0
        for payload in chunk.payloads:
            try:
                event = decode(payload)
                events.setdefault(self._streams.of(event), []).append(event)
            except (msgspec.MsgspecError, BusError):  # of another version, or of another venue
                lost += 1
                before_ts = before_ts or self._newest_ts
                continue
            entries += 1
            self._newest_ts = event.received_ts
        if lost or chunk.lost:
            self._damaged(lost + chunk.lost, before_ts or self._newest_ts or self.spool.file.header.id)
        if not events:
            return None
        self._room.take(entries)
        return Part(events, chunk.end)

    def _damaged(self, missed: int | None, from_ts: int, torn: int = 0) -> None:
        """So many spooled entries cannot be read, of which streams nobody knows."""
        log.error("bus.spool_damaged", producer=self._producer.name, missed=missed, torn_bytes=torn)
        self._producer.metrics.spool_error()
        self._losses.note_venue_wide(missed, from_ts)
