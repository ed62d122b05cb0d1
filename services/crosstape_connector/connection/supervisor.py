"""Sessions for ever: when to connect, how long to wait after a failure, how one connection takes over from another. Retries are here."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import structlog

from crosstape_connector.backoff import delays
from crosstape_connector.connection import plan
from crosstape_connector.connection.connect_budget import ConnectBudget
from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.connection.plan import ConnectionPlan
from crosstape_connector.connection.rotation import due_s
from crosstape_connector.connection.session import Session
from crosstape_connector.errors import ConnectFailed, FeedError
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.spec import Endpoint

HANDOVER_S: Final = 30.0
"""How long a connection may take until it can take over without a hole. Then it is given up, and tried again; but where the venue has said
that it will cut the one before, it takes over all the same."""

OVERLAP_S: Final = 0.5
"""Both are read for at least so long, once all is subscribed: one may be told a little later than the other what happened just before."""

LOOK_S: Final = 0.05
"""How often it is looked whether it can."""

log = structlog.get_logger(__name__)


class Attempt:
    """A session and the task that runs it. `error`: why it ended; None while it runs, or if we ended it."""

    def __init__(self, session: Session, group: asyncio.TaskGroup) -> None:
        self.session = session
        self.error: FeedError | None = None
        self.started = time.monotonic()
        self.task = group.create_task(self._run(), name=f"session.{session.number}")

    async def _run(self) -> None:
        try:
            await self.session.run()
        except FeedError as exc:
            self.error = exc

    async def stop(self) -> None:
        """End it politely; returns when it has."""
        self.task.cancel()
        await asyncio.wait([self.task])  # bounded by the session's own close


class ConnectionSlot:
    """What one connection is to have subscribed, whoever sits there: changes while it runs, and outlives it."""

    def __init__(self, connection: ConnectionPlan) -> None:
        self.endpoint = connection.endpoint
        self.topics = dict.fromkeys(connection.topics)
        self.runs: list[Attempt] = []
        """Its sessions: two while one replaces the other, none while it waits to connect."""
        self.task: asyncio.Task[None] | None = None
        """Keeps it, once the supervisor runs."""

    @property
    def connection(self) -> ConnectionPlan:
        """As it is to be now."""
        return ConnectionPlan(self.endpoint, tuple(self.topics))

    def add(self, topics: Sequence[Topic]) -> None:
        """Subscribe these here too."""
        self.topics.update(dict.fromkeys(topics))
        for run in self.runs:
            run.session.add(topics)

    def remove(self, topics: Sequence[Topic]) -> None:
        """Unsubscribe those that are here. The last one takes the connection with it."""
        gone = [topic for topic in topics if topic in self.topics]
        for topic in gone:
            del self.topics[topic]
        for run in self.runs:
            run.session.remove(gone)
        if not self.topics and self.task is not None:
            self.task.cancel()


class Supervisor:
    """All connections of one venue. What one of them meets is nothing to the others."""

    def __init__(self, context: ConnectionContext, connections: Iterable[ConnectionPlan]) -> None:
        self.reason = ""
        """Why the last session ended, or could not begin."""
        self._context = context
        self._places = list(map(ConnectionSlot, connections))
        self._runs: dict[int, Attempt] = {}
        self._numbers = itertools.count(1)
        self._connects = ConnectBudget(context.venue, context.counters)
        self._group: asyncio.TaskGroup | None = None

    @property
    def sessions(self) -> list[Session]:
        """Those that live: oldest first."""
        return [run.session for run in self._runs.values()]

    @property
    def up(self) -> bool:
        """Whether any connection is open."""
        return any(run.session.open for run in self._runs.values())

    def answered(self, endpoint: str) -> bool:
        """Whether a connection to this endpoint is open and the venue has answered a subscription on it: an open socket proves little."""
        return any(
            session.open and session.subscriptions.answered for session in self.sessions if session.connection.endpoint.name == endpoint
        )

    def resubscribe(self, topic: Topic) -> bool:
        """Subscribe this topic again on the connection that has it. False: no connection does, or one is subscribing it already."""
        return any(session.resubscribe(topic) for session in self.sessions)

    def add(self, connection: ConnectionPlan) -> None:
        """Subscribe these topics too, also while running: on connections that have room for a symbol's topics, the rest on one more."""
        rest: list[Topic] = []
        for topics in plan.by_symbol(connection.topics):
            place = next((one for one in self._places if one.endpoint is connection.endpoint and plan.fits(one.connection, topics)), None)
            if place is None:
                rest += topics
            else:
                place.add(topics)
        if rest:
            place = ConnectionSlot(ConnectionPlan(connection.endpoint, tuple(rest)))
            self._places.append(place)
            if self._group is not None:
                self._begin(place, self._group)

    def remove(self, topics: Sequence[Topic]) -> None:
        """Unsubscribe these, wherever they are, also while running."""
        for place in self._places:
            place.remove(topics)
        self._places = [place for place in self._places if place.topics]

    async def run(self) -> None:
        """Until cancelled; then every session has said goodbye to its venue, and `Feeds` knows."""
        async with asyncio.TaskGroup() as self._group:
            for place in self._places:
                self._begin(place, self._group)
            await asyncio.Event().wait()  # for ever: connections may be added

    def _begin(self, place: ConnectionSlot, group: asyncio.TaskGroup) -> None:
        place.task = group.create_task(self._keep(place, group), name=f"keep.{place.endpoint.name}")

    async def _keep(self, place: ConnectionSlot, group: asyncio.TaskGroup) -> None:
        """Somebody sits on it, or is on the way, until it is cancelled: then whoever sat there goes, too."""
        waits = self._delays()
        try:
            while True:
                run = await self._launch(place, group)
                run = await self._rotate_as_due(run, place, group)
                waits = await self._pause(run, waits)
        finally:
            for run in place.runs:
                if not run.task.cancelling():  # with us, as all ends: a second time would cut its goodbye short
                    run.task.cancel()

    async def _launch(self, place: ConnectionSlot, group: asyncio.TaskGroup, *, standby: bool = False) -> Attempt:
        await self._connects.turn(place.endpoint.name)
        session = Session(self._context, place.connection, next(self._numbers), standby=standby)
        run = self._runs[session.number] = Attempt(session, group)
        place.runs.append(run)

        def ended(_: asyncio.Task[None]) -> None:
            del self._runs[session.number]
            place.runs.remove(run)

        run.task.add_done_callback(ended)
        return run

    async def _rotate_as_due(self, run: Attempt, place: ConnectionSlot, group: asyncio.TaskGroup) -> Attempt:
        """Returns the run that has ended: this one, or the last of those that took over from it."""
        waits = self._delays()
        wait_s = self._due_s(place.endpoint)
        while True:
            await asyncio.wait({run.task, run.session.rotate}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if run.task.done():
                return run
            following = await self._launch(place, group, standby=True)
            missing = await self._ready(run, following)
            may = not missing or (following.session.open and run.session.rotate.done())
            if not following.task.done() and (run.task.done() or may):
                await self._hand_over(run, following)
                run, waits, wait_s = following, self._delays(), self._due_s(place.endpoint)
                continue
            await following.stop()
            self._context.counters.endpoints[place.endpoint.name].rotations_failed += 1
            wait_s = self._wait_s(following.error, waits)
            reason = str(following.error or missing)
            log.warning("session.handover_failed", venue=self._context.venue.id, reason=reason, retry_in_s=round(wait_s, 3))
            await asyncio.wait({run.task}, timeout=wait_s)
            wait_s = 0.0

    async def _ready(self, run: Attempt, following: Attempt) -> str:
        """Wait until it can take over, one of the two has ended, or that has taken too long; what is missing still, empty if nothing is."""
        until = time.monotonic() + HANDOVER_S
        session = following.session
        await asyncio.wait({run.task, following.task, session.settled}, timeout=HANDOVER_S, return_when=asyncio.FIRST_COMPLETED)
        both_until = time.monotonic() + OVERLAP_S
        while True:
            missing = session.missing()
            now = time.monotonic()
            if run.task.done() or following.task.done() or now >= until or (not missing and now >= both_until):
                return missing
            await asyncio.wait({run.task, following.task}, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)

    async def _hand_over(self, run: Attempt, following: Attempt) -> None:
        endpoint = following.session.connection.endpoint.name
        if run.task.done():
            self._lost(run, 0.0)
        else:
            run.task.cancel()  # it reads no other frame from here on
            self._context.counters.endpoints[endpoint].rotations += 1
        following.session.take_over()
        log.info("session.handover", venue=self._context.venue.id, old=run.session.number, new=following.session.number)
        await run.stop()

    def _due_s(self, endpoint: Endpoint) -> float | None:
        return due_s(self._context.settings.rotate_s or endpoint.lifetime_s, random.random())  # noqa: S311

    async def _pause(self, run: Attempt, waits: Iterator[float]) -> Iterator[float]:
        """Wait as the end of this run demands; returns the delays to go on with."""
        if time.monotonic() - run.started >= self._context.settings.healthy_s:
            waits = self._delays()
        wait_s = self._wait_s(run.error, waits)
        self._lost(run, wait_s)
        await asyncio.sleep(wait_s)
        return waits

    def _wait_s(self, error: FeedError | None, waits: Iterator[float]) -> float:
        """Seconds until the next attempt; what the venue asks for, it asks of all connections."""
        wait_s = next(waits)
        if isinstance(error, ConnectFailed) and error.retry_after_s is not None:
            self._connects.hold(error.retry_after_s)
            wait_s = max(wait_s, error.retry_after_s)
        return wait_s

    def _lost(self, run: Attempt, wait_s: float) -> None:
        if run.error is None:
            raise AssertionError("a session ends by an error or by cancellation")
        self.reason = str(run.error)
        endpoint = run.session.connection.endpoint.name
        self._context.counters.endpoints[endpoint].lost += 1
        log.warning(
            "session.lost",
            venue=self._context.venue.id,
            endpoint=endpoint,
            connection=run.session.number,
            reason=self.reason,
            lived_s=round(time.monotonic() - run.started, 3),
            retry_in_s=round(wait_s, 3),
        )

    def _delays(self) -> Iterator[float]:
        return delays(self._context.settings.backoff_min_s, self._context.settings.backoff_max_s)
