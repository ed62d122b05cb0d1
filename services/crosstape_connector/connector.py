"""One venue's connector: its parts and how they are joined, its tasks, reloading its settings, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import prometheus_client
import structlog

from crosstape.errors import CrosstapeError, SettingsError
from crosstape.settings import Settings, VenueSettings
from crosstape.settings.diff import changes
from crosstape_connector.capture.writer import Capture
from crosstape_connector.connection import plan
from crosstape_connector.connection.context import ConnectionContext, shared_rate_limits
from crosstape_connector.connection.origin_check import OriginCheck
from crosstape_connector.connection.supervisor import Supervisor
from crosstape_connector.connection.timekeeping import Timekeeping
from crosstape_connector.connection.watchdog import Watchdog
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.health import Health
from crosstape_connector.http import Http
from crosstape_connector.metrics.collector import ConnectorCollector
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.writer import Writer
from crosstape_connector.rest.client import RestClient, Spender
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.instruments import InstrumentCache
from crosstape_connector.rest.requests import RestRequests
from crosstape_connector.rest.sources import RestSources
from crosstape_connector.universe import Universe
from crosstape_schemas import FeedState

TICK_S: Final = 0.1
"""Interval of the checks of our clock; also of publishing due books, if the settings give no interval for books."""

log = structlog.get_logger(__name__)


class VenueAccess(NamedTuple):
    """How the venue is reached."""

    http: Http
    ws_urls: Mapping[str, str]
    """Endpoint → its address."""
    rest_urls: Mapping[str, str]
    """REST base → its address."""
    contact: OriginCheck
    spender: Spender | None = None
    """Shares the venue's limits of REST requests with other processes of our address."""


