"""Writes the waiting events of one partition in numbered batches, with one batch in flight.

While the spool is not empty, batches of spooled entries and batches from memory alternate: events from the time when the server was away
must not delay the present states.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from crosstape.bus.publish.batch import BATCH_BYTES, Batch
from crosstape.bus.publish.delivery import Delivery
from crosstape.bus.publish.enrolment import Enrolment
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.spool_reader import SpoolReader
from crosstape.bus.publish.stream import Queue, Stream


class PartitionWriter:
    """Writes what is in `queue` and, if there is one, in the spool. Calls `acknowledge` with the count of entries of each written batch."""

    def __init__(
        self,
        producer: Producer,
        partition: int,
        *,
        queue: Queue,
        delivery: Delivery,
        spool_reader: SpoolReader | None,
        acknowledge: Callable[[int], None],
        enrolment: Enrolment,
    ) -> None:
        self.queue = queue
        self.spool = spool_reader.spool if spool_reader is not None else None
        self.claimed = spool_reader.claimed if spool_reader is not None else asyncio.Event()
        """Set when no predecessor can write any more and what it left in the spool is on the tape."""
        self._delivery = delivery
        self._spool_reader = spool_reader
        self._acknowledge = acknowledge
        self._enrolment = enrolment
        self._producer = producer
        self._epoch = 0
        self._epoch_text = b""
        self._cursor = producer.cursor(partition)
        self._registry = producer.registry(partition)
        self._cap = producer.settings.batch
        self._writing = asyncio.Lock()
        self._number = 0
        self._in_flight: Batch | None = None
        self._last_was_spooled = False

    async def run(self) -> None:
        """Write until cancelled. Raises what `write_next` raises."""
        while True:
            if not self.waiting:
                self.queue.wake.clear()
                await self.queue.wake.wait()  # no timeout: there is nothing to do before
            await self.write_next()

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write. The first batch always is."""
        return not self._number or bool(self.queue.dirty) or self._in_flight is not None or (self.spool is not None and self.spool.waiting)

    @property
    def conflatable(self) -> int:
        """How many of the entries that wait or are in flight are states, which newer ones will replace."""
        pending = sum(stream.is_state(event) for stream in self.queue.dirty for event in stream.pending)
        batch = self._in_flight
        return pending + (0 if batch is None else batch.entries - len(batch.lossless_entries()))

    @property
    def spooled(self) -> int:
        """How many entries a successor would publish from the spool if this process ended now. Those in flight may be among them."""
        if self.spool is None:
            return 0
        disk, batch = self.spool.disk, self._in_flight
        in_flight = 0
        if batch is not None and batch.spooled_to:
            in_flight = batch.entries
        elif batch is not None and (disk.header.epoch, disk.header.batch) == (self._epoch, batch.number):
            in_flight = disk.header.carried
        return disk.unread + in_flight

    def is_writing(self, streams: Collection[Stream]) -> bool:
        """Whether entries of these streams are in flight."""
        return self._in_flight is not None and any(group.stream in streams for group in self._in_flight.groups)

    async def write_next(self) -> None:
        """Write one batch, if anything waits. When cancelled, it leaves the batch in flight for the next call.

        Raises `Superseded`, and `BusError` for a cursor that is not ours or a server that holds another tape now.
        """
        async with self._writing:  # one call in flight, though `run` and `drain` may both want to
            if not self._number:
                await self._claim()
            batch, spool_reader = self._in_flight, self._spool_reader
            if batch is None:
                if spool_reader is not None and spool_reader.spool.waiting:
                    batch = await self._next_spooled(spool_reader)
                if batch is None:
                    if not self.queue.dirty:
                        return
                    batch = self._next_pending()
                self._in_flight = batch
            await self._delivery.deliver(batch)
            self._in_flight = None
            if spool_reader is None:
                self.claimed.set()
            elif batch.spooled_to:
                spool_reader.acknowledge(batch.spooled_to)
            self._acknowledge(batch.entries)

    async def _claim(self) -> None:
        """Make the first batch, an empty one that claims the cursor of this partition. Once it is written no predecessor can write."""
        await self._enrolment.ensure()
        self._epoch, self._epoch_text = self._producer.epoch, self._producer.epoch_text
        self._in_flight = self._batch()

    def start_spool(self) -> bool:
        """Route lossless events through the spool from now on, those in memory first. Returns whether that works."""
        reader = self._spool_reader
        return reader is not None and (reader.spool.active or reader.start(self._in_flight, self._number + (self._in_flight is None)))

    def _batch(self, spooled_to: int = 0) -> Batch:
        """Make the next batch, still empty."""
        self._number += 1
        position = b""
        if self.spool is not None:
            position = self.spool.position_at(spooled_to) if spooled_to else self.spool.position
        return Batch(
            self._number, cursor=self._cursor, registry=self._registry, epoch=self._epoch_text, position=position, spooled_to=spooled_to
        )

    def _next_pending(self) -> Batch:
        """Make a batch of what waits in memory, up to the cap."""
        batch = self._batch()
        left, at = self._cap, 0
        queue, epoch = self.queue, self._epoch
        dirty = queue.dirty
        for at, stream in enumerate(dirty, 1):  # noqa: B007
            chunk = stream.pending
            if len(chunk) > left:
                stream.pending = chunk[left:]
                del chunk[left:]
            else:
                stream.pending = []
            batch.add(stream, chunk, epoch)
            left -= len(chunk)
            if not left or batch.size > BATCH_BYTES:
                break
        queue.dirty = dirty = dirty[at:]
        last = batch.groups[-1].stream
        if last.pending:
            dirty.append(last)
        return batch

    async def _next_spooled(self, reader: SpoolReader) -> Batch | None:
        """Make the next batch of what was spooled; None if it is the turn of what waits in memory, or nothing was spooled."""
        spool = reader.spool
        if not spool.adopted or not spool.settled:
            await reader.adopt()
        if not spool.active:
            return None
        self._last_was_spooled = not self._last_was_spooled
        if self.queue.dirty and not self._last_was_spooled:
            return None
        part = await reader.next_part()
        if part is None:
            return None
        batch = self._batch(part.end)
        for stream, events in part.events.items():
            batch.add(stream, events, self._epoch)
        return batch
