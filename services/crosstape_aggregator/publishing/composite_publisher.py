"""Reads what aggregators publish, and publishes the composites of one shard.

Composites do not depend on which instance serves their parts: quotes and books come over the bus, with the signs of life that prove them.
The task needs no queue: events stay on the server until they are read. It wakes when an event arrives and when a composite is due, at least
every `WAKE_S`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from crosstape.bus import Client, Entry, Foreign, Missed, Publisher, Reader, Start
from crosstape.errors import BusError
from crosstape.settings import Settings
from crosstape_aggregator.composites.composites import Composites
from crosstape_aggregator.metrics.composites import CompositeMetrics
from crosstape_aggregator.metrics.exporter import FOREIGN, MISSED, PUBLISHED
from crosstape_aggregator.recovery.predecessor import Predecessor
from crosstape_aggregator.sharding.assignment import Shard
from crosstape_schemas import Cbbo, Keys

EVENTS_PER_TURN: Final = 256
"""Events applied before composites are computed and other tasks may run."""
WAKE_S: Final = 0.5
"""Longest time between two looks at how far the streams have been read."""
WARM_UP_S: Final = 3.0
"""Longest wait for the last values of all streams before the first composite is published."""
SETTLED_S: Final = 10.0
"""Time after the warm-up in which connectors can bring the inputs. What is not on the tape then is logged, once, and a composite without
any part is published as empty."""
MAX_PENDING: Final = 4_096
"""If this many events wait for the bus, no composite is computed."""
RETRY_S: Final = 0.05
"""Time until the next attempt to publish, or to reach the bus."""

log = structlog.get_logger(__name__)


class CompositePublisher:
    """Publishes the composites of one shard. `names` is empty if none belongs to it: then it has nothing to run."""

    def __init__(
        self, settings: Settings, client: Client, keys: Keys, *, publisher: Publisher, predecessor: Predecessor, shard: Shard
    ) -> None:
        """Raises `SettingsError` when a composite of the settings is wrong."""
        self._composites = Composites(settings.aggregator, shard.has)
        self.names = [composite.name for composite in self._composites.all]
        self._keys = keys
        self._publisher = publisher
        self._predecessor = predecessor
        self._events_per_turn = EVENTS_PER_TURN if settings.aggregator.min_interval_s else 1
        self._published: set[str] = set()
        self._metrics = CompositeMetrics(self._composites.all)
        self._reader = Reader(
            client,
            keys,
            streams=list(self._composites.streams(keys)) if self.names else (),
            start=Start.LAST_THEN_NOW,
            on_gap=self._missed,
            on_foreign=_foreign,
            backoff_s=settings.bus.backoff_s,
        )

    async def run(self) -> None:
        """Publish until cancelled. Call it when the shard's name is claimed."""
        async with self._reader:
            try:
                await self._look_up_predecessor()
                await self._warm_up()
                log.info("composites.started", composites=len(self.names))
                settled_s = time.monotonic() + SETTLED_S
                while True:
                    if time.monotonic() >= settled_s:
                        settled_s = math.inf
                        self._settle()
                    self._publish_due()
                    await self._read(self._composites.next_s() - time.monotonic())
            finally:
                self._metrics.close()

    async def _look_up_predecessor(self) -> None:
        while True:
            try:
                return await self._predecessor.look_up(self.names)
            except BusError:
                await asyncio.sleep(RETRY_S)  # the readers log the outage

    async def _warm_up(self) -> None:
        """Read the last values before anything is published: a composite of some parts only would be true, but not what the tape has."""
        deadline_s = time.monotonic() + WARM_UP_S
        while self._reader.behind(time.monotonic()) and (left_s := deadline_s - time.monotonic()) > 0:
            await self._read(left_s, publish=False)

    def _settle(self) -> None:
        for name, missing in self._composites.settle().items():
            log.warning(
                "composites.not_on_the_tape",
                composite=name,
                instruments=missing,
                reason="no consolidated quote of these parts and rate pairs is there; name them in venues.VENUE.instruments",
            )

    async def _read(self, wait_s: float, *, publish: bool = True) -> None:
        """Read for at most `wait_s`, and apply what there is."""
        if self._publisher.pending >= MAX_PENDING:
            wait_s = max(wait_s, RETRY_S)
        entries = await self._reader.read(timeout_s=min(max(0.0, wait_s), WAKE_S))
        size = self._events_per_turn if publish else max(1, len(entries))
        for at in range(0, len(entries), size):
            if at:
                if publish:
                    self._publish_due()
                await asyncio.sleep(0)
            self._apply(entries[at : at + size])

    def _apply(self, entries: Sequence[Entry]) -> None:
        now_s, now_ts = time.monotonic(), time.time_ns()
        for entry in entries:
            self._composites.apply(entry.event, now_s, now_ts)

    def _publish_due(self) -> None:
        if self._publisher.pending >= MAX_PENDING:
            return
        now_s, now_ts = time.monotonic(), time.time_ns()
        self._composites.set_behind([parsed for name in self._reader.behind(now_s) if (parsed := self._keys.parse(name)) is not None])
        events = self._composites.due(now_s, now_ts)
        quotes = [event for event in events if isinstance(event, Cbbo)]
        self._publisher.publish_all(self._predecessor.gaps_before(quotes))
        self._publisher.publish_all(events)
        self._published.update(quote.instrument for quote in quotes)
        PUBLISHED.inc(len(quotes))
        self._metrics.export(now_s)

    @property
    def published(self) -> Collection[str]:
        """The composites that have a quote."""
        return self._published

    def _missed(self, missed: Missed) -> None:
        kind, name = self._keys.parse(missed.stream) or ("foreign", "")
        MISSED.labels(kind).inc(missed.count or 1)
        self._composites.missed(kind, name)


def _foreign(_: Foreign) -> None:
    FOREIGN.inc()