class Connector:
    """One venue. `run` once."""

    def __init__(
        self,
        settings: Settings,
        own: VenueSettings,
        access: VenueAccess,
        *,
        feeds: FeedHandler,
        counters: Counters,
        writer: Writer,
        cache: InstrumentCache,
        capture: Capture | None,
    ) -> None:
        """`own`: the settings of this venue. `feeds` and `counters` are the writer's, too."""
        self._settings = settings
        self._own = own
        self._contact = access.contact
        self._feeds = feeds
        self._counters = counters
        self._writer = writer
        self._sink = writer.sink
        rest = RestClient(
            access.http,
            feeds.venue,
            access.rest_urls,
            timeout_s=own.rest_timeout_s,
            capture=capture,
            counters=counters,
            spender=access.spender,
        )
        self._rest = RestRequests(
            RestContext(RestSources(feeds.venue, rest, feeds.listed), feeds, writer.sink, counters, active=lambda: writer.active),
            own,
            flow=writer.flow,
            resubscribe=lambda topic: self._supervisor.resubscribe(topic),  # noqa: PLW0108  (it is made below)
            answered=lambda endpoint: self._supervisor.answered(endpoint),  # noqa: PLW0108
        )
        self._sink.route_requests(self._rest.snapshots.request)
        watchdog = Watchdog(stale_s=own.stale_s, stale_min_s=own.stale_min_s)
        self._time = Timekeeping(feeds, watchdog, warn_s=settings.connector.clock_warn_s)
        self._supervisor = Supervisor(self._context(access, watchdog, capture, rest), ())
        counters.start_at_zero(plan.channels(feeds.venue, own.feed_kinds))
        self._universe = Universe(
            own.instruments,
            own.feed_kinds,
            feeds=feeds,
            sink=self._sink,
            writer=writer,
            rest=rest,
            cache=cache,
            supervisor=self._supervisor,
            watchdog=watchdog,
            refresh_s=settings.connector.instruments_refresh_s,
        )
        self._health = Health(
            feeds=feeds,
            supervisor=self._supervisor,
            universe=self._universe,
            writer=writer,
            rest=self._rest,
            time=self._time,
            capture=capture,
            started_ts=time.time_ns(),
        )
        self.ready = self._health.ready

    def _context(self, access: VenueAccess, watchdog: Watchdog, capture: Capture | None, rest: RestClient) -> ConnectionContext:
        return ConnectionContext(
            venue=self._feeds.venue,
            settings=self._own,
            feeds=self._feeds,
            sink=self._sink,
            counters=self._counters,
            http=access.http,
            urls=access.ws_urls,
            watchdog=watchdog,
            flow=self._writer.flow,
            capture=capture,
            rate_limits=shared_rate_limits(self._feeds.venue),
            post=rest.post,
            check_clock=self._time.check,
            probe=self._rest.probes.request,
        )

    async def run(self) -> None:
        """Put the venue's events on the tape until cancelled. Raises `Superseded` and `WrongTape`."""
        async with asyncio.TaskGroup() as outer:
            writing = outer.create_task(self._write(), name="writer")
            try:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(self._publish_status(), name="status")
                    inner.create_task(self._tick(), name="tick")
                    inner.create_task(self._supervisor.run(), name="supervisor")
                    inner.create_task(self._rest.run(), name="rest")
                    inner.create_task(self._universe.run(), name="instruments")
            finally:
                if not writing.done() and not self._contact.refused:
                    await self._finish()
                writing.cancel()

    def reload(self, load: Callable[[], Settings]) -> None:
        """Apply changes of the wanted instruments. Other changed settings are logged, and apply at the next start."""
        venue = self._feeds.venue.id
        try:
            fresh = load()
            own = fresh.venues.get(venue)
            if own is None:
                raise SettingsError(f"venues.{venue}: not in the settings")
        except CrosstapeError as exc:
            log.error("settings.refused", venue=venue, error="; ".join(str(exc).splitlines()))
            return
        others = [path for path in changes(self._settings, fresh) if self._concerns_us(path)]
        if others:
            log.warning("settings.not_applied", venue=venue, changed=others, until="the next start")
        added = [name for name in own.instruments if name not in self._universe.wanted]
        removed = [name for name in self._universe.wanted if name not in own.instruments]
        log.info("settings.read", venue=venue, added=added, removed=removed)
        self._universe.want(own.instruments)

    def _concerns_us(self, path: str) -> bool:
        """Whether a changed setting is ours, and is not the one that a reload applies."""
        where = f"venues.{self._feeds.venue.id}."
        return not path.startswith(("venues.", "aggregator.", "gateway.")) or (path.startswith(where) and path != f"{where}instruments")

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Show this venue's numbers in `/metrics` for the length of the block."""
        collector = ConnectorCollector(self._feeds.venue.id, self._counters, self._health.readings())
        prometheus_client.REGISTRY.register(collector)
        try:
            yield
        finally:
            prometheus_client.REGISTRY.unregister(collector)

    async def _write(self) -> None:
        """Claim our name once the origin check has passed: a claim ends a live connector of the same name."""
        await self._contact.wait_for_answer()
        await self._writer.run(self._health)

    async def _publish_status(self) -> None:
        """Publish the venue-wide status again and again, as a sign of life."""
        await self._universe.report_silence()
        while True:
            self._time.measure_offset()
            self._sink.publish([self._health.venue_status()])
            await asyncio.sleep(self._settings.connector.status_interval_s)

    async def _tick(self) -> None:
        """Publish the books that are due by the clock: the last change of a burst must not wait for the next."""
        pause_s = max(0.01, self._own.book_interval_s / 2) if self._own.book_interval_s else TICK_S
        while True:
            self._time.check()
            self._sink.publish(self._feeds.due_books(time.time_ns()))
            await asyncio.sleep(pause_s)

    async def _finish(self) -> None:
        """Publish that the venue is down, because the sessions have ended, and wait until all events are on the tape."""
        venue = self._feeds.venue.id
        self._sink.publish([self._health.status(FeedState.DOWN, "stopped")])
        if await self._writer.finish(self._settings.run.drain_s):
            log.info("connector.drained", venue=venue, acknowledged=self._writer.acknowledged)
        else:
            left = self._writer.unpublished
            say = log.error if left.lossless > left.spooled else log.warning
            say("connector.not_published", venue=venue, events=left.lossless, spooled=left.spooled, states=left.conflatable)
