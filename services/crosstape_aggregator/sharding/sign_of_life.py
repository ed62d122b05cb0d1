"""Publishes the sign of life of a shard: a venue-wide status of the venue `consolidated`, repeated about every second.

A consolidated quote is current only while the aggregator with the same epoch repeats this sign (`crosstape.liveness`). So the sign is
published only if three conditions hold: the reading loop has made progress, or waits on connections that answer; the publishing loop has
made progress, or has nothing to do; earlier events have reached the bus. So an aggregator that hangs looks dead.

A process may also be stopped for a while, by a signal or together with its machine, and continue with the same epoch. It has computed no
quotes meanwhile, so a gap is published, as after a kill.
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
"""If a sign is late by more than this, the process was stopped; readers already treat its quotes as those of a dead aggregator."""
STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that is never set and does not stop while the machine sleeps: CLOCK_BOOTTIME on Linux, CLOCK_MONOTONIC on macOS."""
OUTAGE_S: Final = 5.0
"""The aggregator is not ready if a sign is late by more than this."""


log = structlog.get_logger(__name__)


class LoopProgress(NamedTuple):
    """The progress of the loops of an aggregator at one moment."""

    read: int
    """Number of reads so far."""
    waits: bool
    """Whether the reader waits for events, and all of its connections have answered recently."""
    published: int
    """Number of attempts to publish so far."""
    due: bool
    """Whether quotes are due."""


def kind_of(shard: Shard) -> str:
    """Return the `kind` of the status. Each shard has its own, so that it does not replace the last value of another shard."""
    return VENUE_WIDE if shard.of == 1 else f"share.{shard.number}"


class SignOfLife:
    """Publishes the sign of one shard.

    `progress` is called with the time (ns), `on_stop` with the start and the end (ns) of a stop of the process.
    """

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
        """Whether the sign was published in the last three intervals plus `OUTAGE_S` (a short outage of the bus). `now_s`: monotonic."""
        return now_s - self._published_s < 3 * self._interval_s + OUTAGE_S

    async def run(self) -> None:
        """Publish the sign every interval while the aggregator works, until cancelled."""
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
        """Publish one status now."""
        self._published_s = time.monotonic()
        self._publisher.publish(Status(CONSOLIDATED, VENUE_WIDE, None, time.time_ns(), self._kind, state, reason))

    def works(self) -> bool:
        """Whether each loop that had something to do has made progress since the last call."""
        now, before = self._progress(time.time_ns()), self._before
        acknowledged, self._acknowledged = self._acknowledged, self._publisher.acknowledged
        self._before = now
        reads = now.waits or now.read != before.read
        publishes = not (now.due and before.due) or now.published != before.published
        arrives = not self._publisher.pending or self._publisher.acknowledged != acknowledged
        return reads and publishes and arrives
