"""All parts of a venue's connector without a bus: the published events are a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp

from crosstape.settings import VenueSettings
from crosstape_connector.capture.writer import Capture
from crosstape_connector.connection import plan
from crosstape_connector.connection.context import ConnectionContext, shared_rate_limits
from crosstape_connector.connection.plan import ConnectionPlan
from crosstape_connector.connection.session import Session
from crosstape_connector.connection.supervisor import Supervisor
from crosstape_connector.connection.watchdog import Watchdog
from crosstape_connector.connection.websocket import read_refusal
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rest.client import RestClient
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.requests import RestRequests
from crosstape_connector.rest.sources import RestSources
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Event, FeedState, Status
from tests.connector.fake_venue import FakeVenue, fake, instrument

E = TypeVar("E", bound=Event)


class Rig:
    """All parts of a venue's connector but the bus. `tape`: the published events."""

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        server: FakeVenue,
        venue: Venue,
        settings: VenueSettings,
        symbols: Sequence[str],
        capture: Capture | None,
        moved: bool = False,
    ) -> None:
        """`moved`: the settings give an address to connect to, also where the venue grants one."""
        self.tape: list[Event] = []
        self.flows = asyncio.Event()
        """Cleared: the bus is so far behind that nothing is to be read."""
        self.flows.set()
        self.counters = Counters()
        instruments = {one.name: one for one in map(instrument, symbols)}
        self.feeds = FeedHandler(venue, instruments, settings.feed_kinds, book_depth=settings.book_depth, book_interval_ns=0)
        sink = self.sink = Sink(self.counters)
        sink.pass_to(self.tape.extend)
        self.rest = RestClient(http, venue, {"api": server.url}, timeout_s=settings.rest_timeout_s, capture=capture, counters=self.counters)
        self.active = True
        """Whether it is this connector that publishes: else it fetches nothing, however often it asks."""
        self.asked = 0
        self.sources = RestSources(venue, self.rest, self.feeds.listed)
        self.rest_context = RestContext(self.sources, self.feeds, sink, self.counters, active=self._may_fetch)
        self.requests = RestRequests(
            self.rest_context,
            settings,
            flow=self._flow,
            resubscribe=lambda topic: self.supervisor.resubscribe(topic),  # noqa: PLW0108  (it is made below)
            answered=lambda endpoint: self.supervisor.answered(endpoint),  # noqa: PLW0108
        )
        self.snapshots, self.backfill = self.requests.snapshots, self.requests.backfill
        sink.route_requests(self.snapshots.request)
        self.polling, self.probes = self.requests.polling, self.requests.probes
        self.context = ConnectionContext(
            venue=venue,
            settings=settings,
            feeds=self.feeds,
            sink=sink,
            counters=self.counters,
            http=http,
            urls={
                one.name: one.url if one.grant is not None and not moved else f"{server.url}/ws/{one.name}".replace("http", "ws", 1)
                for one in venue.endpoints
            },
            watchdog=Watchdog(stale_s=settings.stale_s, stale_min_s=settings.stale_min_s),
            flow=self._flow,
            capture=capture,
            rate_limits=shared_rate_limits(venue),
            post=self.rest.post,
            probe=self.probes.request,
        )
        self.connections = plan.connections(venue, instruments, settings.feed_kinds)
        self.supervisor = Supervisor(self.context, self.connections)

    def session(self, connection: ConnectionPlan | None = None) -> Session:
        """Return a session for the first connection."""
        return Session(self.context, connection or self.connections[0], 1)

    def _may_fetch(self) -> bool:
        self.asked += 1
        return self.active

    async def _flow(self) -> None:
        await asyncio.sleep(0)
        await self.flows.wait()

    def of(self, kind: type[E], name: str = "") -> list[E]:
        """Return the published events of this class, of all instruments or of one."""
        return [event for event in self.tape if isinstance(event, kind) and name in ("", event.instrument)]

    def of_status(self, name: str) -> list[Status]:
        """Return the statuses of an instrument."""
        return self.of(Status, name)

    def states(self, name: str, kind: str) -> list[FeedState]:
        """Return the states of a feed, in order."""
        return [event.state for event in self.of(Status, name) if event.kind == kind]

    def state(self, name: str, kind: str) -> FeedState:
        """Return the last state of a feed."""
        return next(record.state for record in self.feeds.records.values() if (record.instrument, record.kind) == (name, kind))

    @asynccontextmanager
    async def supervised(self, *, probes: bool = False) -> AsyncIterator[None]:
        """Run the supervisor during the block. `probes`: also probe silent instruments by REST."""
        async with asyncio.TaskGroup() as tasks:
            requests = (self.snapshots, self.backfill, self.polling, self.requests.candles, self.requests.values)
            parts = (self.supervisor, *requests, *((self.probes,) if probes else ()))
            running = [tasks.create_task(part.run()) for part in parts]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()


QUICK = VenueSettings(kinds=("trade",), backoff_min_s=0.01, backoff_max_s=0.05)


@asynccontextmanager
async def rigged(
    server: FakeVenue,
    venue: Venue | None = None,
    settings: VenueSettings = QUICK,
    symbols: Sequence[str] = ("AAAUSD", "BBBUSD"),
    capture: Capture | None = None,
    *,
    moved: bool = False,
) -> AsyncIterator[Rig]:
    """A rig against this server."""
    async with aiohttp.ClientSession(raise_for_status=read_refusal) as http:
        yield Rig(http=http, server=server, venue=venue or fake(), settings=settings, symbols=symbols, capture=capture, moved=moved)


@asynccontextmanager
async def running(session: Session) -> AsyncIterator[asyncio.Task[None]]:
    """Run the session, and cancel it at the end if it still runs. Await the task for the error that ended it."""
    task = asyncio.create_task(session.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
