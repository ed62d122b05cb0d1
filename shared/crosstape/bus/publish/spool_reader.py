"""Reads what is in the spool of one partition, first what a predecessor left, and sorts it by stream into batches.

Events change between memory and spool here: what waits in memory goes into a spool that is started, and what is not on disk yet goes back
into memory when all that is on disk is on its way. The spool itself is in `spool`; the partition writer decides whose turn it is.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from crosstape.bus.client.call import execute
from crosstape.bus.publish.batch import BATCH_BYTES, Batch
from crosstape.bus.publish.losses import Losses
from crosstape.bus.publish.memory_budget import MemoryBudget
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.stream import Queue, Stream
from crosstape.bus.publish.streams import Streams
from crosstape.bus.spool.recovery import Cursor
from crosstape.bus.spool.segments import Chunk
from crosstape.bus.spool.spool import Spool
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import BusError
from crosstape.log import get_log
from crosstape_schemas import Event, decode

LOCK_S: Final = 10.0
"""How long a predecessor may take to close the spool: it is refused, and ends, as soon as it writes."""

LOCK_POLL_S: Final = 0.05

PART: Final = 4
"""One batch reads no more out of a spool than this part of the memory (a quarter)."""

log = get_log(__name__)


class SpooledPart(msgspec.Struct, frozen=True):
    """The spooled events of one batch."""

    events: dict[Stream, list[Event]]
    end: int
    """Entries of the spool up to this count are on the tape once the batch is."""


class SpoolReader:
    """Reads the spool of one partition. `claimed` is set when what a predecessor left is on the tape."""

    def __init__(
        self, producer: Producer, partition: int, spool: Spool, *, queue: Queue, streams: Streams, memory: MemoryBudget, losses: Losses
    ) -> None:
        self.spool = spool
        self.claimed = asyncio.Event()
        self._producer = producer
        self._cursor = producer.cursor(partition)
        self._cap = max(1, min(producer.settings.batch, memory.bound // PART))
        self._queue = queue
        self._streams = streams
        self._memory = memory
        self._losses = losses
        self._newest_ts = 0

    def start(self, in_flight: Batch | None, batch: int) -> bool:
        """Route lossless events through the spool from now on, those in memory first. Returns whether the disk allows it.

        `batch` is the number of the batch in flight, or of the next one.
        """
        if not self.spool.adopted and self._producer.tape.identity.id and self.spool.exists() and self.spool.open():
            self._set_foreign_aside()
        carried = [] if in_flight is None or in_flight.spooled_to else in_flight.lossless_entries()
        if not self.spool.start(self._producer.epoch, batch, carried):
            return False
        self._route_through_spool()
        return True

    async def adopt(self) -> None:
        """Open the spool that a predecessor left, which cannot write any more, and continue behind the entries that are on the tape."""
        spool = self.spool
        deadline = time.monotonic() + LOCK_S
        while not spool.disk.opened and spool.exists() and not spool.open():
            if time.monotonic() > deadline:  # the predecessor runs on, or the disk fails: what it left waits for our successor
                log.error("bus.spool_left", producer=self._producer.name, spool=str(spool.disk.path))
                break
            await asyncio.sleep(LOCK_POLL_S)
        self._set_foreign_aside()
        spool.label()
        if not spool.settled:
            client, command = self._producer.client, ("HMGET", self._cursor, "spool", "prior_epoch", "prior_batch")
            fields = await self._producer.availability.until_answered(lambda: execute(client, *command), self)
            found = await spool.settle(Cursor(*fields))
            if found.unknown:
                self._report_damage(found.unknown, spool.disk.header.id)
            if found.lost != 0:
                log.warning("bus.data_lost", producer=self._producer.name, before_spool=spool.disk.header.id, missed=found.lost)
                started_ts = min(
                    spool.disk.header.epoch or spool.disk.header.id, spool.disk.header.id
                )  # an epoch may be ahead of all clocks
                self._losses.note_venue_wide(found.lost, started_ts)
        if spool.disk.torn:
            self._report_damage(None, spool.disk.header.id, torn=spool.disk.torn)
            spool.disk.torn = 0
        spool.adopted = True
        if spool.disk.unread and not spool.active:
            self._memory.tighten()
            self._route_through_spool()
        self.acknowledge(0)

    def _set_foreign_aside(self) -> None:
        """Keep what a process left here for another tape where that tape's producer finds it; it is not published on ours."""
        spool = self.spool
        if not spool.disk.opened or not spool.foreign:
            return
        theirs, entries, size = Identity.parse(spool.disk.label), spool.inherited_to - spool.disk.done_to, spool.disk.size
        own = spool.disk.written_to - spool.inherited_to  # spooled behind it while it was not known which tape ours is
        rest = spool.stop()
        kept = spool.keep_aside()
        log.error(
            "bus.spool_of_another_tape",
            producer=self._producer.name,
            kept=str(kept or spool.disk.path),
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
            self._queue.append(self._streams.find(event), event)

    async def next_part(self) -> SpooledPart | None:
        """Read the next spooled events; None if there are none. What cannot be read, or is no event of ours, is noted as lost."""
        spool = self.spool
        stuck = not spool.disk.unread and not spool.spill()  # then the backlog, which is in memory anyway, goes past the spool
        chunk = await spool.read(self._cap, BATCH_BYTES)
        if not spool.active:  # the spool was closed meanwhile
            return None
        part = None
        if chunk is not None:
            spool.disk.advance(chunk)
            part = self._part(chunk)
        if not spool.disk.unread and (stuck or len(spool.backlog) <= self._cap):
            self._route_past_spool()
        if part is None and chunk is not None:
            self.acknowledge(chunk.end)
        return part

    def acknowledge(self, index: int) -> None:
        """Count the spool's entries up to `index` as on the tape, or lost."""
        spool = self.spool
        spool.acknowledge(index)
        if not self.claimed.is_set() and (not spool.disk.opened or spool.disk.done_to >= spool.inherited_to):
            self.claimed.set()

    def _route_through_spool(self) -> None:
        """Move the lossless events that wait in memory into the spool; those that come later follow them there."""
        spool = self.spool
        spool.active = True
        spool.backlog.extend(self._queue.remove_lossless())
        spool.schedule()
        self._queue.wake.set()

    def _route_past_spool(self) -> None:
        """Queue later events in memory again: all that is on disk is on its way to the server."""
        for event in self.spool.stop():
            self._queue.append(self._streams.find(event), event)

    def _part(self, chunk: Chunk) -> SpooledPart | None:
        """Returns these entries by stream. Entries that are no event of ours are noted as lost, as are those that could not be read."""
        events: dict[Stream, list[Event]] = {}
        lost, entries, before_ts = 0, 0, 0
        for payload in chunk.payloads:
            try:
                event = decode(payload)
                events.setdefault(self._streams.find(event), []).append(event)
            except (msgspec.MsgspecError, BusError):  # of another version, or of another venue
                lost += 1
                before_ts = before_ts or self._newest_ts
                continue
            entries += 1
            self._newest_ts = event.received_ts
        if lost or chunk.lost:
            self._report_damage(lost + chunk.lost, before_ts or self._newest_ts or self.spool.disk.header.id)
        if not events:
            return None
        self._memory.reserve(entries)
        return SpooledPart(events, chunk.end)

    def _report_damage(self, missed: int | None, from_ts: int, torn: int = 0) -> None:
        """Note `missed` spooled entries (None: not known how many) that cannot be read; it is not known of which streams."""
        log.error("bus.spool_damaged", producer=self._producer.name, missed=missed, torn_bytes=torn)
        self._producer.metrics.spool_error()
        self._losses.note_venue_wide(missed, from_ts)
