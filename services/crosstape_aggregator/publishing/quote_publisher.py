"""Publishes the consolidated quotes that are due, as fast as reading and the bus allow.

Most quotes are published right after the batch of events that changed them. An alarm publishes the others: a quote whose interval since the
last one is not over yet, and a quote that changes because time passes.

If one read returns `BACKLOG` events or more, the process is behind. While it is behind, it publishes one quote for every
`EVENTS_PER_QUOTE` events that it has read. So reading always comes first, and the cost of an event does not depend on the number of
instruments. If `MAX_PENDING` quotes wait for the bus, no more are computed until the bus has accepted some.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from crosstape.bus import Publisher
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.metrics.exporter import PUBLISHED_LAG
from crosstape_aggregator.publishing.stream_progress import StreamProgress
from crosstape_aggregator.recovery.predecessor import Predecessor, gaps_of_stop
from crosstape_aggregator.wakeup import Wakeup
from crosstape_schemas import Event

BACKLOG: Final = 256
"""The process is behind if one read returns this many events or more …"""
BEHIND_NS: Final = 50_000_000
"""… and for this time afterwards: one connection may have no more events while others still have many."""
EVENTS_PER_QUOTE: Final = 64
"""Events that must be read for each quote published, while the process is behind."""
QUOTES_PER_TURN: Final = 64
"""Most quotes published before other tasks may run."""
MAX_PENDING: Final = 4_096
"""If this many quotes wait for the bus, no more are computed."""
RETRY_NS: Final = 2_000_000
"""Time until the next attempt to publish quotes that are due, but could not be published now."""


class QuotePublisher:
    """Publishes the quotes of one shard."""

    def __init__(
        self,
        engine: Engine,
        publisher: Publisher,
        predecessor: Predecessor,
        progress: StreamProgress,
        *,
        watch: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        """`watch` is called with the bars, books and edges that are published."""
        self.turns = 0
        """How often publishing was attempted, for the sign of life."""
        self._engine = engine
        self._publisher = publisher
        self._predecessor = predecessor
        self._progress = progress
        self._watch = watch
        self._alarm = Wakeup()
        self._behind_until = 0
        self._read_at_once = 0
        self._published: dict[str, int] = {}  # instrument → greatest `received_ts` of its quotes so far

    def is_behind(self, events: int, now: int) -> bool:
        """Whether the process is behind. `events`: the number that the newest read has returned; `now`: ns since the epoch."""
        self._read_at_once = events
        return self._is_behind(now)

    def _is_behind(self, now: int) -> bool:
        if self._read_at_once >= BACKLOG:
            self._behind_until = now + BEHIND_NS
        return now < self._behind_until

    async def publish_some(self, events: int) -> None:
        """Publish one due quote for every `EVENTS_PER_QUOTE` of these events, at least one. Called while the process is behind."""
        self._publish(time.time_ns(), max(1, events // EVENTS_PER_QUOTE))
        self._is_behind(time.time_ns())  # `BEHIND_NS` begins when the last part of a large read has been applied
        await asyncio.sleep(0)

    async def publish_all(self) -> None:
        """Publish all quotes that are due."""
        while self._publish(time.time_ns(), QUOTES_PER_TURN):
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Publish the quotes that become due because time passes, until cancelled."""
        try:
            while True:
                await self._alarm.wait()
                while (now := time.time_ns()) >= self._behind_until and self._publish(now, QUOTES_PER_TURN):
                    await asyncio.sleep(0)
                if now < self._behind_until:  # until then, quotes are published after each read
                    self._alarm.set(self._behind_until, now)
        finally:
            self._alarm.close()

    def _publish(self, now: int, limit: int) -> bool:
        """Publish due quotes of at most `limit` instruments, and set the alarm for the others. Returns whether more are due now."""
        self.turns += 1
        self._progress.look_before_publishing(now)
        if self._publisher.pending >= MAX_PENDING:
            self.publish_soon(now)
            return False
        quotes = self._engine.due(now, limit)
        if self._predecessor.last_ts:
            self._publisher.publish_all(self._predecessor.gaps_before(quotes))
        for quote in quotes:
            self._publisher.publish(quote)
            if quote.received_ts > self._published.get(quote.instrument, 0):
                self._published[quote.instrument] = quote.received_ts
                PUBLISHED_LAG.observe((now - quote.received_ts) / SECOND)
        if outputs := self._engine.due_outputs(now, limit):
            self._publisher.publish_all(outputs)
            if self._watch is not None:
                self._watch(outputs)
        next_ts = self._engine.next_ts()
        if next_ts is None:
            return False
        self._alarm.set(max(next_ts, now + RETRY_NS) if next_ts <= now else next_ts, now)
        return next_ts <= now

    def publish_soon(self, now: int) -> None:
        """Set the alarm to `RETRY_NS` from now."""
        self._alarm.set(now + RETRY_NS, now)

    def report_stop(self, from_ts: int, to_ts: int, composites: Iterable[str] = ()) -> None:
        """Publish a gap for each instrument, because this process was stopped between these times (ns) and has computed no quotes."""
        self._publisher.publish_all(gaps_of_stop([*self._published, *composites], from_ts, to_ts))
