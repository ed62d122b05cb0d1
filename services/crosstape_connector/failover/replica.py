"""One of several connectors of a venue that publish one tape in turn: it keeps the lease, takes over, and steps back.

All lines read the venue alike. What the one that publishes puts on the tape ends in a `StandbyTradeBuffer` on the others.
Whoever gets the lease claims the producer's cursor, from which moment nobody else can write, reads where the tape ends, and goes on there.

    stands by ── has the lease: claims, reads where the tape ends, publishes what it holds behind that, and all states ──► publishes
        ▲                                                                                                                      │
        └── another has begun; or its connections are lost, or it is to stop, and another is well: nothing of that is told ◄───┘
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from crosstape.bus import Client, Publisher
from crosstape.bus.client.call import UNAVAILABLE
from crosstape.bus.lease.table import LeaseCountMismatch, LeaseSnapshot, LeaseTable
from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.publish.publisher import Unpublished
from crosstape.bus.spool.tape_identity import Tape
from crosstape.errors import BusError
from crosstape.settings import Settings
from crosstape_connector.failover.election import Election, PeerStatus
from crosstape_connector.failover.peers import Peers
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

CALLS: Final = 3
"""In the life of a lease."""

MARGIN_S: Final = 0.01
"""After a lease has run out: its holder counts as dead by then, too."""

FOLLOW_S: Final = 1.0
FOLLOW_EACH_S: Final = 0.002
"""How often a line that stands by looks where the tape is, and forgets what it need not hold any more; and for each instrument more."""

log = structlog.get_logger(__name__)


class Replica:
    """The writer of one line. See `writer.Writer`."""

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
        """`spool`: the directory of this line's own. `tape`: where its events go, if others of the process ask for that, too."""
        self.hold = StandbyTradeBuffer(venue.trade_ids)
        self.publish = self.hold.take
        self._line = settings.connector.replica
        self._seat = TermPlan(client, keys, settings.bus, metrics, venue.id, producer, self._line, spool, tape or Tape())
        self._life_s = settings.connector.lease_s
        self._every_s = self._life_s / CALLS
        me = f"{self._line}@{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._succession = Election(me, self._life_s)
        self._table = LeaseTable(client, keys, me, producer, [producer])
        self._words = Peers(client, keys, producer, self._life_s)
        self._others: list[PeerStatus] = []
        self._answered_at = -math.inf
        self._asked_well = True
        self._turning = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tenure: Term | None = None
        self._serving: asyncio.Task[None] | None = None
        """The task of it."""
        self._active = False
        self._followed = False
        """The tape was looked at since this line stands by."""
        self._resigns = False
        """It publishes no more, though the lease is still ours."""
        self._stopping = False
        self._acknowledged = 0
        self._takeovers = 0
        self._discarded = 0

    # ---- what a connector asks of its writer

    @property
    def pending(self) -> int:
        """Of the publisher, while there is one."""
        return 0 if self._tenure is None else self._tenure.pending

    @property
    def acknowledged(self) -> int:
        """By all publishers that there were."""
        return self._acknowledged + (0 if self._tenure is None else self._tenure.acknowledged)

    @property
    def unpublished(self) -> Unpublished:
        """Of the publisher, while there is one."""
        publisher = None if self._tenure is None else self._tenure.publisher
        return Unpublished(0, 0, 0) if publisher is None else publisher.unpublished

    @property
    def healthy(self) -> bool:
        """Of a line that stands by: whether the server answers."""
        if (publisher := self._publisher) is not None:
            return publisher.acknowledged > 0 and publisher.availability.answering
        return time.monotonic() - self._answered_at < CALLS * self._life_s

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
            tape = await self._seat.last_events(wanted)
            if before == self._takeovers:
                return tape

    def close(self) -> None:
        """See `Writer`."""
        if self._tenure is not None and self._tenure.publisher is not None:
            self._tenure.publisher.close()

    def details(self) -> Mapping[str, Any]:
        """See `Writer`."""
        role = "active" if self._active else "standby" if self._serving is None else "taking over"
        others = {word.line: ("active" if word.active else "standby") + (", well" if word.well else ", not well") for word in self._others}
        return {"line": self._line, "role": role, "covered": self._replaceable(), "held": len(self.hold), "other_lines": others}

    def reading(self) -> ReplicaReading | None:
        """See `Writer`."""
        return ReplicaReading(self._line, self._active, self._replaceable(), len(self.hold), self._takeovers, self._discarded)

    async def run(self) -> None:
        """Keep the lease, or stand by for it, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="line.follow")
            while True:
                pause_s = await self._turn(group)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()
                self._wake.clear()

    async def finish(self, timeout_s: float) -> bool:
        """See `Writer`: what is pending is published, or spooled if no other line is well; then the lease is free for others."""
        if self._active and self._replaceable():
            self._step_back()
        self._stopping = True
        async with self._turning:
            tenure, left_to_others = self._tenure, self._resigns
            drained = True
            if tenure is not None and tenure.publisher is not None:
                tenure.keeps_spool = not left_to_others
                drained = await tenure.publisher.drain(min(timeout_s, self._life_s) if left_to_others else timeout_s)
            with contextlib.suppress(*UNAVAILABLE, LeaseCountMismatch):
                async with asyncio.timeout(self._life_s):
                    await self._words.take_back(self._line)
                    self._succession.resign()
                    await self._table.exchange([self._succession.want], self._life_s)
            await self._table.close()
        return drained or left_to_others

    # ---- the lease

    async def _turn(self, group: asyncio.TaskGroup) -> float:
        """Ask, do what follows, and ask again at once if there is something to take. How long to wait then."""
        async with self._turning:
            while not self._stopping:
                if self._active and self._lost() and self._replaceable():
                    self._step_back()
                if self._resigns:
                    await self._resign()
                sent_at = time.monotonic()
                table = await self._ask()
                if table is None:
                    return self._every_s / CALLS
                self._succession.answered(table, sent_at, self._word(), self._others)
                await self._apply(group)
                if not self._succession.taking:
                    return min(self._every_s, table.next_expiry_s + MARGIN_S)
        return self._every_s

    async def _ask(self) -> LeaseSnapshot | None:
        """How the lease stands, and what the other lines say; None, and the reason in the log once, if there was no answer in time."""
        try:
            async with asyncio.timeout(self._every_s):
                await self._words.say(self._word())
                table = await self._table.exchange([self._succession.want], self._life_s)
                others = [one.partition("@")[0] for one in table.instances if one != self._succession.me]
                self._others = await self._words.heard(others)
        except (*UNAVAILABLE, LeaseCountMismatch) as exc:
            if self._asked_well:
                log.warning("line.no_answer", venue=self._seat.venue, line=self._line, reason=str(exc) or type(exc).__name__)
            self._asked_well = False
            self._others = []  # what is not known cannot be relied on
            return None
        self._asked_well, self._answered_at = True, time.monotonic()
        return table

    async def _apply(self, group: asyncio.TaskGroup) -> None:
        """Begin to publish, or end."""
        if self._serving is not None and self._serving.done():
            self._serving = None
            if self._succession.active:  # somebody writes who has no lease: a connector without a line
                self._succession.resign()
                return
        if self._succession.active and self._serving is None:
            self._resigns = False
            self._serving = group.create_task(self._serve(), name="line.serve")
        elif self._serving is not None and not self._succession.active:
            self._serving.cancel()
            await asyncio.wait([self._serving])  # it ends at once, but for removing files
            self._serving = None

    async def _resign(self) -> None:
        """What was read before is published, as far as that goes quickly; then another may go on behind it."""
        if self._tenure is not None and self._tenure.publisher is not None:
            await self._tenure.publisher.drain(self._life_s)
        self._succession.resign()
        self._resigns = False

    # ---- publishing

    @property
    def _publisher(self) -> Publisher | None:
        """Of a line that is active."""
        return self._tenure.publisher if self._active and self._tenure is not None else None

    async def _serve(self) -> None:
        tenure = self._tenure = Term(self._seat)
        try:
            await tenure.run(self._wanted, self._take_over, self._step_back)
        finally:
            self._tenure = None
            self._acknowledged += tenure.acknowledged
            self._discarded += tenure.discarded
            self._wake.set()

    def _wanted(self) -> list[tuple[str, str]]:
        """What must be known of the tape to go on behind it."""
        names = dict.fromkeys(feed.instrument for feed in self._feeds.records)
        return [predecessor.WHOLE_VENUE, *predecessor.wanted(self._feeds.kinds, names)]

    def _take_over(self, publisher: Publisher, last: LastEvents) -> None:
        """Nobody else can write any more: go on behind what is there, in one step."""
        now, held = time.time_ns(), len(self.hold)
        self._sink.divert(publisher.publish, holding=False)
        self._sink.publish(go_on(self._feeds, self.hold, predecessor.trades(last), now))
        self._sink.publish(predecessor.silence(self._seat.venue, last, now))
        self._sink.publish(predecessor.unpublished(self._feeds, last, now))
        self._sink.publish(self._standing.states())
        self._sink.publish(self._feeds.restate(now))
        self._active = True
        self._takeovers += 1
        log.info("line.active", venue=self._seat.venue, line=self._line, epoch=publisher.epoch, held=held)

    def _step_back(self) -> None:
        """From the next event on, hold. If that is by our own will, the lease is given back when what is pending is on the tape."""
        if not self._active:
            return
        self._active, self._followed = False, False
        self._resigns = self._succession.active
        self.hold.forget()
        self._sink.divert(self.hold.take, holding=True)
        self._wake.set()
        log.info("line.standby", venue=self._seat.venue, line=self._line, pending=self.pending)

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
                last = await self._seat.last_events(predecessor.wanted(["trade"], names))
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
        return any(one.could_replace(len(self._feeds.records)) for one in self._others)

    def _lost(self) -> bool:
        """Whether a feed has no connection though it once had one."""
        return not self._standing.connections() or any(one.opened_ts and not one.sessions for one in self._feeds.records.values())

    def _word(self) -> PeerStatus:
        feeds = self._feeds.records.values()
        return PeerStatus(
            line=self._line,
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
