"""Publishes the aggregator's sign of life: a venue-wide status of the venue `consolidated`, repeated about every second.

A consolidated quote is current only while the aggregator that published it, known by its epoch, repeats this sign (`crosstape.liveness`).
So the sign is published only while quotes are: the reading loop has moved on or waits on connections that answer, the publishing loop has
moved on or has nothing to do, and what was published before has arrived. An aggregator that hangs looks dead.

A process may also be stopped for a while, by a signal or with its machine, and continue under the same epoch. No quotes were computed
meanwhile, so that is a gap as after a kill.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from crosstape.bus import Publisher
from crosstape.liveness import ALIVE_S
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.metrics.exporter import SIGNS_OF_LIFE
from crosstape_aggregator.sharding.assignment import Shard
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, FeedState, Status

STOPPED: Final = "stopped"
STOPPED_S: Final = ALIVE_S
"""This process was stopped if a sign is late by more than this: readers treat its quotes as those of a dead aggregator by then."""
STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that is never set. On Linux this one runs on while the machine sleeps; on macOS the other one does."""
OUTAGE_S: Final = 5.0
"""The aggregator is not ready if a sign is late by more than this."""


log = structlog.get_logger(__name__)


class LoopProgress(NamedTuple):
    """How far the loops of an aggregator have come, at one moment."""

    read: int
    """Rounds of reading so far."""
    waits: bool
    """Whether it waits for events, and all of its connections have answered lately."""
    published: int
    """Turns of publishing so far."""
    due: bool
    """Whether there is something to publish."""


def kind_of(shard: Shard) -> str:
    """The `kind` of the status: each of several shards has its own, so that none replaces another among the last values."""
    return VENUE_WIDE if shard.of == 1 else f"share.{shard.number}"


class SignOfLife:
    """The sign of one shard. `progress` is called with the time (ns), `on_stop` with the start and end (ns) of a stop of the process."""

    def __init__(
        self,
        publisher: Publisher,
        shard: Shard,
        interval_s: float,
        progress: Callable[[int], LoopProgress],
        on_stop: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self._publisher = publisher
        self._kind = kind_of(shard)
        self._interval_s = interval_s
        self._progress = progress
        self._on_stop = on_stop
        self._before = LoopProgress(read=-1, waits=False, published=-1, due=False)
        self._acknowledged = -1
        self._published_s = -math.inf

    def published_lately(self, now_s: float) -> bool:
        """Whether it was published within three intervals and `OUTAGE_S`, which an outage of the bus may last. `now_s` is monotonic."""
        return now_s - self._published_s < 3 * self._interval_s + OUTAGE_S

    async def run(self) -> None:
        """Publish the sign again and again, until cancelled."""
        while True:
            before_ns = time.clock_gettime_ns(STEADY)
            await asyncio.sleep(self._interval_s)
            passed_ns = time.clock_gettime_ns(STEADY) - before_ns
            if passed_ns > (self._interval_s + STOPPED_S) * SECOND:
                log.warning("process.stopped", for_s=round(passed_ns / SECOND, 3))
                now = time.time_ns()
                self._on_stop(now - passed_ns, now)
            if self.works():
                self.publish()
                SIGNS_OF_LIFE.inc()

    def publish(self, state: FeedState = FeedState.LIVE, reason: str = "") -> None:
        """Publish the status."""
        self._published_s = time.monotonic()
        self._publisher.publish(Status(CONSOLIDATED, VENUE_WIDE, None, time.time_ns(), self._kind, state, reason))

    def works(self) -> bool:
        """Whether there was progress since the last call, wherever there was something to do."""
        now, before = self._progress(time.time_ns()), self._before
        acknowledged, self._acknowledged = self._acknowledged, self._publisher.acknowledged
        self._before = now
        reads = now.waits or now.read != before.read
        publishes = not (now.due and before.due) or now.published != before.published
        arrives = not self._publisher.pending or self._publisher.acknowledged != acknowledged
        return reads and publishes and arrives
