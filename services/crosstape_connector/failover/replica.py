"""A connector that is one of several replicas for one venue: one of them is active, the others are standbys.

All replicas read the venue alike. The active one publishes what it reads; a standby keeps its trades in a `StandbyTradeBuffer`. Whoever
gets the lease claims the producer's cursor, after which nobody else can write, reads where the tape ends, and continues there.

    standby ── has the lease: claims, reads the end of the tape, publishes the trades behind it and all states ────────────► active
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
from crosstape_connector.failover.trade_buffer import StandbyTradeBuffer, go_on
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.metrics.collector import ReplicaReading
from crosstape_connector.publishing import predecessor
from crosstape_connector.publishing.predecessor import LastEvents
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.publishing.writer import Standing
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import FeedState, Gap, Keys, Status

FOLLOW_S: Final = 1.0
FOLLOW_EACH_S: Final = 0.002
"""Pause of a standby between two looks at the end of the tape, and the addition for each instrument."""

log = structlog.get_logger(__name__)


class Replica:
    """The writer of one replica. See `writer.Writer`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        settings: Settings,
        *,
        venue: Venue,
        producer: str,
        spool: Path,
        metrics: PublisherMetrics,
        tape: Tape | None = None,
    ) -> None:
        """`spool`: the directory of this replica's own. `tape`: the tape it writes to, if other parts of the process need to know, too."""
        self.hold = StandbyTradeBuffer(venue.trade_ids)
        self.publish = self.hold.take
        self._name = settings.connector.replica
        self._plan = TermPlan(client, keys, settings.bus, metrics, venue.id, producer, self._name, spool, tape or Tape())
        self._life_s = settings.connector.lease_s
        self._standby = HotStandby(client, keys, self, venue=venue.id, producer=producer, name=self._name, life_s=self._life_s)
        self._term: Term | None = None
        self._active = False
        self._followed = False
        """The end of the tape was read since this replica became a standby."""
        self._acknowledged = 0
        self._takeovers = 0
        self._discarded = 0

    # ---- what a connector asks of its writer

    @property
    def pending(self) -> int:
        """Of the publisher, while there is one."""
        return 0 if self._term is None else self._term.pending

    @property
    def acknowledged(self) -> int:
        """By all publishers that there were."""
        return self._acknowledged + (0 if self._term is None else self._term.acknowledged)

    @property
    def unpublished(self) -> Unpublished:
        """Of the publisher, while there is one."""
        publisher = None if self._term is None else self._term.publisher
        return Unpublished(0, 0, 0) if publisher is None else publisher.unpublished

    @property
    def healthy(self) -> bool:
        """Of a line that stands by: whether the server answers."""
        if (publisher := self._publisher) is not None:
            return publisher.acknowledged > 0 and publisher.availability.answering
        return time.monotonic() - self._standby.elector.answered_at < CALLS * self._life_s

    @property
    def active(self) -> bool:
        """See `Writer`."""
        return self._active

    def attach(self, feeds: FeedHandler, sink: Sink, standing: Standing) -> None:
        """See `Writer`."""
        self._feeds, self._sink, self._standing = feeds, sink, standing
        sink.divert(self.hold.take, holding=True)
        sink.listen(self._heed)

    async def flow(self) -> None:
        """See `Publisher.flow`. One that stands by is never ahead of a server."""
        publisher = self._publisher
        await (asyncio.sleep(0) if publisher is None else publisher.flow())

    async def last_events(self, wanted: Sequence[tuple[str, str]]) -> LastEvents:
        """See `Writer`. While another publishes, the tape is further by the time of the answer: a takeover reads it again."""
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
        others = {
            peer.line: ("active" if peer.active else "standby") + (", well" if peer.well else ", not well") for peer in self._standby.peers
        }
        return {"line": self._name, "role": role, "covered": self._replaceable(), "held": len(self.hold), "other_lines": others}

    def reading(self) -> ReplicaReading | None:
        """See `Writer`."""
        return ReplicaReading(self._name, self._active, self._replaceable(), len(self.hold), self._takeovers, self._discarded)

    async def run(self) -> None:
        """Hold the lease, or stand by for it, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="line.follow")
            await self._standby.run(tasks)

    async def finish(self, timeout_s: float) -> bool:
        """See `Writer`: what is pending is published, or spooled if no other replica is healthy; then the lease is free for others."""
        if self._active and self._replaceable():
            self._step_back()
        async with self._standby.leaving():
            term, left_to_others = self._term, self._standby.resigning
            drained = True
            if term is not None and term.publisher is not None:
                term.keeps_spool = not left_to_others
                drained = await term.publisher.drain(min(timeout_s, self._life_s) if left_to_others else timeout_s)
        return drained or left_to_others

    # ---- publishing

    @property
    def _publisher(self) -> Publisher | None:
        """Of a line that is active."""
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
        """What must be known of the tape to go on behind it."""
        names = dict.fromkeys(feed.instrument for feed in self._feeds.records)
        return [predecessor.WHOLE_VENUE, *predecessor.wanted(self._feeds.kinds, names)]

    def _take_over(self, publisher: Publisher, last: LastEvents) -> None:
        """Nobody else can write any more: go on behind what is there, in one step."""
        now, held = time.time_ns(), len(self.hold)
        self._sink.divert(publisher.publish, holding=False)
        self._sink.publish(go_on(self._feeds, self.hold, predecessor.trades(last), now))
        self._sink.publish(predecessor.silence(self._plan.venue, last, now))
        self._sink.publish(predecessor.unpublished(self._feeds, last, now))
        self._sink.publish(self._standing.states())
        self._sink.publish(self._feeds.restate(now))
        self._active = True
        self._takeovers += 1
        log.info("line.active", venue=self._plan.venue, line=self._name, epoch=publisher.epoch, held=held)

    def _step_back(self) -> None:
        """Become a standby from the next event on. If we still have the lease, it is given back when what is pending is on the tape."""
        if not self._active:
            return
        self._active, self._followed = False, False
        self.hold.forget()
        self._sink.divert(self.hold.take, holding=True)
        self._standby.resign()
        log.info("line.standby", venue=self._plan.venue, line=self._name, pending=self.pending)

    def step_back_if_lost(self) -> None:
        """See `Candidate`."""
        if self._active and self._lost() and self._replaceable():
            self._step_back()

    # ---- standing by

    async def _follow(self) -> None:
        """What is on the tape need not be held."""
        while True:
            names = list(self._feeds.trades.next_ids())
            await asyncio.sleep(min(FOLLOW_S, self._life_s) + FOLLOW_EACH_S * len(names))
            if self._active:
                continue
            before = self._takeovers
            with contextlib.suppress(BusError):
                last = await self._plan.last_events(predecessor.wanted(["trade"], names))
                if not self._active and before == self._takeovers:
                    self.hold.seen(predecessor.trades(last))
                    self._followed = True

    # ---- how this line is

    def _heed(self, event: Status | Gap) -> None:
        """A feed's connection is lost: before that is told, another line may take its place."""
        if self._active and isinstance(event, Status) and event.state is FeedState.DOWN:
            record = self._feeds.records.get(FeedKey(event.kind, event.instrument))
            if record is not None and not record.sessions and self._replaceable():
                self._step_back()

    def _replaceable(self) -> bool:
        return self._standby.replaceable(len(self._feeds.records))

    def _lost(self) -> bool:
        """Whether a feed has no connection though it once had one."""
        return not self._standing.connections() or any(one.opened_ts and not one.sessions for one in self._feeds.records.values())

    def status(self) -> PeerStatus:
        """See `Candidate`."""
        feeds = self._feeds.records.values()
        return PeerStatus(
            line=self._name,
            active=self._active,
            well=self._standing.well() and (self._active or self._is_whole()),
            covered=self._replaceable(),
            live=sum(record.state is FeedState.LIVE for record in feeds),
            feeds=len(feeds),
            connections=self._standing.connections(),
            held=len(self.hold),
            ts=time.time_ns(),
        )

    def _is_whole(self) -> bool:
        """Whether nothing is missing between the tape, as it was last seen, and what is held."""
        return self._followed and all(self.hold.whole(name, end) for name, end in self._feeds.trades.next_ids().items())
