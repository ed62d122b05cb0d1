"""A connection slot: the topics that one connection is to have, and the attempts to keep a session running for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from crosstape_connector.connection.plan import ConnectionPlan
from crosstape_connector.connection.session import Session
from crosstape_connector.errors import FeedError
from crosstape_connector.feeds.keys import Topic


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
        """Close the session politely; return when it has ended."""
        self.task.cancel()
        await asyncio.wait([self.task])  # bounded by the session's own close


class ConnectionSlot:
    """The topics that one connection is to have. They change while sessions run, and outlive each session."""

    def __init__(self, plan: ConnectionPlan) -> None:
        self.endpoint = plan.endpoint
        self.topics = dict.fromkeys(plan.topics)
        self.attempts: list[Attempt] = []
        """Two while one session replaces another, none while the slot waits to connect."""
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
        """Unsubscribe those of these topics that are here. Without topics, the slot's task ends."""
        gone = [topic for topic in topics if topic in self.topics]
        for topic in gone:
            del self.topics[topic]
        for attempt in self.attempts:
            attempt.session.unsubscribe(gone)
        if not self.topics and self.task is not None:
            self.task.cancel()
