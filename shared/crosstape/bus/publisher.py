"""The writing side of the bus: events in, without waiting, and each on the tape exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from crosstape.bus.connection import UNAVAILABLE, Client, ask
from crosstape.bus.health import Health
from crosstape.bus.lane import Lane
from crosstape.bus.metrics import PublisherMetrics
from crosstape.bus.spool import Spool
from crosstape.bus.stream import Stream
from crosstape.errors import BusError, Superseded
from crosstape.settings import BusSettings
from crosstape_schemas import VENUE_WIDE, Event, Gap, GapCause, Keys, decode
from crosstape_schemas.events import KIND_OF

TIGHT_ENDS: Final = 4
"""Conflation and dropping end when a fourth of `pending` is free again."""

FLOW_BATCHES: Final = 4
"""`flow` holds back a reader that is more than so many batches ahead of a healthy server: more would gain nothing, and cost caches."""

FLOW_POLL_S: Final = 0.05
"""How soon one that is held back notices that the server is away."""

DROPPING_ENDS: Final = 16
"""Dropping beyond the spool ends when so great a part of `pending` is free: as a segment of the spool is used."""

SPILL: Final = 64
"""Events that go to the spool to make room for one, when nothing else makes it."""

REPORT_S: Final = 1.0
"""Losses are reported at most so often, so that a long trouble is told in few gaps."""

log = structlog.get_logger()


class Publisher:
    """One producer of one venue's (or of `CONSOLIDATED`) events.

    `publish` puts an event into memory; `run` writes what is there, in batches, one call in flight per partition. Events of one stream stay
    in order. Memory is bounded by `settings.pending` events. When they are used up, states (quote, book, ticker, cbbo) give way to the
    newest of their stream; what happened (trade, delta, status, gap) goes to the spool, if there is one (`spool` is its directory), a
    file bounded by `settings.spool_bytes`. Beyond that, or without one, the newest is dropped, counted per stream, and reported as a
    `Gap` once there is room. The newest, not the oldest: the hole then begins where the memory ends and is one per stream, dropping costs
    nothing while the machine is already late, and what has been accepted stays accepted.
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
    ) -> None:
        self.client = client
        self.keys = keys
        self.settings = settings
        self.producer = producer
        self.metrics = metrics or PublisherMetrics()
        self.epoch = epoch or time.time_ns()  # one given by a caller who knows that this clock may be behind a predecessor's
        self.acknowledged = 0
        self.health = Health(client, producer, backoff_s=settings.backoff_s, reconnected=self.metrics.reconnected)
        self.told: set[tuple[Stream, str]] = set()
        self._venue = ""
        self._streams: dict[type[Event], dict[str, Stream]] = {cls: {} for cls in KIND_OF}
        self._spools: list[Spool] = []
        self._lanes = [Lane(self, partition, self._spool(spool, partition)) for partition in range(keys.partitions)]
        self._bound = settings.pending
        self._room = settings.pending  # of the fast path: 0 while tight
        self._spare = 0  # the room there is while tight
        self._tight = False  # conflating, or with a spool that is not empty yet
        self._conflating = False
        self._dropping = False  # the spool is full, too
        self._damages: list[tuple[int | None, int]] = []
        self._losing: set[Stream] = set()
        self._reported_at = 0.0
        self._flow_bound = min(FLOW_BATCHES * settings.batch, settings.pending // 2)
        self._flows = asyncio.Event()

    @property
    def pending(self) -> int:
        """Entries that are not acknowledged: waiting, spooled, or in flight."""
        return self._held + sum(spool.file.unread for spool in self._spools)

    @property
    def _held(self) -> int:
        """Those of them that are in memory."""
        return self._bound - (self._spare if self._tight else self._room)

    def publish(self, event: Event) -> None:
        """Put an event on the tape, soon. Never waits and never fails for load.

        Raises `BusError` for an event of another venue than those before: numbers are per venue, and a publisher has one. Once memory is
        used up, with a spool, it must be called from the event loop.
        """
        try:
            stream = self._streams[event.__class__][event.instrument]
        except KeyError:
            stream = self._open(event)
        if self._room <= 0:
            self._publish_tight(stream, event)
            return
        self._room -= 1
        pending = stream.pending
        if not pending:
            lane = stream.lane
            if not lane.dirty:
                lane.wake.set()
            lane.dirty.append(stream)
        pending.append(event)

    async def flow(self) -> None:
        """Give others a turn and, while a healthy server is far behind, wait until it has caught up by half: `timeout_s` at the longest.

        Whoever reads a socket in a loop awaits this now and then, so that load beyond what the server takes waits at the venue, by TCP,
        and not in our memory. A server that is away holds nobody back: for that there is `pending`.
        """
        await asyncio.sleep(0)
        deadline = time.monotonic() + self.settings.timeout_s
        while self._held > self._flow_bound and self.health.well and time.monotonic() < deadline:
            self._flows.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLOW_POLL_S):
                    await self._flows.wait()

    def publish_all(self, events: Iterable[Event]) -> None:
        """`publish` each, in order."""
        for event in events:
            self.publish(event)

    async def run(self) -> None:
        """Write what is published, until cancelled. Raises `Superseded` when the producer was started again elsewhere."""
        try:
            async with asyncio.TaskGroup() as group:
                for partition, lane in enumerate(self._lanes):
                    group.create_task(lane.run(), name=f"bus.lane.{self.producer}.{partition}")
                for partition, spool in enumerate(self._spools):
                    group.create_task(spool.run(), name=f"bus.spool.{self.producer}.{partition}")
        except BaseExceptionGroup as failures:
            if (superseded := failures.subgroup(Superseded)) is not None:
                self.close()  # what is in the spool is our successor's
                raise _first(superseded) from None
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
        self._report_losses(at_once=True)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                while self.pending or self._untold:
                    for lane in self._lanes:
                        while lane.waiting:
                            await lane.write_next()
                            if limit.expired():
                                raise TimeoutError
                    self._report_losses(at_once=True)
        except TimeoutError:
            self._put_by()
            log.warning("bus.not_drained", producer=self.producer, pending=self.pending, spooled=self.pending - self._held)
            return False
        except Superseded:
            log.warning("bus.not_drained", producer=self.producer, pending=self.pending)
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
        found: dict[str, Event] = {}
        values: list[bytes | None] = []
        try:
            for start in range(0, len(instruments), LAST_AT_ONCE):
                part = instruments[start : start + LAST_AT_ONCE]
                values += await asyncio.gather(*(ask(self.client, "HGET", self.keys.last(kind, name), venue) for name in part))
        except UNAVAILABLE as exc:
            raise BusError(f"last values: {exc}") from exc
        for instrument, value in zip(instruments, values, strict=True):
            if value is not None:
                try:
                    found[instrument] = decode(value)
                except msgspec.MsgspecError:
                    log.warning("bus.foreign", key=self.keys.last(kind, instrument), field=venue)
        return found

    def lose(self, stream: Stream, cause: GapCause, from_ts: int, to_ts: int, missed: int) -> None:
        """Take note that so many events of a stream will not be on the tape; a gap will say so."""
        stream.lose(cause, from_ts, to_ts, missed)
        self._losing.add(stream)
        self.metrics.dropped(stream.kind, missed, cause)

    def acknowledge(self, entries: int) -> None:
        """Called by a lane: so many are on the tape, and their room is free."""
        self.acknowledged += entries
        if self._tight:
            self._spare += entries
            if self._spare > self._bound // TIGHT_ENDS:
                self._loosen()
        else:
            self._room += entries
        if self._untold:
            self._report_losses()
        held = self._held
        self.metrics.pending(held)
        if held <= self._flow_bound // 2:
            self._flows.set()

    def stream(self, event: Event) -> Stream:
        """The one that this event belongs on. Raises `BusError` for one of another venue."""
        try:
            return self._streams[event.__class__][event.instrument]
        except KeyError:
            return self._open(event)

    def take_room(self, entries: int) -> None:
        """Called by a lane: so many that were not are in memory now."""
        if self._tight:
            self._spare -= entries
        else:
            self._room -= entries

    def tighten(self) -> None:
        """From here on, events are looked at one by one: the memory is used up, or there is something in a spool."""
        if not self._tight:
            self._tight, self._spare, self._room = True, self._room, 0

    def damaged(self, missed: int | None, from_ts: int, torn: int = 0) -> None:
        """Called by a lane: so many spooled entries cannot be read, of which streams nobody knows. A gap of the whole venue will say so."""
        log.error("bus.spool_damaged", producer=self.producer, missed=missed, torn_bytes=torn)
        self.metrics.spool_error()
        if missed:
            self.metrics.dropped(VENUE_WIDE, missed, GapCause.BUS)
        self._damages.append((missed, from_ts))

    def publish_again(self, stream: Stream) -> None:
        """Called by a lane when the server has lost it: the newest of a state goes on the tape once more, before what is pending."""
        events = list(stream.newest.values())
        if not events:
            return
        if not stream.pending:
            stream.lane.dirty.append(stream)
        stream.pending[:0] = events
        self.take_room(len(events))

    def _open(self, event: Event) -> Stream:
        """The first event of a stream."""
        if self._venue and event.venue != self._venue:
            raise BusError(f"{self.producer} publishes {self._venue}, not {event.venue}")
        self._venue = event.venue
        kind = KIND_OF[type(event)]
        lane = self._lanes[self.keys.partition(event.instrument)]
        stream = Stream(event, self.keys, getattr(self.settings.max_len, kind), lane)
        for other in self._streams.values():  # a venue's own stream takes both its statuses and its gaps, under one numbering
            if (found := other.get(event.instrument)) is not None and found.key == stream.key:
                stream = found
                break
        else:
            lane.streams.append(stream)
        self._streams[type(event)][event.instrument] = stream
        return stream

    def _publish_tight(self, stream: Stream, event: Event) -> None:
        self.tighten()
        if self._spare <= 0 and not self._conflating:
            self._conflate()
        lane, pending = stream.lane, stream.pending
        if stream.conflates:
            if pending and self._conflating:
                self.metrics.conflated(stream.kind, 1)
                pending[-1] = event
                return
        elif lane.spool is not None and (lane.spool.active or (self._spare <= 0 and lane.begin_spool())):
            self._publish_spooled(lane.spool, stream, event)
            return
        elif self._spare <= 0:
            self.lose(stream, GapCause.OVERFLOW, event.received_ts, event.received_ts, 1)
            return
        self._spare -= 1  # a state's newest is kept beyond the bound: at most one per stream
        if not pending:
            lane.dirty.append(stream)
            lane.wake.set()
        pending.append(event)

    def _publish_spooled(self, spool: Spool, stream: Stream, event: Event) -> None:
        """Into the spool, by way of memory. When both are full, dropping goes on until there is some room, so that gaps are few."""
        if self._spare <= 0:
            spool.spill(SPILL)
        if self._spare <= (self._bound // DROPPING_ENDS if self._dropping else 0):
            self._dropping = True
            self.lose(stream, GapCause.OVERFLOW, event.received_ts, event.received_ts, 1)
            return
        if self._dropping:
            self._dropping = False
            self._report_losses(at_once=True)  # before what comes after them
        self._spare -= 1
        spool.put(event)

    def _conflate(self) -> None:
        """The memory is used up: from here on, states give way to newer ones, and what happens goes to the spool."""
        freed = 0
        for lane in self._lanes:
            for stream in lane.dirty:
                if stream.conflates and (extra := len(stream.pending) - 1) > 0:
                    del stream.pending[:extra]
                    self.metrics.conflated(stream.kind, extra)
                    freed += extra
        self._conflating = True
        self._spare += freed
        log.warning("bus.pending_full", producer=self.producer, pending=self._bound, conflated=freed)
        for lane in self._lanes:
            lane.begin_spool()

    def _loosen(self) -> None:
        if self._conflating:
            self._conflating = False
            log.info("bus.pending_free", producer=self.producer, pending=self.pending)
        if not any(spool.active for spool in self._spools):
            self._tight, self._dropping, self._room, self._spare = False, False, self._spare, 0

    @property
    def _untold(self) -> bool:
        """Whether there is a loss to report."""
        return bool(self._losing) or (bool(self._damages) and bool(self._venue))

    def _report_losses(self, *, at_once: bool = False) -> None:
        """Publish a gap for what streams lost; while there is no room for it, the loss is remembered."""
        now = time.monotonic()
        if not self._untold or (not at_once and (self._conflating or now < self._reported_at + REPORT_S)):
            return
        self._reported_at = now
        if self._venue:
            self._report_damages()
        while self._losing and (self._spare if self._tight else self._room) > 0:
            stream = self._losing.pop()
            for gap in stream.gaps(time.time_ns()):
                self._report(stream.key.decode(), gap)

    def _report_damages(self) -> None:
        """The same for what a spool lost, of which only the venue is known."""
        damages, self._damages = self._damages, []
        for missed, from_ts in damages:
            now_ts = time.time_ns()
            gap = Gap(self._venue, VENUE_WIDE, None, now_ts, VENUE_WIDE, from_ts, now_ts, missed, GapCause.BUS)
            self._report(self.keys.venue(self._venue), gap)

    def _report(self, stream: str, gap: Gap) -> None:
        log.warning("bus.gap", stream=stream, cause=gap.cause.value, missed=gap.missed, from_ts=gap.from_ts, to_ts=gap.to_ts)
        self.publish(gap)

    def _put_by(self) -> None:
        """What happened and is in memory goes to the spool, as far as it takes it."""
        if not self._spools or not self._held:
            return
        self.tighten()
        for lane in self._lanes:
            lane.begin_spool()
        self._report_losses(at_once=True)
        for spool in self._spools:
            while spool.active and spool.spill():
                pass

    def _spool(self, directory: Path | None, partition: int) -> Spool | None:
        if directory is None:
            return None
        spool = Spool(
            directory / f"{partition}-of-{self.keys.partitions}",
            bound=self.settings.spool_bytes // self.keys.partitions,
            sync=self.settings.spool_sync,
            metrics=self.metrics,
            freed=self._free,
            changed=self._measure_spools,
        )
        self._spools.append(spool)
        return spool

    def _free(self, entries: int) -> None:
        """So many are in a file now, and not in memory."""
        self._spare += entries

    def _measure_spools(self) -> None:
        files = [spool.file for spool in self._spools]
        self.metrics.spool(sum(file.size for file in files), sum(file.written_to - file.used_to for file in files))


LAST_AT_ONCE: Final = 50
"""Requests in flight for last values: each takes a connection."""


def _first(group: BaseExceptionGroup[Superseded]) -> Superseded:
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    assert isinstance(exc, Superseded)
    return exc
