"""The bridge against a server on loopback, with all parts of a connector but the bus: the published events are a list."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from crosstape.settings import VenueSettings
from crosstape_connector.bridge.client import BridgeClient, opened
from crosstape_connector.connection import plan
from crosstape_connector.connection.context import ConnectionContext, shared_rate_limits
from crosstape_connector.connection.supervisor import Supervisor
from crosstape_connector.connection.watchdog import Watchdog
from crosstape_connector.connection.websocket import read_refusal
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rest import instruments
from crosstape_connector.rest.client import RestClient
from crosstape_connector.venues.registry import find
from crosstape_schemas import Event
from tests.bridge.dialects import Dialect
from tests.waiting import wait_until

E = TypeVar("E", bound=Event)
QUICK = VenueSettings(kinds=("trade",), backoff_min_s=0.01, backoff_max_s=0.05)


class Loopback:
    """An exchange that speaks one dialect, and does what a test says."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.sockets: list[web.WebSocketResponse] = []
        self.subscriptions = 0
        self.past: list[tuple[int, int]] = []
        """The trades made so far: number and time, ms."""
        self.url = ""

    @property
    def open(self) -> list[web.WebSocketResponse]:
        """The connections that are open."""
        return [socket for socket in self.sockets if not socket.closed]

    async def trade(self, *numbers: int, seen: bool = True) -> None:
        """Make trades with these numbers. `seen`: send them to all that are connected."""
        for number in numbers:
            made = number, time.time_ns() // 1_000_000
            self.past.append(made)
            await asyncio.sleep(0.002)  # no two in a millisecond
            if seen:
                await self.send(self.dialect.trade(*made))

    async def send(self, text: str) -> None:
        """Send a frame to all that are connected."""
        for socket in self.open:
            await socket.send_str(text)

    async def close(self) -> None:
        """Close all connections."""
        for socket in self.open:
            await socket.close(code=1001)

    async def subscribed(self, times: int) -> None:
        """Wait until trades have been subscribed so often."""
        await wait_until(lambda: self.subscriptions >= times, what=f"subscription {times}")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        socket = web.WebSocketResponse()
        if not socket.can_prepare(request):
            return web.json_response({"error": "there is no REST here"}, status=404)
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                asked = _json(message.data)
                frames = self.dialect.answers(asked, self.past[-3:]) if isinstance(asked, dict | list) else None
                if frames is not None:
                    for frame in frames:
                        await socket.send_str(frame)
                    self.subscriptions += 1
        return socket


@asynccontextmanager
async def serving(dialect: Dialect) -> AsyncIterator[Loopback]:
    """Serve this exchange during the block."""
    loopback = Loopback(dialect)
    app = web.Application()
    app.router.add_get("/{path:.*}", loopback.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        loopback.url = "http://{}:{}".format(*runner.addresses[0][:2])
        yield loopback
    finally:
        await loopback.close()
        await runner.cleanup()


class Rig:
    """A connector of one instrument, without a bus."""

    def __init__(self, client: BridgeClient, loopback: Loopback, settings: VenueSettings) -> None:
        dialect = loopback.dialect
        venue = find(f"ccxt.{dialect.id}")
        self.tape: list[Event] = []
        self.counters = Counters()
        self.feeds = FeedHandler(venue, {}, settings.feed_kinds, book_depth=settings.book_depth, book_interval_ns=0)
        sink = Sink(self.counters)
        sink.pass_to(self.tape.extend)
        rest = RestClient(client, venue, venue.rest_urls, timeout_s=5.0, capture=None, counters=self.counters)
        self.rest = rest
        context = ConnectionContext(
            venue=venue,
            settings=settings,
            feeds=self.feeds,
            sink=sink,
            counters=self.counters,
            http=client,
            urls={one.name: one.url for one in venue.endpoints},
            watchdog=Watchdog(stale_s=settings.stale_s, stale_min_s=settings.stale_min_s),
            flow=lambda: asyncio.sleep(0),
            capture=None,
            rate_limits=shared_rate_limits(venue),
            post=rest.post,
        )
        self.supervisor = Supervisor(context, ())
        self._settings = settings
        self._venue = venue

    async def begin(self, name: str) -> None:
        """Subscribe this instrument, as the venue lists it."""
        listing = await instruments.fetch(self.rest, self._venue, None)
        found = instruments.select(listing, [name])
        assert not found.refused, found.refused
        for instrument in found.listed.values():
            self.feeds.add_instrument(instrument)
        for connection in plan.connections(self._venue, found.listed, self._settings.feed_kinds):
            self.supervisor.subscribe(connection)

    def of(self, kind: type[E]) -> list[E]:
        """Return the published events of this class."""
        return [event for event in self.tape if isinstance(event, kind)]


@asynccontextmanager
async def bridged(loopback: Loopback, settings: VenueSettings = QUICK) -> AsyncIterator[Rig]:
    """Run a connector against this server during the block. The list of markets is the dialect's: exchanges need many requests for it."""
    venue = find(f"ccxt.{loopback.dialect.id}")
    ws_urls = {one.name: loopback.url.replace("http", "ws", 1) for one in venue.endpoints}
    async with (
        aiohttp.ClientSession(raise_for_status=read_refusal) as http,
        opened(venue, settings, http, ws_urls, {"rest": loopback.url}) as client,
    ):
        requests: Any = client._requests
        requests.fetch_markets = lambda _params=None: _done([loopback.dialect.market()])
        requests.options |= {name: {} for name in requests.options.get("marketHelperProps", ())}  # what `fetch_markets` notes beside them
        rig = Rig(client, loopback, settings)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(rig.supervisor.run())
            try:
                await rig.begin(loopback.dialect.instrument)
                yield rig
            finally:
                running.cancel()


async def _done(value: Any) -> Any:
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
