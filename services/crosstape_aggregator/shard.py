"""Serves one shard: reads events from the bus, applies them to the engine, and publishes quotes. (`service` decides about shards.)

There are two readers, so that reading the past does not delay live events. The live reader begins with the last value of each quote, book
and state: quotes are correct as soon as these have been read. The other reader (`recovery.catch_up`) reads past trades and gaps: from the
ids in the checkpoint of the shard on or, without a checkpoint, from the start of the longest window on. When the past of a stream has been
applied, the live reader continues with this stream. From then on VWAP, volume and count are correct, and marked as `complete`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog

from crosstape.bus import Client, Entry, Foreign, Missed, Publisher, Reader, Start
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.bus.metrics.prometheus import PrometheusReaderMetrics
from crosstape.bus.read.decoding import Decode
from crosstape.errors import BusError
from crosstape.settings import Settings
from crosstape_aggregator.checks.candle_check import CandleCheck
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.consolidation.quote_text import decode_for_legs
from crosstape_aggregator.metrics.exporter import FOREIGN, MISSED, READ_LAG, Exporter
from crosstape_aggregator.publishing.composite_publisher import CompositePublisher
from crosstape_aggregator.publishing.quote_publisher import QuotePublisher
from crosstape_aggregator.publishing.stream_progress import StreamProgress
from crosstape_aggregator.recovery.barrier import Barrier
from crosstape_aggregator.recovery.catch_up import KINDS, PastReader
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore
from crosstape_aggregator.recovery.discovery import Discovery, FoundStream
from crosstape_aggregator.recovery.predecessor import Predecessor
from crosstape_aggregator.sharding.assignment import ALL_INSTRUMENTS, Shard
from crosstape_aggregator.sharding.sign_of_life import LoopProgress, SignOfLife
from crosstape_schemas import VENUE_WIDE, Keys, decode

LIVE_KINDS: Final = frozenset({"quote", "book", "status", "venue"})

EVENTS_PER_TURN: Final = 256
"""Events applied before other tasks may run."""
REFRESH_S: Final = 0.25
"""Time between two searches for new streams. Cheap: the server returns one number for each partition if there are none."""
EXPORT_S: Final = 1.0
"""Time between two updates of the metrics."""
LOST_S: Final = 5.0
"""The bus counts as reachable if it has answered within this time."""
WARM_UP_S: Final = 3.0
"""Longest wait for the last values of all streams before the first quote is published."""

log = structlog.get_logger(__name__)


class ShardAggregator:
    """Connects readers, engine and publisher. It needs no queue: events stay on the server until they are read, and a quote is computed
    when the bus can accept it.
    """

    def __init__(
        self,
        settings: Settings,
        client: Client,
        keys: Keys,
        engine: Engine,
        publisher: Publisher,
        *,
        shard: Shard = ALL_INSTRUMENTS,
        store: CheckpointStore | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._engine = engine
        self._publisher = publisher
        self._every_change = settings.aggregator.min_interval_s == 0
        self._discovery = Discovery(client, keys, LIVE_KINDS | KINDS, settings.aggregator.instruments, shard=shard)
        self._found: list[FoundStream] = []  # new streams, until reading them has started
        self._predecessor = Predecessor(client, keys, shard)
        self._live, self._past_reader = self._reader(settings, decode_for_legs), self._reader(settings, decode)
        self._barrier = Barrier()
        readers = (self._live, self._past_reader)
        self._past = PastReader(
            client,
            keys,
            engine,
            readers,
            self._barrier,
            store=store,
            checkpoint_s=settings.aggregator.checkpoint_s,
            bars_written=publisher.candles_written,
        )
        self._stream_progress = StreamProgress(engine, keys, self._live, self._past)
        computed = settings.aggregator
        self._check = CandleCheck(client, keys, computed.bars, computed.instruments, shard) if computed.bars else None
        self._quotes = QuotePublisher(
            engine, publisher, self._predecessor, self._stream_progress, watch=self._check.add if self._check is not None else None
        )
        self._composites = CompositePublisher(settings, client, keys, publisher=publisher, predecessor=self._predecessor, shard=shard)
        self._exporter = Exporter(engine)
        self._logged_wait = False
        self._rounds = 0  # of the live reader
        self._waits = False  # whether the live reader waits for events
        self.sign = SignOfLife(publisher, shard, settings.aggregator.status_interval_s, self._progress, self._report_stop)

    def _reader(self, settings: Settings, decoder: Decode) -> Reader:
        return Reader(
            self._client,
            self._keys,
            on_gap=self._missed,
            on_foreign=_foreign,
            metrics=PrometheusReaderMetrics(),
            backoff_s=settings.bus.backoff_s,
            decode=decoder,
        )

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the shard is ready, and details. Ready: the bus answers, the loops make progress, and a leg counts."""
        reachable = time.monotonic() - self._stream_progress.answered_at < LOST_S
        counting = self._exporter.counting
        works = self.sign.published_lately(time.monotonic())
        return reachable and works and counting > 0, {
            "bus": reachable,
            "works": works,
            "instruments": len(self._engine.instruments),
            "instruments_with_a_counting_leg": counting,
            "catching_up": len(self._past.catch_up),
        }

    async def run(self) -> None:
        """Serve until cancelled."""
        async with self._live, self._past_reader:
            try:
                await self._start()
                self._publisher.publish_all(self._predecessor.gap_before_sign(time.time_ns()))
                self.sign.publish()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read_live(), name="aggregator.live")
                    tasks.create_task(self._past.read(), name="aggregator.past")
                    tasks.create_task(self._past.taped_bars.run(), name="aggregator.bars")
                    tasks.create_task(self._quotes.run(), name="aggregator.time")
                    tasks.create_task(self._keep_up(), name="aggregator.discover")
                    tasks.create_task(self.sign.run(), name="aggregator.status")
                    if self._composites.names:
                        tasks.create_task(self._composites.run(), name="aggregator.composites")
                    if self._past.checkpointer is not None:
                        tasks.create_task(self._past.checkpointer.run(), name="aggregator.checkpoint")
                    if self._check is not None:
                        tasks.create_task(self._check.run(), name="aggregator.candle_check")
            finally:
                self._exporter.export(len(self._past.catch_up))
                self._exporter.close()

    async def save(self, timeout_s: float) -> None:
        """Write the last checkpoint after `run` has ended. Gives up after `timeout_s`."""
        if self._past.checkpointer is not None:
            await self._past.checkpointer.save_last(timeout_s)

    async def _start(self) -> None:
        """Apply the last values of all streams before the first quote is computed: otherwise a leg whose feed is down would count."""
        await self._publisher.claimed()  # waits while the bus is away; after it, the predecessor cannot publish any more
        while (reason := await self._apply_last_statuses()) is not None:
            if not self._logged_wait:
                log.warning("aggregator.waits_for_bus", reason=reason)
            self._logged_wait = True
            await asyncio.sleep(REFRESH_S)
        await self._discover()
        deadline = time.monotonic() + WARM_UP_S
        while not set(self._live.streams) <= self._live.cursors.keys() and (left_s := deadline - time.monotonic()) > 0:
            entries = await self._live.read(timeout_s=min(left_s, 0.1))
            self._apply_live(entries)
        log.info("aggregator.started", instruments=len(self._engine.instruments), catching_up=len(self._past.catch_up))
        self._quotes.publish_soon(time.time_ns())

    async def _apply_last_statuses(self) -> str | None:
        """Apply the venues' last signs of life, which legs need to count, and load the checkpoint. Returns an error text, or None."""
        try:
            async with asyncio.timeout(LOST_S):
                values: list[bytes] = await execute(self._client, "HVALS", self._keys.last("status", VENUE_WIDE))
                await self._predecessor.look_up_sign()
            if self._past.checkpointer is not None:
                await self._past.checkpointer.restorer.load()
        except (*UNAVAILABLE, BusError) as exc:
            return str(exc) or type(exc).__name__
        for value in values:
            try:
                self._engine.apply([decode(value)], time.time_ns())
            except msgspec.MsgspecError as exc:
                log.warning("aggregator.foreign_last_value", reason=str(exc))
        return None

    async def _keep_up(self) -> None:
        exported_at = 0.0
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._discover()
            known = self._past.hand_over(now := time.time_ns())
            if known or self._stream_progress.is_due():
                self._stream_progress.look(now)
                self._quotes.publish_soon(now)
            if time.monotonic() - exported_at >= EXPORT_S:
                exported_at = time.monotonic()
                self._exporter.export(len(self._past.catch_up))

    async def _discover(self) -> None:
        """Find new streams and start to read them. If the bus does not answer, the next call tries again; the readers log the outage."""
        try:
            async with asyncio.timeout(LOST_S):
                self._found += await self._discovery.refresh()
                self._stream_progress.answered_at = time.monotonic()
                await self._predecessor.look_up(one.name for one in self._found if one.kind != "venue")
            found, self._found = self._found, []
            if found:
                log.info("aggregator.found", streams=len(found), first=found[0].stream)
                self._past.hold(found)
                self._live.add([one.stream for one in found if one.kind in LIVE_KINDS], Start.LAST_THEN_NOW)
            await self._past.start(found)
        except (*UNAVAILABLE, BusError):
            return

    async def _read_live(self) -> None:
        while True:
            self._waits = True
            entries = await self._live.read(timeout_s=None)  # no time limit: a quiet bus has no events
            self._waits = False
            self._rounds += 1
            now = time.time_ns()
            if entries:
                READ_LAG.observe((now - entries[-1].event.received_ts) / SECOND)
            behind = self._quotes.is_behind(len(entries), now)
            self._engine.set_behind(behind)
            parts = _parts(entries, 1 if self._every_change and not behind else EVENTS_PER_TURN)
            await self._barrier.apply(parts, self._apply_live, self._publish_some if behind else self._publish_all)

    def _apply_live(self, entries: Sequence[Entry]) -> None:
        if self._past.catch_up.without_entries:
            for entry in entries:
                self._past.catch_up.started(entry.stream, entry.id)
        self._engine.apply([entry.event for entry in entries], time.time_ns())

    async def _publish_some(self, entries: Sequence[Entry]) -> None:
        await self._quotes.publish_some(len(entries))

    async def _publish_all(self, _: Sequence[Entry]) -> None:
        await self._quotes.publish_all()

    def _progress(self, now: int) -> LoopProgress:
        """Return the progress of the loops, for the sign of life."""
        next_ts = self._engine.next_ts()
        return LoopProgress(
            read=self._rounds,
            waits=self._waits and not self._live.behind(time.monotonic()),
            published=self._quotes.turns,
            due=next_ts is not None and next_ts <= now,
        )

    def _report_stop(self, from_ts: int, to_ts: int) -> None:
        self._quotes.report_stop(from_ts, to_ts, self._composites.published)

    def _missed(self, missed: Missed) -> None:
        kind, name = self._keys.parse(missed.stream) or ("foreign", "")
        MISSED.labels(kind).inc(missed.count or 1)
        if kind == "trade":
            self._past.missed(missed, name)


def _foreign(_: Foreign) -> None:
    FOREIGN.inc()


def _parts(entries: Sequence[Entry], size: int) -> Iterable[Sequence[Entry]]:
    return [entries] if len(entries) <= size else [entries[at : at + size] for at in range(0, len(entries), size)]
