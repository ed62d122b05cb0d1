"""Sessions for ever: when to connect, how long to wait after a failure, how one connection takes over from another. Retries are here."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Final

import structlog
from tenacity import AsyncRetrying, RetryCallState, wait_random_exponential

from crosstape_connector.errors import ConnectFailed, FeedError
from crosstape_connector.pacing import Pacer
from crosstape_connector.plan import Connection
from crosstape_connector.session import Desk, Session

HANDOVER_S: Final = 30.0
"""How long a connection may take to be ready before it takes over all the same: the one before will be cut anyway."""

log = structlog.get_logger(__name__)


def delays(min_s: float, max_s: float) -> Iterator[float]:
    """Seconds to wait after a first, second … failure: random, so that many do not come at once, in a window that doubles up to `max_s`."""
    wait = wait_random_exponential(multiplier=2 * min_s, min=min_s, max=max_s)
    state = RetryCallState(AsyncRetrying(), None, (), {})
    while True:
        yield wait(state)
        state.attempt_number += 1


class Run:
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


class Supervisor:
    """All connections of one venue. What one of them meets is nothing to the others."""

    def __init__(self, desk: Desk, connections: Iterable[Connection]) -> None:
        self.reason = ""
        """Why the last session ended, or could not begin."""
        self._desk = desk
        self._planned = list(connections)
        self._runs: dict[int, Run] = {}
        self._numbers = itertools.count(1)
        self._pacers = {endpoint.name: Pacer.per_second(endpoint.connects_per_s) for endpoint in desk.venue.endpoints}
        self._group: asyncio.TaskGroup | None = None

    @property
    def sessions(self) -> list[Session]:
        """Those that live: oldest first."""
        return [run.session for run in self._runs.values()]

    @property
    def up(self) -> bool:
        """Whether any connection is open."""
        return any(run.session.open for run in self._runs.values())

    def add(self, connection: Connection) -> None:
        """One more, also while running."""
        self._planned.append(connection)
        if self._group is not None:
            self._begin(connection)

    async def run(self) -> None:
        """Until cancelled; then every session has said goodbye to its venue, and `Feeds` knows."""
        async with asyncio.TaskGroup() as self._group:
            for connection in self._planned:
                self._begin(connection)
            await asyncio.Event().wait()  # for ever: connections may be added

    def _begin(self, connection: Connection) -> None:
        assert self._group is not None
        self._group.create_task(self._keep(connection, self._group), name=f"keep.{connection.endpoint.name}")

    async def _keep(self, connection: Connection, group: asyncio.TaskGroup) -> None:
        """One connection's place: somebody sits on it, or is on the way."""
        waits = self._delays()
        while True:
            run = await self._launch(connection, group)
            run = await self._hand_over_as_asked(run, connection, group)
            waits = await self._pause(run, waits)

    async def _launch(self, connection: Connection, group: asyncio.TaskGroup, *, standby: bool = False) -> Run:
        pause_s = self._pacers[connection.endpoint.name].reserve(time.monotonic())
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        session = Session(self._desk, connection, next(self._numbers), standby=standby)
        run = self._runs[session.number] = Run(session, group)
        run.task.add_done_callback(lambda _: self._runs.pop(session.number, None))
        return run

    async def _hand_over_as_asked(self, run: Run, connection: Connection, group: asyncio.TaskGroup) -> Run:
        """Returns the run that has ended: this one, or the last of those that took over from it."""
        while True:
            await asyncio.wait({run.task, run.session.rotate}, return_when=asyncio.FIRST_COMPLETED)  # as long as the session is well
            if run.task.done():
                return run
            following = await self._launch(connection, group, standby=True)
            await asyncio.wait(
                {run.task, following.task, following.session.settled}, timeout=HANDOVER_S, return_when=asyncio.FIRST_COMPLETED
            )
            if following.session.open:
                run.task.cancel()  # it reads no other frame from here on
                following.session.take_over()
                log.info("session.handover", venue=self._desk.venue.id, old=run.session.number, new=following.session.number)
                await run.stop()
                run = following
                continue
            await following.stop()
            log.warning("session.handover_failed", venue=self._desk.venue.id, reason=str(following.error or "not ready"))
            await asyncio.wait({run.task}, timeout=next(self._delays()))

    async def _pause(self, run: Run, waits: Iterator[float]) -> Iterator[float]:
        """Wait as the end of this run demands; returns the delays to go on with."""
        if run.error is None:
            raise AssertionError("a session ends by an error or by cancellation")
        settings = self._desk.settings
        self.reason = str(run.error)
        lived_s = time.monotonic() - run.started
        if lived_s >= settings.healthy_s:
            waits = self._delays()
        wait_s = next(waits)
        if isinstance(run.error, ConnectFailed) and run.error.retry_after_s is not None:
            wait_s = max(wait_s, run.error.retry_after_s)
        endpoint = run.session.connection.endpoint.name
        self._desk.counters.endpoints[endpoint].lost += 1
        log.warning(
            "session.lost",
            venue=self._desk.venue.id,
            endpoint=endpoint,
            connection=run.session.number,
            reason=self.reason,
            lived_s=round(lived_s, 3),
            retry_in_s=round(wait_s, 3),
        )
        await asyncio.sleep(wait_s)
        return waits

    def _delays(self) -> Iterator[float]:
        return delays(self._desk.settings.backoff_min_s, self._desk.settings.backoff_max_s)
