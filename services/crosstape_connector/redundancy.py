"""One of several connectors of a venue that publish one tape in turn: it keeps the lease, takes over, and steps back.

All lines read the venue alike. What the one that publishes puts on the tape ends in a `Hold` on the others. Whoever gets the lease claims
the producer's cursor, from which moment nobody else can write, reads where the tape ends, and goes on there.

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
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from crosstape.bus import Client, Publisher
from crosstape.bus.claim import Claim, claim
from crosstape.bus.connection import UNAVAILABLE
from crosstape.bus.health import raise_if_cancelled
from crosstape.bus.last_values import last_values
from crosstape.bus.lease_table import Disagreement, LeaseTable, Table
from crosstape.bus.metrics import PublisherMetrics
from crosstape.errors import BusError, Superseded
from crosstape.settings import Settings
from crosstape_connector.feeds import Feed, Feeds
from crosstape_connector.hold import Hold, go_on
from crosstape_connector.line_words import LineWords
from crosstape_connector.metrics import LineReading, Outlet
from crosstape_connector.succession import Succession, Word
from crosstape_connector.venue import Venue
from crosstape_connector.writer import Standing
from crosstape_schemas import FeedState, Gap, Keys, Status, Trade

CALLS: Final = 3
"""In the life of a lease."""

MARGIN_S: Final = 0.01
"""After a lease has run out: its holder counts as dead by then, too."""

SETTLE_S: Final = 0.2
"""Between the claim and the first event: what the former read a little earlier than we did has reached us, too, by then."""

FOLLOW_S: Final = 1.0
"""How often a line that stands by looks where the tape is, and forgets what it need not hold any more."""

RETRY_S: Final = 0.1
"""Between attempts to claim, and to read where the tape ends."""

log = structlog.get_logger(__name__)


class Redundant:
    """The writer of one line. See `writer.Writer`."""

    def __init__(
        self, client: Client, keys: Keys, settings: Settings, *, venue: Venue, producer: str, spool: Path, metrics: PublisherMetrics
    ) -> None:
        """`spool`: the directory of this line's own."""
        self.hold = Hold(venue.trade_ids)
        self.publish = self.hold.take
        self._client = client
        self._keys = keys
        self._settings = settings
        self._venue = venue.id
        self._producer = producer
        self._spool = spool
        self._metrics = metrics
        self._line = settings.connector.line
        self._life_s = settings.connector.lease_s
        self._every_s = self._life_s / CALLS
        me = f"{self._line}@{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._succession = Succession(me, self._life_s)
        self._table = LeaseTable(client, keys, me, producer, [producer])
        self._words = LineWords(client, keys, producer, self._life_s)
        self._others: list[Word] = []
        self._answered_at = -math.inf
        self._asked_well = True
        self._turning = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tenure: asyncio.Task[None] | None = None
        self._publisher: Publisher | None = None
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
        return 0 if self._publisher is None else self._publisher.pending

    @property
    def acknowledged(self) -> int:
        """By all publishers that there were."""
        return self._acknowledged + (0 if self._publisher is None else self._publisher.acknowledged)

    @property
    def well(self) -> bool:
        """Of a line that stands by: whether the server answers."""
        if self._active and self._publisher is not None:
            return self._publisher.acknowledged > 0 and self._publisher.health.well
        return time.monotonic() - self._answered_at < CALLS * self._life_s

    def attach(self, feeds: Feeds, outlet: Outlet, standing: Standing) -> None:
        """See `Writer`."""
        self._feeds, self._outlet, self._standing = feeds, outlet, standing
        outlet.divert(self.hold.take, holding=True)
        outlet.listen(self._heed)

    async def flow(self) -> None:
        """See `Publisher.flow`. One that stands by is never ahead of a server."""
        if self._active and self._publisher is not None:
            await self._publisher.flow()
        else:
            await asyncio.sleep(0)

    async def last_trades(self, names: Sequence[str]) -> list[Trade]:
        """See `Writer`. While another publishes, the tape is further by the time of the answer: a takeover reads it anew."""
        while True:
            before = self._takeovers
            trades = await self._trades_on_tape(names)
            if before == self._takeovers:
                return trades

    def close(self) -> None:
        """See `Writer`."""
        if self._publisher is not None:
            self._publisher.close()

    def details(self) -> Mapping[str, Any]:
        """See `Writer`."""
        role = "active" if self._active else "standby" if self._tenure is None else "taking over"
        others = {word.line: ("active" if word.active else "standby") + (", well" if word.well else ", not well") for word in self._others}
        return {"line": self._line, "role": role, "covered": self._replaceable(), "held": len(self.hold), "other_lines": others}

    def reading(self) -> LineReading | None:
        """See `Writer`."""
        return LineReading(self._line, self._active, self._replaceable(), len(self.hold), self._takeovers, self._discarded)

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
            publisher, left_to_others = self._publisher, self._resigns
            drained = publisher is None or await publisher.drain(min(timeout_s, self._life_s) if left_to_others else timeout_s)
            with contextlib.suppress(*UNAVAILABLE, Disagreement):
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
                raise_if_cancelled()  # on Python 3.11 a cancellation during a call may have been swallowed
                if table is None:
                    return self._every_s / CALLS
                self._succession.answered(table, sent_at, self._word(), self._others)
                await self._apply(group)
                if not self._succession.taking:
                    return min(self._every_s, table.next_expiry_s + MARGIN_S)
        return self._every_s

    async def _ask(self) -> Table | None:
        """How the lease stands, and what the other lines say; None, and the reason in the log once, if there was no answer in time."""
        try:
            async with asyncio.timeout(self._every_s):
                await self._words.say(self._word())
                table = await self._table.exchange([self._succession.want], self._life_s)
                others = [one.partition("@")[0] for one in table.instances if one != self._succession.me]
                self._others = await self._words.heard(others)
        except (*UNAVAILABLE, Disagreement) as exc:
            if self._asked_well:
                log.warning("line.no_answer", venue=self._venue, line=self._line, reason=str(exc) or type(exc).__name__)
            self._asked_well = False
            self._others = []  # what is not known cannot be relied on
            return None
        self._asked_well, self._answered_at = True, time.monotonic()
        return table

    async def _apply(self, group: asyncio.TaskGroup) -> None:
        """Begin to publish, or end."""
        tenure = self._tenure
        if tenure is not None and tenure.done():
            self._tenure = tenure = None
            if self._succession.active:  # somebody writes who has no lease: a connector without a line
                self._succession.resign()
                return
        if self._succession.active and tenure is None:
            self._resigns = False
            self._tenure = group.create_task(self._serve(), name="line.tenure")
        elif tenure is not None and not self._succession.active:
            self._step_back()
            tenure.cancel()
            await asyncio.wait([tenure])  # it ends at once, but for removing files
            self._tenure = None

    async def _resign(self) -> None:
        """What was read before is published, as far as that goes quickly; then another may go on behind it."""
        if self._publisher is not None:
            await self._publisher.drain(self._life_s)
        self._succession.resign()
        self._resigns = False

    # ---- publishing

    async def _serve(self) -> None:
        """From having the lease until cancelled, or another publishes."""
        claimed = await self._claim()
        if claimed.former not in {None, self._line}:
            await self._remove_spool()  # another line has gone on from there
        publisher = self._publisher = Publisher(
            self._client,
            self._keys,
            self._settings.bus,
            producer=self._producer,
            metrics=self._metrics,
            spool=self._spool,
            epoch=claimed.epoch,
        )
        superseded = False
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publisher.run(), name="line.publish")
                await publisher.claimed()
                await asyncio.sleep(SETTLE_S)
                await self._take_over(publisher)
        except* Superseded:
            superseded = True
        finally:
            self._step_back()
            self._publisher = None
            self._acknowledged += publisher.acknowledged
            left = publisher.left or publisher.pending
            publisher.close()
            if superseded or not self._stopping:
                await self._discard(left)
            self._wake.set()

    async def _claim(self) -> Claim:
        while True:
            with contextlib.suppress(*UNAVAILABLE):
                return await claim(self._client, self._keys, self._producer, self._line)
            raise_if_cancelled()
            await asyncio.sleep(RETRY_S)

    async def _take_over(self, publisher: Publisher) -> None:
        """Nobody else can write any more: go on behind what is there."""
        feeds, hold = self._feeds, self.hold
        while True:
            names = list(feeds.trade_ends())
            try:
                trades = await self._trades_on_tape(names)
            except BusError:
                await asyncio.sleep(RETRY_S)
                continue
            if names == list(feeds.trade_ends()):
                break
        now = time.time_ns()  # from here on in one step
        held = len(hold)
        self._outlet.divert(publisher.publish, holding=False)
        self._outlet.put(go_on(feeds, hold, trades, now))
        self._outlet.put(self._standing.states())
        self._outlet.put(feeds.restate(now))
        self._active = True
        self._takeovers += 1
        log.info("line.active", venue=self._venue, line=self._line, epoch=publisher.epoch, held=held)

    def _step_back(self) -> None:
        """From the next event on, hold. If that is by our own will, the lease is given back when what is pending is on the tape."""
        if not self._active:
            return
        self._active, self._followed = False, False
        self._resigns = self._succession.active
        self.hold.forget()
        self._outlet.divert(self.hold.take, holding=True)
        self._wake.set()
        log.info("line.standby", venue=self._venue, line=self._line, pending=self.pending)

    async def _discard(self, left: int) -> None:
        """What was not on the tape yet when another has gone on from there: it has the same from its own hold, or has told it as a gap."""
        self._metrics.pending(0)
        self._metrics.spool(0, 0)
        if left:
            self._discarded += left
            log.warning("line.discarded", venue=self._venue, line=self._line, events=left)
        await self._remove_spool()

    async def _remove_spool(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, self._spool)

    # ---- standing by

    async def _follow(self) -> None:
        """What is on the tape need not be held."""
        while True:
            await asyncio.sleep(min(FOLLOW_S, self._life_s))
            if self._active:
                continue
            before = self._takeovers
            with contextlib.suppress(BusError):
                trades = await self._trades_on_tape(list(self._feeds.trade_ends()))
                if not self._active and before == self._takeovers:
                    self.hold.seen(trades)
                    self._followed = True
            raise_if_cancelled()

    async def _trades_on_tape(self, names: Sequence[str]) -> list[Trade]:
        found = await last_values(self._client, self._keys, "trade", names, self._venue)
        return [event for event in found.values() if isinstance(event, Trade)]

    # ---- how this line is

    def _heed(self, event: Status | Gap) -> None:
        """A feed's connection is lost: before that is told, another line may take its place."""
        if self._active and isinstance(event, Status) and event.state is FeedState.DOWN:
            record = self._feeds.feeds.get(Feed(event.kind, event.instrument))
            if record is not None and not record.sessions and self._replaceable():
                self._step_back()

    def _replaceable(self) -> bool:
        return any(one.could_replace(len(self._feeds.feeds)) for one in self._others)

    def _lost(self) -> bool:
        """Whether a feed has no connection though it once had one."""
        return not self._standing.connections() or any(one.opened_ts and not one.sessions for one in self._feeds.feeds.values())

    def _word(self) -> Word:
        feeds = self._feeds.feeds.values()
        return Word(
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
        return self._followed and all(self.hold.whole(name, end) for name, end in self._feeds.trade_ends().items())
