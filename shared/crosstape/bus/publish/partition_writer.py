"""A publisher's writer for one partition: numbered batches of what waits, one of them in flight.

With a spool that has something in it, a batch of spooled entries and one of what waits in memory take turns: what happened while the
server was away must not hold up the states of now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crosstape.bus.publish.batch import BATCH_BYTES, Batch
from crosstape.bus.publish.delivery import Delivery
from crosstape.bus.publish.enrolment import Enrolment
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.spool_reader import SpoolReader
from crosstape.bus.publish.stream import Queue


class PartitionWriter:
    """Takes from `queue` and, if there is one, from the spool. `acknowledge` is told how many entries are on the tape, batch by batch."""

    def __init__(
        self,
        producer: Producer,
        partition: int,
        *,
        queue: Queue,
        delivery: Delivery,
        spooled: SpoolReader | None,
        acknowledge: Callable[[int], None],
        enrolment: Enrolment,
    ) -> None:
        self.queue = queue
        self.spool = spooled.spool if spooled is not None else None
        self.claimed = spooled.claimed if spooled is not None else asyncio.Event()
        """Set when no predecessor can write any more, and what it left in the spool is on the tape."""
        self._delivery = delivery
        self._spooled = spooled
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
        self._spooled_last = False

    async def run(self) -> None:
        """Write until cancelled. Raises as `write_next`."""
        while True:
            if not self.waiting:
                self.queue.wake.clear()
                await self.queue.wake.wait()  # as long as it takes: nothing is to be done before
            await self.write_next()

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write: a first batch always is."""
        return not self._number or bool(self.queue.dirty) or self._in_flight is not None or (self.spool is not None and self.spool.waiting)

    @property
    def states(self) -> int:
        """How many entries that wait, or are in flight, are states: the newest stands for those before it."""
        waiting = sum(len(stream.pending) for stream in self.queue.dirty if stream.conflates)
        flying = 0 if self._in_flight is None else sum(group.count for group in self._in_flight.groups if group.stream.conflates)
        return waiting + flying

    @property
    def spooled(self) -> int:
        """How many entries a successor would publish from the spool's file if this process ended now: those in flight may be among them."""
        if self.spool is None:
            return 0
        file, batch = self.spool.file, self._in_flight
        in_flight = 0
        if batch is not None and batch.spooled_to:
            in_flight = batch.entries
        elif batch is not None and (file.header.epoch, file.header.batch) == (self._epoch, batch.number):
            in_flight = file.header.carried
        return file.unread + in_flight

    async def write_next(self) -> None:
        """Write one batch, if anything waits. Cancelled, it leaves the batch in flight for the next call.

        Raises `Superseded`, and `BusError` for a cursor that is none of ours or a server that holds another tape now.
        """
        async with self._writing:  # one call in flight, though `run` and `drain` may both want to
            if not self._number:
                await self._begin()
            batch, spooled = self._in_flight, self._spooled
            if batch is None:
                if spooled is not None and spooled.spool.waiting:
                    batch = await self._next_spooled(spooled)
                if batch is None:
                    if not self.queue.dirty:
                        return
                    batch = self._next()
                self._in_flight = batch
            await self._delivery.deliver(batch)
            self._in_flight = None
            if spooled is None:
                self.claimed.set()
            elif batch.spooled_to:
                spooled.use(batch.spooled_to)
            self._acknowledge(batch.entries)

    async def _begin(self) -> None:
        """The first batch is empty: it claims this partition's cursor. From then on no predecessor can write."""
        await self._enrolment.ensure()
        self._epoch, self._epoch_text = self._producer.epoch, self._producer.epoch_text
        self._in_flight = self._batch()

    def begin_spool(self) -> bool:
        """From now on what happens goes through the spool, what waits in memory first: whether it does."""
        spooled = self._spooled
        return spooled is not None and (spooled.spool.active or spooled.begin(self._in_flight, self._number + (self._in_flight is None)))

    def _batch(self, spooled_to: int = 0) -> Batch:
        """The next one, still empty."""
        self._number += 1
        position = b""
        if self.spool is not None:
            position = self.spool.position_at(spooled_to) if spooled_to else self.spool.position
        return Batch(
            self._number, cursor=self._cursor, registry=self._registry, epoch=self._epoch_text, position=position, spooled_to=spooled_to
        )

    def _next(self) -> Batch:
        """A batch of what waits, up to the cap."""
        batch = self._batch()
        room, at = self._cap, 0
        queue, epoch = self.queue, self._epoch
        dirty = queue.dirty
        for at, stream in enumerate(dirty, 1):  # noqa: B007
            chunk = stream.pending
            if len(chunk) > room:
                stream.pending = chunk[room:]
                del chunk[room:]
            else:
                stream.pending = []
            batch.add(stream, chunk, epoch)
            room -= len(chunk)
            if not room or batch.size > BATCH_BYTES:
                break
        queue.dirty = dirty = dirty[at:]
        last = batch.groups[-1].stream
        if last.pending:
            dirty.append(last)
        return batch

    async def _next_spooled(self, spooled: SpoolReader) -> Batch | None:
        """The next batch of what was spooled, if it is its turn."""
        spool = spooled.spool
        if not spool.adopted or not spool.settled:
            await spooled.adopt()
        if not spool.active:
            return None
        self._spooled_last = not self._spooled_last
        if self.queue.dirty and not self._spooled_last:
            return None
        part = await spooled.take()
        if part is None:
            return None
        batch = self._batch(part.end)
        for stream, events in part.events.items():
            batch.add(stream, events, self._epoch)
        return batch
