"""Keeps all connections of a venue: when to connect, how long to wait after a failure, when one connection takes over from another."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

import structlog

from crosstape_connector.backoff import delays
from crosstape_connector.connection import plan
from crosstape_connector.connection.connect_budget import ConnectBudget
from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.connection.plan import ConnectionPlan
from crosstape_connector.connection.session import Session
from crosstape_connector.connection.slot import Attempt, ConnectionSlot
from crosstape_connector.errors import ConnectFailed, FeedError
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.spec import Endpoint

HANDOVER_S: Final = 30.0
"""How long a new connection may take until it can take over without a gap. After this time it is closed, and another is tried. But if the
venue has announced that it will close the old connection, the new one takes over all the same."""

OVERLAP_S: Final = 0.5
"""Both connections are read for at least this long after all topics are subscribed: either may get the same message a little later."""

LOOK_S: Final = 0.05
"""How often to check whether the new connection can take over."""

EARLIEST: Final = 0.90
LATEST: Final = 0.96
"""A connection is replaced at this part of the age at which its venue closes it: of 24 hours, after 21.6 to 23. That leaves an hour for
failed attempts, and connections that were opened together are not replaced together."""

log = structlog.get_logger(__name__)


def rotation_due_s(lifetime_s: float, draw: float) -> float | None:
    """Return the age, in seconds, at which to replace a connection; None: never. `draw`: a random number from 0 to 1 per connection."""
    return lifetime_s * (EARLIEST + (LATEST - EARLIEST) * draw) if lifetime_s > 0 else None


class Supervisor:
    """Keeps one session per slot, and reconnects. A failure of one connection does not affect the others."""

    def __init__(self, context: ConnectionContext, connections: Iterable[ConnectionPlan]) -> None:
        self.reason = ""
        """Why the last session ended, or could not connect."""
        self._context = context
        self._slots = list(map(ConnectionSlot, connections))
        self._attempts: dict[int, Attempt] = {}
        self._numbers = itertools.count(1)
        self._connects = ConnectBudget(context.venue, context.counters)
        self._room = {endpoint.name: endpoint.topics for endpoint in context.venue.endpoints}
        """Endpoint → subscriptions that one connection has room for: those of the venue's table, or fewer, as the venue has shown."""
        self._known_full: set[str] = set()
        self._group: asyncio.TaskGroup | None = None

    @property
    def sessions(self) -> list[Session]:
        """The sessions that run or connect, oldest first."""
        return [attempt.session for attempt in self._attempts.values()]

    @property
    def up(self) -> bool:
        """Whether any connection is open."""
        return any(attempt.session.open for attempt in self._attempts.values())

    def answered(self, endpoint: str) -> bool:
        """Whether the venue has answered a subscription on an open connection to this endpoint. An open socket alone proves little."""
        return any(
            session.open and session.subscriptions.answered for session in self.sessions if session.connection.endpoint.name == endpoint
        )

    def resubscribe(self, topic: Topic) -> bool:
        """Subscribe this topic again on the connection that has it. False: no connection does, or one is subscribing it already."""
        return any(session.resubscribe(topic) for session in self.sessions)

    def subscribe(self, connection: ConnectionPlan) -> None:
        """Subscribe these topics too: on slots that have room for a symbol's topics, the rest on new ones. Works while running."""
        self._place(connection, self._slots)

    def _place(self, connection: ConnectionPlan, slots: Iterable[ConnectionSlot]) -> None:
        """Subscribe these topics on those of the slots that have room for a symbol's topics, and the rest on new slots."""
        endpoint = connection.endpoint
        room = self._room[endpoint.name]
        usable = [slot for slot in slots if slot.endpoint is endpoint]
        rest: list[Sequence[Topic]] = []
        for topics in plan.by_symbol(connection.topics):
            slot = next((one for one in usable if plan.fits(one.plan, topics, room)), None)
            if slot is None:
                rest.append(topics)
            else:
                slot.subscribe(topics)
        for shard in plan.shards(endpoint, rest, room):
            slot = ConnectionSlot(ConnectionPlan(endpoint, shard))
            self._slots.append(slot)
            if self._group is not None:
                self._start(slot, self._group)

    def _move(self, slot: ConnectionSlot, topics: Sequence[Topic], room: int, reason: str) -> None:
        """Subscribe topics on other connections, because the venue has no room for them on this slot's.

        From then on all connections are planned for this room, so each topic that moves finds fewer slots to try. On a new slot it is the
        first; a venue that refuses even that has another reason, and `Subscriptions.make_room` rejects it.
        """
        endpoint = slot.endpoint
        self._room[endpoint.name] = min(self._room[endpoint.name], room)
        if endpoint.name not in self._known_full:
            self._known_full.add(endpoint.name)
            log.warning("session.full", venue=self._context.venue.id, endpoint=endpoint.name, room=room, reason=reason)
        slot.unsubscribe(topics)
        self._place(ConnectionPlan(endpoint, tuple(topics)), [other for other in self._slots if other is not slot])

    def unsubscribe(self, topics: Sequence[Topic]) -> None:
        """Unsubscribe these topics, on whichever connection they are. Works while running."""
        for slot in self._slots:
            slot.unsubscribe(topics)
        self._slots = [slot for slot in self._slots if slot.topics]

    async def run(self) -> None:
        """Keep all slots connected until cancelled; then every session has closed its connection, and `FeedHandler` knows."""
        async with asyncio.TaskGroup() as self._group:
            for slot in self._slots:
                self._start(slot, self._group)
            await asyncio.Event().wait()  # for ever: slots may be added

    def _start(self, slot: ConnectionSlot, group: asyncio.TaskGroup) -> None:
        slot.task = group.create_task(self._keep(slot, group), name=f"keep.{slot.endpoint.name}")

    async def _keep(self, slot: ConnectionSlot, group: asyncio.TaskGroup) -> None:
        """Keep one session running for this slot, reconnecting as needed, until cancelled; then close it."""
        waits = self._delays()
        try:
            while True:
                attempt = await self._launch(slot, group)
                attempt = await self._rotate_as_due(attempt, slot, group)
                waits = await self._pause(attempt, waits)
        finally:
            for attempt in slot.attempts:
                if not attempt.task.cancelling():  # at shutdown it is cancelled with us; a second cancel would interrupt its closing
                    attempt.task.cancel()

    async def _launch(self, slot: ConnectionSlot, group: asyncio.TaskGroup, *, standby: bool = False) -> Attempt:
        await self._connects.wait_turn(slot.endpoint.name)
        slot.quarantine.try_again(time.monotonic())
        session = Session(
            self._context,
            slot.plan,
            next(self._numbers),
            standby=standby,
            on_full=partial(self._move, slot),
            quarantine=slot.quarantine,
        )
        attempt = self._attempts[session.number] = Attempt(session, group)
        slot.attempts.append(attempt)

        def ended(_: asyncio.Task[None]) -> None:
            if attempt.error is not None:
                asked = session.subscriptions
                slot.quarantine.closed(asked.unanswered(), time.monotonic(), served=asked.served)
            del self._attempts[session.number]
            slot.attempts.remove(attempt)

        attempt.task.add_done_callback(ended)
        return attempt

    async def _rotate_as_due(self, attempt: Attempt, slot: ConnectionSlot, group: asyncio.TaskGroup) -> Attempt:
        """Replace this connection whenever it is due. Returns the attempt that has ended: this one, or the last that took over."""
        waits = self._delays()
        wait_s = self._due_s(slot.endpoint)
        while True:
            await asyncio.wait({attempt.task, attempt.session.rotate}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if attempt.task.done():
                return attempt
            successor = await self._launch(slot, group, standby=True)
            missing = await self._wait_ready(attempt, successor)
            may = not missing or (successor.session.open and attempt.session.rotate.done())
            if not successor.task.done() and (attempt.task.done() or may):
                await self._hand_over(attempt, successor)
                attempt, waits, wait_s = successor, self._delays(), self._due_s(slot.endpoint)
                continue
            await successor.stop()
            self._context.counters.endpoints[slot.endpoint.name].rotations_failed += 1
            wait_s = self._wait_s(successor.error, waits)
            reason = str(successor.error or missing)
            log.warning("session.handover_failed", venue=self._context.venue.id, reason=reason, retry_in_s=round(wait_s, 3))
            await asyncio.wait({attempt.task}, timeout=wait_s)
            wait_s = 0.0

    async def _wait_ready(self, attempt: Attempt, successor: Attempt) -> str:
        """Wait until the successor can take over, one of the two has ended, or `HANDOVER_S` is over. Returns why it cannot, or ""."""
        until = time.monotonic() + HANDOVER_S
        session = successor.session
        await asyncio.wait({attempt.task, successor.task, session.settled}, timeout=HANDOVER_S, return_when=asyncio.FIRST_COMPLETED)
        both_until = time.monotonic() + OVERLAP_S
        while True:
            missing = session.not_ready()
            now = time.monotonic()
            if attempt.task.done() or successor.task.done() or now >= until or (not missing and now >= both_until):
                return missing
            await asyncio.wait({attempt.task, successor.task}, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)

    async def _hand_over(self, attempt: Attempt, successor: Attempt) -> None:
        endpoint = successor.session.connection.endpoint.name
        if attempt.task.done():
            self._lost(attempt, 0.0)
        else:
            attempt.task.cancel()  # it reads no further frame from here on
            self._context.counters.endpoints[endpoint].rotations += 1
        successor.session.take_over()
        log.info("session.handover", venue=self._context.venue.id, old=attempt.session.number, new=successor.session.number)
        await attempt.stop()

    def _due_s(self, endpoint: Endpoint) -> float | None:
        return rotation_due_s(self._context.settings.rotate_s or endpoint.lifetime_s, random.random())  # noqa: S311

    async def _pause(self, attempt: Attempt, waits: Iterator[float]) -> Iterator[float]:
        """Wait after this attempt has ended. Returns the delays to go on with: short ones again after a healthy attempt."""
        if time.monotonic() - attempt.started >= self._context.settings.healthy_s:
            waits = self._delays()
        wait_s = self._wait_s(attempt.error, waits)
        self._lost(attempt, wait_s)
        await asyncio.sleep(wait_s)
        return waits

    def _wait_s(self, error: FeedError | None, waits: Iterator[float]) -> float:
        """Return the seconds until the next attempt. If the venue asked for a pause, all connections wait."""
        wait_s = next(waits)
        if isinstance(error, ConnectFailed) and error.retry_after_s is not None:
            self._connects.hold_off(error.retry_after_s)
            wait_s = max(wait_s, error.retry_after_s)
        return wait_s

    def _lost(self, attempt: Attempt, wait_s: float) -> None:
        if attempt.error is None:
            raise AssertionError("a session ends by an error or by cancellation")
        self.reason = str(attempt.error)
        endpoint = attempt.session.connection.endpoint.name
        self._context.counters.endpoints[endpoint].lost += 1
        log.warning(
            "session.lost",
            venue=self._context.venue.id,
            endpoint=endpoint,
            connection=attempt.session.number,
            reason=self.reason,
            lived_s=round(time.monotonic() - attempt.started, 3),
            retry_in_s=round(wait_s, 3),
        )

    def _delays(self) -> Iterator[float]:
        return delays(self._context.settings.backoff_min_s, self._context.settings.backoff_max_s)
