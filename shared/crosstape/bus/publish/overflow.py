"""Where an event goes once the memory is used up, or something is in a spool.

States (quote, book, ticker, cbbo) give way to the newest of their stream; what happened (trade, delta, status, gap) goes to the spool, if
there is one. Beyond that, or without one, the newest is dropped. The newest, not the oldest: the hole then begins where the memory ends and
is one per stream, dropping costs nothing while the machine is already late, and what has been accepted stays accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from crosstape.bus.publish.losses import Losses
from crosstape.bus.publish.memory_budget import MemoryBudget
from crosstape.bus.publish.partition_writer import PartitionWriter
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.stream import Stream
from crosstape.bus.spool.spool import Spool
from crosstape_schemas import Event, GapCause

SPILL: Final = 64
"""Events that go to the spool to make room for one, when nothing else makes it."""

log = structlog.get_logger()


class Overflow:
    """Of all lanes together. `tell` publishes gaps for what was lost, at once: before what comes after it."""

    def __init__(
        self, producer: Producer, lanes: Sequence[PartitionWriter], *, room: MemoryBudget, losses: Losses, tell: Callable[[], None]
    ) -> None:
        self._producer = producer
        self._lanes = {lane.queue: lane for lane in lanes}
        self._room = room
        self._losses = losses
        self._tell = tell

    def put(self, stream: Stream, event: Event) -> None:
        """Into memory, the spool, or nowhere."""
        room, queue = self._room, stream.queue
        room.tighten()
        if room.spare <= 0 and not room.conflating:
            self._conflate()
        lane = self._lanes[queue]
        if stream.conflates:
            if stream.pending and room.conflating:
                self._producer.metrics.conflated(stream.kind, 1)
                stream.pending[-1] = event
                return
        elif lane.spool is not None and (lane.spool.active or (room.spare <= 0 and lane.begin_spool())):
            self._put_spooled(lane.spool, stream, event)
            return
        elif room.spare <= 0:
            self._drop(stream, event)
            return
        room.take(1)  # a state's newest is kept beyond the bound: at most one per stream
        queue.put(stream, event)

    def put_by(self) -> None:
        """What happened and is in memory goes to the spool, as far as it takes it."""
        spools = [lane.spool for lane in self._lanes.values() if lane.spool is not None]
        if not spools or not self._room.held:
            return
        self._room.tighten()
        self._begin_spools()
        self._tell()
        for spool in spools:
            while spool.active and spool.spill():
                pass

    def _put_spooled(self, spool: Spool, stream: Stream, event: Event) -> None:
        """Into the spool, by way of memory. When both are full, dropping goes on until there is some room.

        What fills the memory may be on its way out of the spool, or states beyond the bound: then this is written at once.
        """
        room = self._room
        while room.spare <= 0 and spool.spill(SPILL):
            pass
        if spool.backlog and room.drops():
            room.dropping = True
            self._drop(stream, event)
            return
        if room.dropping:
            room.dropping = False
            self._tell()
        room.take(1)
        spool.put(event)

    def _drop(self, stream: Stream, event: Event) -> None:
        self._losses.note(stream, GapCause.OVERFLOW, event.received_ts, event.received_ts, 1)

    def _conflate(self) -> None:
        """The memory is used up: from here on, states give way to newer ones, and what happens goes to the spool."""
        freed = 0
        for queue in self._lanes:
            for stream, extra in queue.conflate():
                self._producer.metrics.conflated(stream.kind, extra)
                freed += extra
        self._room.conflate(freed)
        log.warning("bus.pending_full", producer=self._producer.name, pending=self._room.bound, conflated=freed)
        self._begin_spools()

    def _begin_spools(self) -> None:
        for lane in self._lanes.values():
            lane.begin_spool()
