"""A connector that is one of several replicas for one venue: one of them is active, the others are standbys.

All replicas read the venue in the same way. The active one publishes what it reads; a standby keeps its trades in a `StandbyTradeBuffer`.
The replica that gets the lease claims the producer's cursor, after which no other can write. Then it reads where the tape ends, and
continues there.

    standby ── has the lease: claims, reads the end of the tape, publishes the trades after it and all states ─────────────► active
       ▲                                                                                                                        │
       └── another replica has claimed; or this one lost its connections or stops, and a healthy one can take over: no gap ◄────┘
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from crosstape.bus import Client, Publisher
from crosstape.bus.lease.elector import CALLS
from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.publish.publisher import Unpublished
from crosstape.bus.spool.tape_identity import Tape
from crosstape.errors import BusError
from crosstape.settings import Settings
from crosstape_connector.failover.election import PeerStatus
from crosstape_connector.failover.hot_standby import HotStandby
from crosstape_connector.failover.term import Term, TermPlan
from crosstape_connector.failover.trade_buffer import StandbyTradeBuffer, continue_tape
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.metrics.collector import ReplicaReading
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing import predecessor
from crosstape_connector.publishing.predecessor import LastEvents
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.publishing.writer import VenueHealth
from crosstape_schemas import FeedState, Keys, Status

FOLLOW_S: Final = 1.0
FOLLOW_EACH_S: Final = 0.002
"""A standby reads the end of the tape once per `FOLLOW_S`, plus `FOLLOW_EACH_S` for each instrument."""

log = structlog.get_logger(__name__)


class Replica:
    """The writer of one replica; see `Writer`. The election asks it as its `Candidate`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        settings: Settings,
        *,
        feeds: FeedHandler,
        counters: Counters,
        producer: str,
        spool: Path,
        metrics: PublisherMetrics,
        tape: Tape | None = None,
    ) -> None:
        """`spool`: a directory that no other replica uses. `tape`: the identity of the tape, where other parts of the process share it."""
        self._feeds = feeds
        self._buffer = StandbyTradeBuffer(feeds.venue.trade_ids)
        self.sink = Sink(counters, before_down=self._step_back_before)
        self.sink.hold_in(self._buffer.add_all)
        self._name = settings.connector.replica
        venue = feeds.venue.id
        self._plan = TermPlan(
            client, keys, settings.bus, metrics, venue, producer, self._name, spool, tape or Tape(), self.sink.acknowledged
        )
        self._life_s = settings.connector.lease_s
        self._standby = HotStandby(client, keys, self, venue=venue, producer=producer, name=self._name, life_s=self._life_s)
        self._term: Term | None = None
        self._active = False
        self._followed = False
        """Whether the end of the tape was read since this replica became a standby."""
        self._acknowledged = 0
        self._takeovers = 0
        self._discarded = 0

    @property
    def pending(self) -> int:
        """See `Publisher`; 0 on a standby."""
        return 0 if self._term is None else self._term.pending

    @property
    def acknowledged(self) -> int:
        """Entries acknowledged to all publishers of this replica, one per term."""
        return self._acknowledged + (0 if self._term is None else self._term.acknowledged)

    @property
    def unpublished(self) -> Unpublished:
        """See `Publisher`; all zero on a standby."""
        publisher = None if self._term is None else self._term.publisher
        return Unpublished(0, 0, 0) if publisher is None else publisher.unpublished

    @property
    def healthy(self) -> bool:
        """Whether the server accepts our events; on a standby, whether it answers."""
        if (publisher := self._publisher) is not None:
            return publisher.acknowledged > 0 and publisher.availability.answering
        return time.monotonic() - self._standby.elector.answered_at < CALLS * self._life_s

    @property
    def active(self) -> bool:
        """See `Writer`."""
        return self._active

    async def flow(self) -> None:
        """See `Publisher.flow`. A standby writes nothing, so it never waits."""
        publisher = self._publisher
        await (asyncio.sleep(0) if publisher is None else publisher.flow())

    async def last_events(self, wanted: Sequence[tuple[str, str]]) -> LastEvents:
        """See `Writer`. While another replica publishes, the answer is soon out of date: a takeover reads the tape again."""
        while True:
            before = self._takeovers
            tape = await self._plan.last_events(wanted)
            if before == self._takeovers:
                return tape

    def close(self) -> None:
        """See `Writer`."""
        if self._term is not None and self._term.publisher is not None:
            self._term.publisher.close()

    def details(self) -> Mapping[str, Any]:
        """See `Writer`."""
        role = "active" if self._active else "standby" if self._standby.term is None else "taking over"
        others = {peer.replica: (peer.active, peer.healthy) for peer in self._standby.peers}
        return {
            "replica": self._name,
            "role": role,
            "covered": self._replaceable(),
            "held": len(self._buffer),
            "other_replicas": {name: _described(*state, "healthy") for name, state in others.items()},
            "line": self._name,  # this key and the next are the names of the release before
            "other_lines": {name: _described(*state, "well") for name, state in others.items()},
        }

    def reading(self) -> ReplicaReading | None:
        """See `Writer`."""
        return ReplicaReading(self._name, self._active, self._replaceable(), len(self._buffer), self._takeovers, self._discarded)

    async def run(self, health: VenueHealth) -> None:
        """Hold the lease, or wait for it as a standby, until cancelled."""
        self._health = health
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="replica.follow")
            await self._standby.run(tasks)

    async def finish(self, timeout_s: float) -> bool:
        """See `Writer`. Publishes what is pending, or spools it if no other replica is healthy; then releases the lease."""
        if self._active and self._replaceable():
            self._step_back()
        async with self._standby.leaving():
            term, left_to_others = self._term, self._standby.resigning
            drained = True
            if term is not None and term.publisher is not None:
                term.keeps_spool = not left_to_others
                drained = await term.publisher.drain(min(timeout_s, self._life_s) if left_to_others else timeout_s)
        return drained or left_to_others

    @property
    def _publisher(self) -> Publisher | None:
        """The publisher of an active replica."""
        return self._term.publisher if self._active and self._term is not None else None

    async def drain(self, timeout_s: float) -> None:
        """See `Candidate`."""
        if self._term is not None and self._term.publisher is not None:
            await self._term.publisher.drain(timeout_s)

    async def serve(self) -> None:
        """See `Candidate`."""
        term = self._term = Term(self._plan)
        try:
            await term.run(self._wanted, self._take_over, self._step_back)
        finally:
            self._term = None
            self._acknowledged += term.acknowledged
            self._discarded += term.discarded
            self._standby.elector.wake()

    def _wanted(self) -> list[tuple[str, str]]:
        """Return the (kind, instrument) pairs whose newest events must be known to continue the tape."""
        names = dict.fromkeys(feed.instrument for feed in self._feeds.records)
        return [predecessor.WHOLE_VENUE, *predecessor.wanted(self._feeds.kinds, names)]

    def _take_over(self, publisher: Publisher, last: LastEvents) -> None:
        """Become active: continue the tape after its newest events, `last`, in one step. No other replica can write any more."""
        now, held = time.time_ns(), len(self._buffer)
        self.sink.pass_to(publisher.publish_all, lambda: publisher.pending)
        self.sink.publish(continue_tape(self._feeds, self._buffer, predecessor.trades(last), now))
        self.sink.publish(predecessor.silence(self._plan.venue, last, now))
        self.sink.publish(predecessor.unpublished(self._feeds, last, now))
        self.sink.publish(self._feeds.candles.continue_after(last, now))
        self.sink.publish(self._health.statuses())
        self.sink.publish(self._feeds.restate(now))
        self._active = True
        self._takeovers += 1
        log.info("line.active", venue=self._plan.venue, line=self._name, epoch=publisher.epoch, held=held)

    def _step_back(self) -> None:
        """Become a standby from the next event on. If we still have the lease, it is released when the pending events are on the tape."""
        if not self._active:
            return
        self._active, self._followed = False, False
        self._buffer.clear()
        self.sink.hold_in(self._buffer.add_all)
        self._standby.resign()
        log.info("line.standby", venue=self._plan.venue, line=self._name, pending=self.pending)

    def step_back_if_lost(self) -> None:
        """See `Candidate`."""
        if self._active and self._lost() and self._replaceable():
            self._step_back()

    async def _follow(self) -> None:
        """Drop trades from the buffer when they are on the tape."""
        while True:
            names = list(self._feeds.trades.next_ids())
            await asyncio.sleep(min(FOLLOW_S, self._life_s) + FOLLOW_EACH_S * len(names))
            if self._active:
                continue
            before = self._takeovers
            with contextlib.suppress(BusError):
                last = await self._plan.last_events(predecessor.wanted(["trade"], names))
                if not self._active and before == self._takeovers:
                    self._buffer.drop_published(predecessor.trades(last))
                    self._followed = True

    def _step_back_before(self, status: Status) -> None:
        """Become a standby before we publish that a feed is down, if it lost its connection and another replica can take over."""
        if self._active:
            record = self._feeds.records.get(FeedKey(status.kind, status.instrument))
            if record is not None and record.opened_ts and not record.sessions and self._replaceable():
                self._step_back()

    def _replaceable(self) -> bool:
        return self._standby.replaceable(len(self._feeds.records))

    def _lost(self) -> bool:
        """Whether a feed has lost its connection."""
        return not self._health.connections() or any(feed.opened_ts and not feed.sessions for feed in self._feeds.records.values())

    def status(self) -> PeerStatus:
        """See `Candidate`."""
        feeds = self._feeds.records.values()
        return PeerStatus(
            replica=self._name,
            active=self._active,
            healthy=self._health.is_healthy() and (self._active or self._is_complete()),
            covered=self._replaceable(),
            live=sum(record.state is FeedState.LIVE for record in feeds),
            feeds=len(feeds),
            connections=self._health.connections(),
            held=len(self._buffer),
            ts=time.time_ns(),
        )

    def _is_complete(self) -> bool:
        """Whether no trade is missing between the tape, as it was last read, and the buffer."""
        return self._followed and all(self._buffer.is_complete(name, end) for name, end in self._feeds.trades.next_ids().items())


def _described(active: bool, healthy: bool, adjective: str) -> str:
    return f"{'active' if active else 'standby'}, {adjective if healthy else f'not {adjective}'}"
