"""The aggregator at work on one share of the instruments: from the bus through the board to the bus. (`process` says on which shares.)

Two readers, so that the past does not delay the present. One brings the present, beginning with the last value of each quote, book and
state: quotes are right as soon as these have been read. The other brings trades and gaps (`past`) from where the share's checkpoint
ends or, without one, from the start of the longest window on, as far as the streams still hold it; when a stream's past has been read, the
first reader goes on with it. VWAP, volume and count are right again then, and say so (`complete`).

A change is published right after the batch that brought it; what must wait for the end of its interval, and what the passing of time alone
changes, by an alarm. When more is read at once than an idle process would find (`BACKLOG`), the process is behind: then it publishes a
bounded share of what has changed after each batch, so that reading always comes first and the cost of an event does not depend on the
number of instruments. When the bus is slow to take quotes, none is added to the queue (`QUEUE`): each is computed when it can go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog

from crosstape.bus import Client, Entry, Foreign, Missed, Publisher, Reader, Start
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.bus.metrics.prometheus import PrometheusReaderMetrics
from crosstape.errors import BusError
from crosstape.settings import Settings
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.metrics.exporter import FOREIGN, MISSED, PUBLISHED_LAG, READ_LAG, Exporter
from crosstape_aggregator.recovery.barrier import Barrier
from crosstape_aggregator.recovery.catch_up import KINDS, PastReader
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore
from crosstape_aggregator.recovery.discovery import Discovery, FoundStream
from crosstape_aggregator.recovery.predecessor import Predecessor, silent
from crosstape_aggregator.sharding.assignment import WHOLE, Share
from crosstape_aggregator.sharding.sign_of_life import LoopProgress, SignOfLife
from crosstape_aggregator.wakeup import Wakeup
from crosstape_schemas import VENUE_WIDE, Keys, decode

LIVE_KINDS: Final = frozenset({"quote", "book", "status", "venue"})

BACKLOG: Final = 256
"""So many events at once mean that we are behind …"""
HOLD_NS: Final = 50_000_000
"""… and for so long after: one connection may be read out while others still hold much."""
SHARE: Final = 64
"""While behind, one quote is published per so many events read."""
SLICE: Final = 64
"""So many quotes, or four times as many events, are done without letting others run."""
QUEUE: Final = 4_096
"""Quotes that wait for the bus, at most."""
AGAIN_NS: Final = 2_000_000
"""When to look again at what had to be left for others."""
REFRESH_S: Final = 0.25
"""How often new streams are looked for: a question of one number, unless there are."""
EXPORT_S: Final = 1.0
"""How often metrics are brought up to date."""
LOOK_S: Final = 1.0
"""How often it is found out which windows can be relied on, when nothing calls for it sooner."""
LATE_S: Final = 2.0
"""Nothing is published on what was found out longer ago: after a stop of the process that is what was read before it."""
LOST_S: Final = 5.0
"""The bus counts as reachable if it answered within this time."""
UNKNOWN_S: Final = 3.0
"""When new streams could not be looked for during this time, there may be some, with gaps of anything."""
WARM_UP_S: Final = 3.0
"""Longest wait for the last values of all streams before the first quote is published."""

log = structlog.get_logger(__name__)


class ShardAggregator:
    """Readers → board → publisher. Owns no queue: events stay on the server until they are taken, quotes are computed when they can go."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        keys: Keys,
        engine: Engine,
        publisher: Publisher,
        *,
        share: Share = WHOLE,
        store: CheckpointStore | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._engine = engine
        self._publisher = publisher
        self._alarm = Wakeup()
        self._every_change = settings.aggregator.min_interval_s == 0
        self._discovery = Discovery(client, keys, LIVE_KINDS | KINDS, settings.aggregator.instruments, share=share)
        self._found: list[FoundStream] = []  # streams that are not read yet
        self._predecessor = Predecessor(client, keys, share)
        self._live, self._reader_of_past = self._reader(settings), self._reader(settings)
        self._barrier = Barrier()
        readers = (self._live, self._reader_of_past)
        self._past = PastReader(client, keys, engine, readers, self._barrier, store=store, checkpoint_s=settings.aggregator.checkpoint_s)
        self._exporter = Exporter(engine)
        self._behind_until = 0
        self._read_at_once = 0
        self._waiting = False
        self._shown: dict[str, int] = {}  # instrument → received_ts of what was published last
        self._answered_at = -LOST_S
        self._turns = -1  # of the reader, when it was last found out what it has read
        self._looked_at = -LOOK_S
        self._rounds = self._turns_to_publish = 0
        self._waits = False
        self.sign = SignOfLife(publisher, share, settings.aggregator.status_interval_s, self._progress, self._stopped)

    def _reader(self, settings: Settings) -> Reader:
        return Reader(
            self._client,
            self._keys,
            on_gap=self._missed,
            on_foreign=_foreign,
            metrics=PrometheusReaderMetrics(),
            backoff_s=settings.bus.backoff_s,
        )

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Ready: the bus answered within the last seconds, the loops go on, and at least one instrument has a leg that counts."""
        reachable = time.monotonic() - self._answered_at < LOST_S
        counting = self._exporter.counting
        works = self.sign.given_lately(time.monotonic())
        return reachable and works and counting > 0, {
            "bus": reachable,
            "works": works,
            "instruments": len(self._engine.instruments),
            "instruments_with_a_counting_leg": counting,
            "catching_up": len(self._past.catch_up),
        }

    async def run(self) -> None:
        """Until cancelled."""
        async with self._live, self._reader_of_past:
            try:
                await self._start()
                self._publisher.publish_all(self._predecessor.silence(time.time_ns()))
                self.sign.say()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read_live(), name="aggregator.live")
                    tasks.create_task(self._past.read(), name="aggregator.past")
                    tasks.create_task(self._keep_time(), name="aggregator.time")
                    tasks.create_task(self._keep_up(), name="aggregator.discover")
                    tasks.create_task(self.sign.run(), name="aggregator.status")
                    if self._past.checkpointer is not None:
                        tasks.create_task(self._past.checkpointer.run(), name="aggregator.checkpoint")
            finally:
                self._alarm.close()
                self._exporter.export(len(self._past.catch_up))
                self._exporter.close()

    async def save(self, timeout_s: float) -> None:
        """Leave a last checkpoint, when `run` has ended; within this time, or not at all."""
        if self._past.checkpointer is not None:
            await self._past.checkpointer.save_last(timeout_s)

    async def _start(self) -> None:
        """Take the last value of all there is before the first quote is computed: a leg whose feed is down must not count meanwhile."""
        await self._publisher.claimed()  # as long as the bus is away; from here on what the predecessor left does not change
        while (reason := await self._apply_last_statuses()) is not None:
            if not self._waiting:
                log.warning("aggregator.waits_for_bus", reason=reason)
            self._waiting = True
            await asyncio.sleep(REFRESH_S)
        await self._discover()
        deadline = time.monotonic() + WARM_UP_S
        while not set(self._live.streams) <= self._live.cursors.keys() and (left_s := deadline - time.monotonic()) > 0:
            entries = await self._live.read(timeout_s=min(left_s, 0.1))
            self._apply_live(entries)
        log.info("aggregator.started", instruments=len(self._engine.instruments), catching_up=len(self._past.catch_up))
        self._look_again(time.time_ns())

    async def _apply_last_statuses(self) -> str | None:
        """Take the venues' signs of life, before the quotes that they keep alive, and the checkpoint. What is wrong, if the bus did not
        answer.
        """
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
            learned = self._past.learn(now := time.time_ns())
            if learned or time.monotonic() - self._looked_at >= LOOK_S:
                self._look(now)
                self._look_again(now)
            if time.monotonic() - exported_at >= EXPORT_S:
                exported_at = time.monotonic()
                self._exporter.export(len(self._past.catch_up))

    async def _discover(self) -> None:
        """Read what is new on the bus. When it does not answer, the readers say so in the log, and the next time will do."""
        try:
            async with asyncio.timeout(LOST_S):
                self._found += await self._discovery.refresh()
                self._answered_at = time.monotonic()
                await self._predecessor.look_up(one.name for one in self._found if one.kind != "venue")
            found, self._found = self._found, []
            if found:
                log.info("aggregator.found", streams=len(found), first=found[0].stream)
                self._live.add([one.stream for one in found if one.kind in LIVE_KINDS], Start.LAST_THEN_NOW)
            await self._past.begin(found)
        except (*UNAVAILABLE, BusError):
            return

    async def _read_live(self) -> None:
        while True:
            self._waits = True
            entries = await self._live.read(timeout_s=None)  # for as long as it takes: a quiet bus has nothing to tell
            self._waits = False
            self._rounds += 1
            now = time.time_ns()
            if entries:
                READ_LAG.observe((now - entries[-1].event.received_ts) / SECOND)
            behind = self._is_behind(len(entries), now)
            self._engine.set_behind(behind)
            parts = _parts(entries, 1 if self._every_change and not behind else SLICE * 4)
            self._read_at_once = len(entries)
            await self._barrier.apply(parts, self._apply_live, self._publish_behind if behind else self._publish_after)

    def _is_behind(self, events: int, now: int) -> bool:
        if events >= BACKLOG:
            self._behind_until = now + HOLD_NS
        return now < self._behind_until

    def _apply_live(self, entries: Sequence[Entry]) -> None:
        if self._past.catch_up.unbegun:
            for entry in entries:
                self._past.catch_up.started(entry.stream, entry.id)
        self._engine.apply([entry.event for entry in entries], time.time_ns())

    async def _publish_behind(self, entries: Sequence[Entry]) -> None:
        """Publish, of what is due, a share that these events pay for. Long after the reading of many we are still behind."""
        self._publish(time.time_ns(), max(1, len(entries) // SHARE))
        self._is_behind(self._read_at_once, time.time_ns())
        await asyncio.sleep(0)

    async def _publish_after(self, _: Sequence[Entry]) -> None:
        """Publish all that is due."""
        while self._publish(time.time_ns(), SLICE):
            await asyncio.sleep(0)

    async def _keep_time(self) -> None:
        while True:
            await self._alarm.wait()
            while (now := time.time_ns()) >= self._behind_until and self._publish(now, SLICE):
                await asyncio.sleep(0)
            if now < self._behind_until:  # until then each read publishes its share
                self._alarm.set(self._behind_until, now)

    def _publish(self, now: int, limit: int) -> bool:
        """Publish what is due, of `limit` instruments at most, and see to it that what is left has its turn. True: more is due."""
        self._turns_to_publish += 1
        if self._live.turns != self._turns or time.monotonic() - self._looked_at > LATE_S:
            self._look(now)
        if self._publisher.pending >= QUEUE:
            self._look_again(now)
            return False
        quotes = self._engine.due(now, limit)
        if self._predecessor.left:
            self._publisher.publish_all(self._predecessor.gaps(quotes))
        for quote in quotes:
            self._publisher.publish(quote)
            if quote.received_ts > self._shown.get(quote.instrument, 0):
                self._shown[quote.instrument] = quote.received_ts
                PUBLISHED_LAG.observe((now - quote.received_ts) / SECOND)
        next_ts = self._engine.next_ts()
        if next_ts is None:
            return False
        self._alarm.set(max(next_ts, now + AGAIN_NS) if next_ts <= now else next_ts, now)
        return next_ts <= now

    def _look(self, now: int) -> None:
        """Find out which windows can be relied on: of instruments all of whose streams have been read up to nearly now."""
        self._turns, self._looked_at = self._live.turns, time.monotonic()
        self._engine.look(self._unread(self._looked_at), now, time.monotonic_ns())

    def _unread(self, now_s: float) -> Collection[str] | None:
        """The instruments whose trades and gaps have not been read up to nearly now; None: all."""
        past = self._past.unread()
        if past is None or now_s - self._answered_at > UNKNOWN_S:
            return None
        behind = self._live.behind(now_s)
        if not behind:
            return past
        names = {name for name in self._engine.instruments if name in past}
        for stream in behind:
            kind, name = self._keys.parse(stream) or ("", "")
            if kind == "venue":
                return None
            if kind in KINDS:
                names.add(name)
        return names

    def _progress(self, now: int) -> LoopProgress:
        """How far the loops have come that read and publish, for the sign of life."""
        next_ts = self._engine.next_ts()
        return LoopProgress(
            read=self._rounds,
            waits=self._waits and not self._live.behind(time.monotonic()),
            published=self._turns_to_publish,
            due=next_ts is not None and next_ts <= now,
        )

    def _stopped(self, from_ts: int, to_ts: int) -> None:
        """Report that this process did nothing between these times: of whatever it publishes, something may be missing."""
        self._publisher.publish_all(silent(self._shown, from_ts, to_ts))

    def _look_again(self, now: int) -> None:
        self._alarm.set(now + AGAIN_NS, now)

    def _missed(self, missed: Missed) -> None:
        kind, name = self._keys.parse(missed.stream) or ("foreign", "")
        MISSED.labels(kind).inc(missed.count or 1)
        if kind == "trade":
            self._past.missed(missed, name)


def _foreign(_: Foreign) -> None:
    FOREIGN.inc()


def _parts(entries: Sequence[Entry], size: int) -> Iterable[Sequence[Entry]]:
    return [entries] if len(entries) <= size else [entries[at : at + size] for at in range(0, len(entries), size)]
