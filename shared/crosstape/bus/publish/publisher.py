"""The writing side of the bus: events in, without waiting, and each on the tape exactly once.

```
publish ─► stream ─► queue ───────► lane ─► delivery ─► server
              └──► overflow ─► spool ─┘        └─► ring
```

This is the whole of it, put together: `room` counts what is in memory, `losses` what will not be on the tape.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

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
from crosstape.settings import BusSettings
from crosstape_schemas import VENUE_WIDE, Event, Gap, Keys

FLOW_BATCHES: Final = 4
"""`flow` holds back a reader that is more than so many batches ahead of a healthy server: more would gain nothing, and cost caches."""

FLOW_POLL_S: Final = 0.05
"""How soon one that is held back notices that the server is away."""

log = structlog.get_logger()


class Unpublished(NamedTuple):
    """Counts the entries that are not acknowledged."""

    lossless: int
    """Trades, deltas, statuses and gaps: each of them counts."""
    spooled: int
    """How many of the lossless ones the next start will publish from the spool. Those in flight are among them: they may be on the tape."""
    conflatable: int
    """Quotes, books and tickers: newer ones replace them at the next start."""


class Publisher:
    """One producer of one venue's (or of `CONSOLIDATED`) events.

    `publish` puts an event into memory; `run` writes what is there, in batches, one call in flight per partition. Events of one stream stay
    in order. Memory is bounded by `settings.pending` events. When they are used up, states (quote, book, ticker, cbbo) give way to the
    newest of their stream; what happened (trade, delta, status, gap) goes to the spool, if there is one (`spool` is its directory), a
    file bounded by `settings.spool_bytes`. Beyond that, or without one, the newest is dropped, counted per stream, and reported as a
    `Gap` once there is room.
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
    ) -> None:
        """`epoch`: of a `claim` that the caller has made; 0: the publisher makes its own. `tape`: shared by the publishers of a process.

        `yields`: leave the name to another publisher that is alive, since this one was superseded before.
        """
        self.client = client
        self.keys = keys
        self.settings = settings
        self.producer = producer
        self.metrics = metrics or PublisherMetrics()
        self.acknowledged = 0
        self.unacknowledged = 0
        """Entries that were not acknowledged when another process took over the name of this producer."""
        self.availability = Availability(client, producer, backoff_s=settings.backoff_s, reconnected=self.metrics.reconnected)
        now = time.time_ns()
        self.tape = tape or Tape()
        who = self._who = Producer(producer, epoch or now, now, self.tape, client, keys, settings, self.metrics, self.availability)
        queues = [Queue() for _ in range(keys.partitions)]
        self._streams = Streams(who, queues)
        self._known = self._streams.known
        self._room = MemoryBudget(settings.pending)
        self._losses = Losses(self.metrics)
        self._spools: list[Spool] = []
        self._enrolment = Enrolment(who, self._spools, claims=not epoch, yields=yields)
        self._lanes = [self._lane(who, partition, queue, spool) for partition, queue in enumerate(queues)]
        self._overflow = Overflow(who, self._lanes, room=self._room, losses=self._losses, tell=lambda: self._tell(at_once=True))
        self._flow_bound = min(FLOW_BATCHES * settings.batch, settings.pending // 2)
        self._flows = asyncio.Event()

    @property
    def epoch(self) -> int:
        """Of this start: greater than those before. Final once `claimed`."""
        return self._who.epoch

    @property
    def left(self) -> int:
        """Old name of `unacknowledged`; it goes with the next release."""
        return self.unacknowledged

    @property
    def pending(self) -> int:
        """Entries that are not acknowledged: waiting, spooled, or in flight."""
        return self._room.held + sum(spool.file.unread for spool in self._spools)

    @property
    def unpublished(self) -> Unpublished:
        """What `pending` counts, by what becomes of it if this process ends now."""
        states = sum(lane.states for lane in self._lanes)
        return Unpublished(self.pending - states, sum(lane.spooled for lane in self._lanes), states)

    def publish(self, event: Event) -> None:
        """Put an event on the tape, soon. Never waits and never fails for load.

        Raises `BusError` for an event of another venue than those before: numbers are per venue, and a publisher has one. Once memory is
        used up, with a spool, it must be called from the event loop.
        """
        try:
            stream = self._known[event.__class__][event.instrument]
        except KeyError:
            stream = self._streams.open(event)
        room = self._room
        free = room.free
        if free <= 0:
            self._overflow.put(stream, event)
            return
        room.free = free - 1
        pending = stream.pending
        if not pending:
            queue = stream.queue
            if not queue.dirty:
                queue.wake.set()
            queue.dirty.append(stream)
        pending.append(event)

    async def flow(self) -> None:
        """Give others a turn and, while a healthy server is far behind, wait until it has caught up by half: `timeout_s` at the longest.

        Whoever reads a socket in a loop awaits this now and then, so that load beyond what the server takes waits at the venue, by TCP,
        and not in our memory. A server that is away holds nobody back: for that there is `pending`.
        """
        await asyncio.sleep(0)
        deadline = time.monotonic() + self.settings.timeout_s
        while self._room.held > self._flow_bound and self.availability.answering and time.monotonic() < deadline:
            self._flows.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLOW_POLL_S):
                    await self._flows.wait()

    def publish_all(self, events: Iterable[Event]) -> None:
        """`publish` each, in order."""
        for event in events:
            self.publish(event)

    async def run(self) -> None:
        """Write what is published, until cancelled.

        Raises `Superseded` when the producer was started again elsewhere, and `BusError` when the server holds another tape than before,
        or the cursor is none of ours.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for partition, lane in enumerate(self._lanes):
                    group.create_task(lane.run(), name=f"bus.lane.{self.producer}.{partition}")
                for partition, spool in enumerate(self._spools):
                    group.create_task(spool.run(), name=f"bus.spool.{self.producer}.{partition}")
        except BaseExceptionGroup as failures:
            if (ended := failures.subgroup(BusError)) is not None:
                self.unacknowledged = self.pending
                self.close()  # what is in the spool is our successor's
                raise _first(ended) from None
            raise

    async def claimed(self) -> None:
        """Return once no predecessor of the same name can write any more, and what it spooled is on the tape, so that `last` is the last.

        Needs `run`; waits for the bus.
        """
        for lane in self._lanes:
            await lane.claimed.wait()  # as long as the bus is away

    async def drain(self, timeout_s: float) -> bool:
        """Whether all that was published is acknowledged, within `timeout_s`. Works while `run` does, and after it was cancelled.

        What is not by then goes to the spool, for a successor: states do not, they would be old by then.
        """
        self._tell(at_once=True)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                while self.pending or self._losses.untold(self._streams.venue):
                    for lane in self._lanes:
                        while lane.waiting:
                            await lane.write_next()
                            if limit.expired():
                                raise TimeoutError
                    self._tell(at_once=True)
        except TimeoutError:
            self._overflow.put_by()
            log.warning("bus.not_drained", producer=self.producer, pending=self.pending, spooled=self.unpublished.spooled)
            return False
        except BusError as exc:
            log.warning("bus.not_drained", producer=self.producer, pending=self.pending, reason=str(exc))
            self.close()
            return False
        return True

    def close(self) -> None:
        """Let go of the spool, with what is in it. Blocks for as long as an fsync takes."""
        for spool in self._spools:
            spool.close()

    async def last(self, kind: str, instruments: Sequence[str], venue: str) -> dict[str, Event]:
        """The newest event of this venue per instrument, of those that have one: what this producer's predecessor left behind.

        A status is asked for by `venue:kind` of its feed (`binance:quote`). Raises `BusError` when the server does not answer.
        """
        found = await last_values(self.client, self.keys, ((kind, name) for name in instruments), venue)
        return {instrument: event for (_, instrument), event in found.items()}

    def _acknowledge(self, entries: int) -> None:
        """Called by a lane: so many are on the tape, and their room is free."""
        self.acknowledged += entries
        room = self._room
        room.give(entries)
        if room.eased and room.ease(spooling=any(spool.active for spool in self._spools)):
            log.info("bus.pending_free", producer=self.producer, pending=self.pending)
        self._tell()
        held = room.held
        self.metrics.pending(held)
        if held <= self._flow_bound // 2:
            self._flows.set()

    def _tell(self, *, at_once: bool = False) -> None:
        """Publish a gap for what was lost; while there is no room for it, or it is not due yet, the loss is remembered."""
        room, losses, venue = self._room, self._losses, self._streams.venue
        if not losses.untold(venue):
            return
        now = time.monotonic()
        if not at_once and (room.conflating or not losses.due(now)):
            return
        for gap in losses.venue_gaps(venue, now, time.time_ns()):
            self._publish_gap(gap)
        while room.left > 0 and (gaps := losses.stream_gaps(time.time_ns())):
            for gap in gaps:
                self._publish_gap(gap)

    def _publish_gap(self, gap: Gap) -> None:
        lacking = self.keys.venue(gap.venue) if gap.instrument == VENUE_WIDE else self.keys.stream(gap.kind, gap.instrument)
        log.warning("bus.gap", stream=lacking, cause=gap.cause.value, missed=gap.missed, from_ts=gap.from_ts, to_ts=gap.to_ts)
        self.publish(gap)

    def _lane(self, who: Producer, partition: int, queue: Queue, spool: Path | None) -> PartitionWriter:
        """One partition's, with all that it needs."""
        room, losses = self._room, self._losses
        spooled = None
        if spool is not None:
            self._spools.append(self._spool(spool, partition))
            spooled = SpoolReader(who, partition, self._spools[-1], queue=queue, streams=self._streams, room=room, losses=losses)
        delivery = Delivery(who, partition, queue=queue, room=room, losses=losses, restore=self._enrolment.restore)
        return PartitionWriter(
            who,
            partition,
            queue=queue,
            delivery=delivery,
            spooled=spooled,
            acknowledge=self._acknowledge,
            enrolment=self._enrolment,
        )

    def _spool(self, directory: Path, partition: int) -> Spool:
        """A partition's part of it."""
        return Spool(
            directory / f"{partition}-of-{self.keys.partitions}",
            bound=self.settings.spool_bytes // self.keys.partitions,
            sync=self.settings.spool_sync,
            metrics=self.metrics,
            freed=self._room.give,
            changed=self._measure_spools,
            tape=lambda: self.tape.identity,
        )

    def _measure_spools(self) -> None:
        files = [spool.file for spool in self._spools]
        self.metrics.spool(sum(file.size for file in files), sum(file.written_to - file.used_to for file in files))


def _first(group: BaseExceptionGroup[BusError]) -> BusError:
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    assert isinstance(exc, BusError)
    return exc
