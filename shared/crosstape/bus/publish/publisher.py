"""The publisher: accepts events without waiting and writes each to the tape exactly once. This module puts its parts together.

```
publish ─► stream ─► queue ───────► partition writer ─► delivery ─► server
              └──► overflow ─► spool ─┘                    └─► retransmit buffer
```

A memory budget counts the events in memory; losses are remembered until a gap reports them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import Client
from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.publish.delivery import Delivery
from crosstape.bus.publish.enrolment import Enrolment
from crosstape.bus.publish.losses import Losses
from crosstape.bus.publish.memory_budget import MemoryBudget
from crosstape.bus.publish.overflow import Overflow
from crosstape.bus.publish.partition_writer import PartitionWriter
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.spool_reader import SpoolReader
from crosstape.bus.publish.stream import Queue
from crosstape.bus.publish.streams import Streams
from crosstape.bus.read.last_values import last_values
from crosstape.bus.spool.spool import Spool
from crosstape.bus.spool.tape_identity import Tape
from crosstape.errors import BusError
from crosstape.log import get_log
from crosstape.settings import BusSettings
from crosstape_schemas import VENUE_WIDE, Event, Gap, Keys

FLOW_BATCHES: Final = 2
"""`flow` holds back a caller that is more batches than this ahead of a healthy server: one is in flight while the next one gathers. More
would only wait longer. Less would make the batches half as large."""

FLOW_POLL_S: Final = 0.05
"""How soon a caller that is held back notices that the server is away."""

log = get_log(__name__)


class Unpublished(NamedTuple):
    """Counts the entries that are not acknowledged."""

    lossless: int
    """Trades, liquidations, deltas, closed candles, statuses and gaps: each of them counts."""
    spooled: int
    """How many of the lossless ones the next start will publish from the spool. Those in flight are among them: they may be on the tape."""
    conflatable: int
    """States, as quotes, books and open candles: newer ones replace them at the next start."""


class Publisher:
    """Publishes the events of one venue (or of `CONSOLIDATED`) under one producer's name.

    `publish` puts an event into memory; `run` writes what is there, in batches, with one call in flight per partition. Events of one stream
    stay in order. Memory holds `settings.pending` events at most. When it is used up, the newest event of a state (quote, open candle, …)
    replaces the one before, and lossless events (trade, closed candle, …: see `overflow`) go to the spool, if there is one: files in the
    directory `spool`, bounded by `settings.spool_bytes`. Beyond that, or without a spool, the newest event is dropped, counted per stream,
    and reported as a `Gap` once memory is free.
    """

    def __init__(
        self,
        client: Client,
        keys: Keys,
        settings: BusSettings,
        *,
        producer: str,
        metrics: PublisherMetrics | None = None,
        spool: Path | None = None,
        epoch: int = 0,
        tape: Tape | None = None,
        yields: bool = False,
        corrects: bool = False,
        on_acknowledged: Callable[[int], None] | None = None,
    ) -> None:
        """`epoch`: from a `claim` of the caller; 0: the publisher claims the name itself. `tape`: shared by the publishers of a process.

        `yields`: leave the name to another publisher that is alive, because this one was superseded before.
        `corrects`: the candles and bars correct those that another producer publishes, so none of them is a last value.
        `on_acknowledged`: called with the number of entries that the server has just acknowledged.
        """
        self.client = client
        self.keys = keys
        self.settings = settings
        self.producer = producer
        self.metrics = metrics or PublisherMetrics()
        self.acknowledged = 0
        """Entries that are on the tape, of this publisher."""
        self.unacknowledged = 0
        """Entries that were not acknowledged when another process took over the name of this producer."""
        self.availability = Availability(client, producer, backoff_s=settings.backoff_s, reconnected=self.metrics.reconnected)
        self._on_acknowledged = on_acknowledged
        now = time.time_ns()
        self.tape = tape or Tape()
        self._producer = Producer(producer, epoch or now, now, self.tape, client, keys, settings, self.metrics, self.availability)
        queues = [Queue() for _ in range(keys.partitions)]
        self._streams = Streams(self._producer, queues, corrects=corrects)
        self._known = self._streams.known
        self._memory = MemoryBudget(settings.pending)
        self._losses = Losses(self.metrics)
        self._spools: list[Spool] = []
        self._enrolment = Enrolment(self._producer, self._spools, claims=not epoch, yields=yields)
        self._writers = [self._writer(partition, queue, spool) for partition, queue in enumerate(queues)]
        self._overflow = Overflow(
            self._producer,
            self._writers,
            memory=self._memory,
            losses=self._losses,
            report=lambda: self._report_losses(at_once=True),
        )
        self._flow_bound = min(FLOW_BATCHES * settings.batch, settings.pending // 2)
        self._caught_up = asyncio.Event()
        self._written = asyncio.Event()

    @property
    def epoch(self) -> int:
        """The number of this start, greater than those before. Final once `claimed`."""
        return self._producer.epoch

    @property
    def left(self) -> int:
        """Old name of `unacknowledged`; it goes with the next release."""
        return self.unacknowledged

    @property
    def pending(self) -> int:
        """Entries that are not acknowledged: waiting, spooled, or in flight."""
        return self._memory.used + sum(spool.disk.unread for spool in self._spools)

    @property
    def unpublished(self) -> Unpublished:
        """The entries that `pending` counts, by what becomes of them if this process ends now."""
        conflatable = sum(writer.conflatable for writer in self._writers)
        return Unpublished(self.pending - conflatable, sum(writer.spooled for writer in self._writers), conflatable)

    def publish(self, event: Event) -> None:
        """Put an event into memory; `run` writes it to the tape soon. Never waits, and never fails because of load.

        Raises `BusError` for an event of another venue than those before: numbers are per venue, and a publisher has one venue. A
        publisher with a spool must be called from the event loop once memory is used up.
        """
        self.publish_all((event,))

    def publish_all(self, events: Iterable[Event]) -> None:
        """Do as `publish` for each event, in order, at less cost. Raises the first error after all other events are in memory."""
        memory, failure = self._memory, None
        cls: type[Event] | None = None
        for event in events:
            if event.__class__ is not cls:
                cls = event.__class__
                known = self._known[cls]
            try:
                stream = known[event.instrument]
            except KeyError:
                try:
                    stream = self._streams.find_other(event)
                except BusError as exc:
                    failure = failure or exc
                    continue
            if memory.free <= 0:
                self._overflow.store(stream, event)
                continue
            memory.free -= 1
            pending = stream.pending
            if not pending:
                queue = stream.queue
                if not queue.dirty:
                    queue.wake.set()
                queue.dirty.append(stream)
            pending.append(event)
        if failure is not None:
            raise failure

    async def flow(self) -> None:
        """Let other tasks run and, while a healthy server is far behind, wait until it has caught up by half, for `timeout_s` at most.

        A loop that reads a socket awaits this now and then. Load beyond what the server can write then waits at the venue, by TCP, and not
        in our memory. A server that is away holds nobody back: events stay in memory up to `settings.pending`.
        """
        await asyncio.sleep(0)
        deadline = time.monotonic() + self.settings.timeout_s
        while self._memory.used > self._flow_bound and self.availability.answering and time.monotonic() < deadline:
            self._caught_up.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLOW_POLL_S):
                    await self._caught_up.wait()

    async def run(self) -> None:
        """Write what is published, until cancelled.

        Raises `Superseded` when the producer was started again elsewhere, and `BusError` when the server holds another tape than before,
        or the cursor is not ours.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for partition, writer in enumerate(self._writers):
                    group.create_task(writer.run(), name=f"bus.writer.{self.producer}.{partition}")
                for partition, spool in enumerate(self._spools):
                    group.create_task(spool.run(), name=f"bus.spool.{self.producer}.{partition}")
        except BaseExceptionGroup as failures:
            if (ended := failures.subgroup(BusError)) is not None:
                self.unacknowledged = self.pending
                self.close()  # what is in the spool belongs to our successor
                raise _first(ended) from None
            raise

    def is_writing_candles(self, instrument: str) -> bool:
        """Whether closed candles or bars of an instrument wait in memory, or entries of their streams are in flight."""
        streams = self._streams.candles(instrument)
        if any(not stream.is_state(event) for stream in streams for event in stream.pending):
            return True
        return bool(streams) and self._writers[self.keys.partition(instrument)].is_writing(streams)

    async def candles_written(self, instrument: str, timeout_s: float) -> bool:
        """Wait until all closed candles and bars of an instrument are acknowledged, for `timeout_s` at most. Returns whether they are.

        This stays true until the caller awaits something.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self.is_writing_candles(instrument):
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            return not self.is_writing_candles(instrument)
        return True

    async def claimed(self) -> None:
        """Return once no predecessor of this name can write any more and what it spooled is on the tape: `last` is the last event then.

        Needs `run`; waits as long as the bus is away.
        """
        for writer in self._writers:
            await writer.claimed.wait()  # no timeout: the bus may be away for as long

    async def drain(self, timeout_s: float) -> bool:
        """Wait until all that was published is acknowledged, for `timeout_s` at most. Returns whether it is.

        Works while `run` does, and after it was cancelled. Lossless events that are not acknowledged by then go to the spool, for a
        successor; states do not, because they would be old.
        """
        self._report_losses(at_once=True)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                while self.pending or self._losses.unreported(self._streams.venue):
                    for writer in self._writers:
                        while writer.waiting:
                            await writer.write_next()
                            if limit.expired():
                                raise TimeoutError
                    self._report_losses(at_once=True)
        except TimeoutError:
            self._overflow.spool_pending()
            log.warning("bus.not_drained", producer=self.producer, pending=self.pending, spooled=self.unpublished.spooled)
            return False
        except BusError as exc:
            log.warning("bus.not_drained", producer=self.producer, pending=self.pending, reason=str(exc))
            self.close()
            return False
        return True

    def close(self) -> None:
        """Close the spool and leave what is in it to a successor. Blocks for as long as an fsync takes."""
        for spool in self._spools:
            spool.close()

    async def last(self, kind: str, instruments: Sequence[str], venue: str) -> dict[str, Event]:
        """Returns instrument → newest event of this venue, of the instruments that have one: where this producer's predecessor ended.

        For the status of one feed, `venue` is `venue:kind` (`binance:quote`). Raises `BusError` when the server does not answer.
        """
        found = await last_values(self.client, self.keys, ((kind, name) for name in instruments), venue)
        return {instrument: event for (_, instrument), event in found.items()}

    def _acknowledge(self, entries: int) -> None:
        """Count entries that a partition's writer has written, and release their memory."""
        self.acknowledged += entries
        self._written.set()
        memory = self._memory
        memory.release(entries)
        if memory.tight and memory.eased and memory.ease(spooling=any(spool.active for spool in self._spools)):
            log.info("bus.pending_free", producer=self.producer, pending=self.pending)
        self._report_losses()
        used = memory.used
        self.metrics.pending(used)
        if self._on_acknowledged is not None:
            self._on_acknowledged(entries)
        if used <= self._flow_bound // 2:
            self._caught_up.set()

    def _report_losses(self, *, at_once: bool = False) -> None:
        """Publish gaps for what was lost. While there is no memory for them, or no report is due yet, the losses are remembered."""
        memory, losses, venue = self._memory, self._losses, self._streams.venue
        if not losses.unreported(venue):
            return
        now = time.monotonic()
        if not at_once and (memory.conflating or not losses.due(now)):
            return
        for gap in losses.venue_gaps(venue, now, time.time_ns()):
            self._publish_gap(gap)
        while memory.available > 0 and (gaps := losses.stream_gaps(time.time_ns())):
            for gap in gaps:
                self._publish_gap(gap)

    def _publish_gap(self, gap: Gap) -> None:
        name = self.keys.venue(gap.venue) if gap.instrument == VENUE_WIDE else self.keys.stream(gap.kind, gap.instrument)
        log.warning("bus.gap", stream=name, cause=gap.cause.value, missed=gap.missed, from_ts=gap.from_ts, to_ts=gap.to_ts)
        self.publish(gap)

    def _writer(self, partition: int, queue: Queue, directory: Path | None) -> PartitionWriter:
        """Make the writer of one partition, with all that it needs."""
        producer, memory, losses = self._producer, self._memory, self._losses
        reader = None
        if directory is not None:
            self._spools.append(self._spool(directory, partition))
            reader = SpoolReader(producer, partition, self._spools[-1], queue=queue, streams=self._streams, memory=memory, losses=losses)
        delivery = Delivery(producer, partition, queue=queue, memory=memory, losses=losses, restore=self._enrolment.restore)
        return PartitionWriter(
            producer,
            partition,
            queue=queue,
            delivery=delivery,
            spool_reader=reader,
            acknowledge=self._acknowledge,
            enrolment=self._enrolment,
        )

    def _spool(self, directory: Path, partition: int) -> Spool:
        """Make the spool of one partition."""
        return Spool(
            directory / f"{partition}-of-{self.keys.partitions}",
            bound=self.settings.spool_bytes // self.keys.partitions,
            sync=self.settings.spool_sync,
            metrics=self.metrics,
            freed=self._memory.release,
            changed=self._measure_spools,
            tape=lambda: self.tape.identity,
        )

    def _measure_spools(self) -> None:
        disks = [spool.disk for spool in self._spools]
        self.metrics.spool(sum(disk.size for disk in disks), sum(disk.written_to - disk.done_to for disk in disks))


def _first(group: BaseExceptionGroup[BusError]) -> BusError:
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    assert isinstance(exc, BusError)
    return exc
