"""Publishes the consolidated quotes that are due, at the pace that reading and the bus allow.

A change is published right after the batch that brought it. What must wait for the end of its interval, and what changes by the passing of
time alone, is published by an alarm.

When more is read at once than an idle process would find (`BACKLOG`), the process is behind. Then it publishes a bounded part of what has
changed after each batch, so that reading always comes first, and the cost of an event does not depend on the number of instruments. When
the bus is slow to accept quotes, none is added to the queue (`QUEUE`): each is computed when it can be sent.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from crosstape.bus import Publisher
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.metrics.exporter import PUBLISHED_LAG
from crosstape_aggregator.publishing.stream_progress import StreamProgress
from crosstape_aggregator.recovery.predecessor import Predecessor, silent
from crosstape_aggregator.wakeup import Wakeup

BACKLOG: Final = 256
"""Events read at once from which on the process counts as behind …"""
HOLD_NS: Final = 50_000_000
"""… and for how long after: one connection may be read out while others still hold much."""
EVENTS_PER_QUOTE: Final = 64
"""Events read for each quote published, while behind."""
SLICE: Final = 64
"""Quotes published without letting other tasks run."""
QUEUE: Final = 4_096
"""Most quotes that wait for the bus."""
AGAIN_NS: Final = 2_000_000
"""How long to wait before publishing what had to be left."""


class QuotePublisher:
    """Publishes the quotes of one shard."""

    def __init__(self, engine: Engine, publisher: Publisher, predecessor: Predecessor, progress: StreamProgress) -> None:
        self.turns = 0
        """Turns of publishing so far."""
        self._engine = engine
        self._publisher = publisher
        self._predecessor = predecessor
        self._progress = progress
        self._alarm = Wakeup()
        self._behind_until = 0
        self._read_at_once = 0
        self._shown: dict[str, int] = {}  # instrument → received_ts of what was published last

    def is_behind(self, events: int, now: int) -> bool:
        """Whether reading is behind, now that so many events have been read at once."""
        self._read_at_once = events
        return self._is_behind(now)

    def _is_behind(self, now: int) -> bool:
        if self._read_at_once >= BACKLOG:
            self._behind_until = now + HOLD_NS
        return now < self._behind_until

    async def publish_some(self, events: int) -> None:
        """While behind: publish the part of what is due that so many events pay for. Long after much was read, reading is still behind."""
        self._publish(time.time_ns(), max(1, events // EVENTS_PER_QUOTE))
        self._is_behind(time.time_ns())
        await asyncio.sleep(0)

    async def publish_all(self) -> None:
        """Publish all that is due."""
        while self._publish(time.time_ns(), SLICE):
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Publish what becomes due by the passing of time, until cancelled."""
        try:
            while True:
                await self._alarm.wait()
                while (now := time.time_ns()) >= self._behind_until and self._publish(now, SLICE):
                    await asyncio.sleep(0)
                if now < self._behind_until:  # until then each read publishes a part
                    self._alarm.set(self._behind_until, now)
        finally:
            self._alarm.close()

    def _publish(self, now: int, limit: int) -> bool:
        """Publish what is due, of `limit` instruments at most, and set the alarm for the rest. True: more is due."""
        self.turns += 1
        self._progress.look_before_publishing(now)
        if self._publisher.pending >= QUEUE:
            self.publish_soon(now)
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

    def publish_soon(self, now: int) -> None:
        """Set the alarm for a moment from now."""
        self._alarm.set(now + AGAIN_NS, now)

    def report_stop(self, from_ts: int, to_ts: int) -> None:
        """Publish gaps: this process did nothing between these times, so quotes of any instrument may be missing."""
        self._publisher.publish_all(silent(self._shown, from_ts, to_ts))
