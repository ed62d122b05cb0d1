"""Decides where an event goes once the memory is used up, or something is in a spool.

States (quote, book, ticker, mark, funding, open_interest, cbbo, open candles) are conflated: the newest of their stream replaces the one
before. Lossless events (trade, delta, liquidation, closed candles, status, gap) go to the spool, if there is one. Beyond that, or without a
spool, the newest event is dropped. The newest, not the oldest: then there is one gap per stream, which starts where the memory ends;
dropping costs nothing while the machine is already late; and what was accepted stays accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from crosstape.bus.publish.losses import Losses
from crosstape.bus.publish.memory_budget import MemoryBudget
from crosstape.bus.publish.partition_writer import PartitionWriter
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.stream import Stream
from crosstape.bus.spool.spool import Spool
from crosstape.log import get_log
from crosstape_schemas import Event, GapCause

SPILL: Final = 64
"""Events that are written to the spool at once to free memory for one."""

log = get_log(__name__)


class Overflow:
    """The overflow of all partitions together. `report` publishes gaps for what was lost, at once: before the events that follow it."""

    def __init__(
        self, producer: Producer, writers: Sequence[PartitionWriter], *, memory: MemoryBudget, losses: Losses, report: Callable[[], None]
    ) -> None:
        self._producer = producer
        self._writers = {writer.queue: writer for writer in writers}
        self._memory = memory
        self._losses = losses
        self._report = report

    def store(self, stream: Stream, event: Event) -> None:
        """Put the event into memory or into the spool, or drop it."""
        memory, queue = self._memory, stream.queue
        memory.tighten()
        if memory.spare <= 0 and not memory.conflating:
            self._conflate()
        writer = self._writers[queue]
        if stream.is_state(event):
            if memory.conflating and stream.replace_newest(event):
                self._producer.metrics.conflated(stream.kind, 1)
                return
        elif writer.spool is not None and (writer.spool.active or (memory.spare <= 0 and writer.start_spool())):
            self._spool(writer.spool, stream, event)
            return
        elif memory.conflating and memory.spare >= 0 and stream.replace_newest(event):  # a closed candle for the open one
            self._producer.metrics.conflated(stream.kind, 1)
            return
        elif memory.spare <= 0:
            self._drop(stream, event)
            return
        memory.reserve(1)  # the newest of a state is kept beyond the bound: at most one per stream
        queue.append(stream, event)

    def spool_pending(self) -> None:
        """Write the lossless events that are in memory to the spool, as many as fit."""
        spools = [writer.spool for writer in self._writers.values() if writer.spool is not None]
        if not spools or not self._memory.used:
            return
        self._memory.tighten()
        self._start_spools()
        self._report()
        for spool in spools:
            while spool.active and spool.spill():
                pass

    def _spool(self, spool: Spool, stream: Stream, event: Event) -> None:
        """Put the event into the spool's backlog, which is in memory. When both are full, drop until some memory is free.

        The memory may be full of entries that were read out of the spool, or of states beyond the bound: then write the backlog at once.
        """
        memory = self._memory
        while memory.spare <= 0 and spool.spill(SPILL):
            pass
        if spool.backlog and memory.drops():
            memory.dropping = True
            self._drop(stream, event)
            return
        if memory.dropping:
            memory.dropping = False
            self._report()
        memory.reserve(1)
        spool.append(event)

    def _drop(self, stream: Stream, event: Event) -> None:
        self._losses.note(stream, GapCause.OVERFLOW, event.received_ts, event.received_ts, 1)

    def _conflate(self) -> None:
        """Start conflation: the memory is used up. From now on newer states replace older ones, and lossless events go to the spool."""
        freed = 0
        for queue in self._writers:
            for stream, extra in queue.conflate():
                self._producer.metrics.conflated(stream.kind, extra)
                freed += extra
        self._memory.conflate(freed)
        log.warning("bus.pending_full", producer=self._producer.name, pending=self._memory.bound, conflated=freed)
        self._start_spools()

    def _start_spools(self) -> None:
        for writer in self._writers.values():
            writer.start_spool()
