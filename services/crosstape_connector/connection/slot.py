"""A connection slot: the topics of one planned connection, and the attempts to keep a session running for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from crosstape_connector.connection.plan import ConnectionPlan
from crosstape_connector.connection.quarantine import Quarantine
from crosstape_connector.connection.session import Session
from crosstape_connector.errors import FeedError
from crosstape_connector.feeds.keys import Topic


class Attempt:
    """Runs one session in a task. `error`: why the session ended; None while it runs, or if we ended it."""

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
        """Close the session politely; return when it has ended."""
        self.task.cancel()
        await asyncio.wait([self.task])  # bounded by the session's own close


class ConnectionSlot:
    """Keeps the topics of one planned connection. They may change while sessions run, and stay when a session ends."""

    def __init__(self, plan: ConnectionPlan) -> None:
        self.endpoint = plan.endpoint
        self.topics = dict.fromkeys(plan.topics)
        self.quarantine = Quarantine(plan.endpoint.unknown_closes_s)
        self.attempts: list[Attempt] = []
        """The running attempts: two while one session replaces another, none while the slot waits to connect."""
        self.task: asyncio.Task[None] | None = None
        """Keeps the slot connected, once the supervisor runs."""

    @property
    def plan(self) -> ConnectionPlan:
        """The connection to open now."""
        return ConnectionPlan(self.endpoint, tuple(self.topics))

    def subscribe(self, topics: Sequence[Topic]) -> None:
        """Subscribe these topics on this slot's sessions, now and later."""
        self.topics.update(dict.fromkeys(topics))
        for attempt in self.attempts:
            attempt.session.subscribe(topics)

    def unsubscribe(self, topics: Sequence[Topic]) -> None:
        """Unsubscribe the topics that this slot has; others are ignored. A slot without topics ends its task."""
        gone = [topic for topic in topics if topic in self.topics]
        for topic in gone:
            del self.topics[topic]
        for attempt in self.attempts:
            attempt.session.unsubscribe(gone)
        if not self.topics and self.task is not None:
            self.task.cancel()
