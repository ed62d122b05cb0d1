"""One venue's server: HTTP and WebSockets on one loopback port. Feeds and the REST side decide what is said."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Protocol

import aiohttp
import msgspec
from aiohttp import web

from crosstape.origin import SIMULATED_HEADER
from crosstape_simulator.errors import ListenError
from crosstape_simulator.server.connection import Connection, Counters
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer, Rest

CLOSING_S: Final = 2.0
"""A client that does not answer a close frame for so long is cut."""

MESSAGE_MAX: Final = 1024 * 1024


class Endpoint(msgspec.Struct, frozen=True):
    """One WebSocket endpoint and its feed."""

    name: str
    """As the connector's settings call it; empty for a venue that has one endpoint."""
    path: str
    """Clients connect to it."""
    feed: Feed
    prefixes: tuple[str, ...]
    """Every path that leads here."""


Make = Callable[[Mapping[str, str]], Answer]
"""Query → answer."""


class Interference(Protocol):
    """Stands between a venue and its clients: see `faults`."""

    async def admit(self, request: web.Request) -> bool:
        """Decide about a client before its handshake is answered; False: the connection was cut instead."""
        ...

    def opened(self, connection: Connection, endpoint: Endpoint) -> None:
        """Handle a client before the feed knows it."""
        ...

    def joined(self, connection: Connection, endpoint: Endpoint) -> None:
        """Handle a client after the feed has read its address: what that subscribed is known."""
        ...

    async def answer(self, request: web.Request, make: Make) -> web.StreamResponse:
        """The REST answer; `make` gives the true one to a query."""
        ...


class VenueServer:
    """A venue's endpoints and its REST side."""

    def __init__(self, venue: str, endpoints: tuple[Endpoint, ...], rest: Rest, *, host: str, port: int, buffer_bytes: int) -> None:
        self.venue = venue
        self.counters = Counters()
        self.base = ""
        """host:port, once it listens."""
        self.frame_limit: int | None = None
        """Frames after which a new connection is cut; None: it is not cut."""
        self.endpoints = endpoints
        self.rest = rest
        self.interference: Interference | None = None
        """Stands between the venue and its clients while there are faults."""
        self._host = host
        self._port = port
        self._buffer_bytes = buffer_bytes
        self._dirty: list[Connection] = []

    @property
    def ws_url(self) -> str | dict[str, str]:
        """The WebSocket address, or addresses by endpoint."""
        urls = {endpoint.name: f"ws://{self.base}{endpoint.path}" for endpoint in self.endpoints}
        return urls.get("", urls)

    @property
    def rest_url(self) -> str | dict[str, str]:
        """The REST address, or addresses by endpoint."""
        names = [endpoint.name for endpoint in self.endpoints]
        return f"http://{self.base}" if "" in names else dict.fromkeys(names, f"http://{self.base}")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve while the context is open. Raises `ListenError` if the port cannot be had."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        app.on_response_prepare.append(_say_simulated)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, self._host, self._port).start()
            except OSError as exc:
                where = f"--host {self._host}, --port {self.venue}={self._port}"
                raise ListenError(f"{where}: cannot listen there: {exc.strerror}") from exc
            host, port = runner.addresses[0][:2]
            self.base = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            yield
        finally:
            self.each(Connection.cut)
            await runner.cleanup()

    def each(self, do: Callable[[Connection], None], endpoint: str | None = None) -> int:
        """Do something with every connection, or with those of one endpoint; returns how many there were."""
        chosen = [c for e in self.endpoints if endpoint in (None, e.name) for c in e.feed.connections]
        for connection in chosen:
            do(connection)
        return len(chosen)

    def flush(self) -> None:
        """Write what is queued for all clients."""
        dirty = self._dirty.copy()
        self._dirty.clear()
        for connection in dirty:
            connection.flush()

    def second(self, now: int) -> None:
        """Send heartbeats and enforce deadlines; called once a second."""
        moment = time.monotonic()
        for endpoint in self.endpoints:
            endpoint.feed.second(now)
            for connection in endpoint.feed.connections:
                if connection.closing_since is not None and moment - connection.closing_since > CLOSING_S:
                    connection.cut()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if request.headers.get("Upgrade", "").lower() == "websocket":
            for endpoint in self.endpoints:
                if path.startswith(endpoint.prefixes):
                    if self.interference is not None and not await self.interference.admit(request):
                        return web.Response(status=503)
                    return await self._socket(request, endpoint)
            return web.Response(status=404)
        self.counters.requests += 1
        if self.interference is not None:
            return await self.interference.answer(request, lambda query: self.rest.answer(path, query, time.time_ns()))
        return response(self.rest.answer(path, request.query, time.time_ns()))

    async def _socket(self, request: web.Request, endpoint: Endpoint) -> web.WebSocketResponse:
        feed = endpoint.feed
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=MESSAGE_MAX)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket  # the client went away during the handshake
        connection = Connection(transport, self.counters, self._dirty, buffer_bytes=self._buffer_bytes)
        connection.frames_left = self.frame_limit
        self.counters.clients += 1
        self.counters.connects += 1
        query: Mapping[str, str] = request.query
        try:
            if self.interference is not None:
                self.interference.opened(connection, endpoint)
            feed.open(connection, request.path, query)
            if self.interference is not None:
                self.interference.joined(connection, endpoint)
            self.flush()
            async for message in socket:  # for as long as the client likes: deadlines are the feed's
                self.counters.messages += 1
                self._received(feed, connection, message)
                self.flush()
        finally:
            feed.close(connection)
            connection.closing_since = connection.closing_since or time.monotonic()
            self.counters.clients -= 1
        return socket

    @staticmethod
    def _received(feed: Feed, connection: Connection, message: aiohttp.WSMessage) -> None:
        match message.type:
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                given = message.data
                text = given if isinstance(given, str) else given.decode(errors="replace")
                asked = text if connection.tap is None else connection.tap.receive(text)
                if asked is not None:
                    feed.receive(connection, asked)
            case aiohttp.WSMsgType.PING:
                connection.pong(message.data)
                feed.control(connection, pong=False)
            case aiohttp.WSMsgType.PONG:
                feed.control(connection, pong=True)
            case _:
                pass


async def _say_simulated(_request: web.Request, answered: web.StreamResponse) -> None:
    """Mark every answer as simulated: a connector does not put simulated data on a live tape."""
    answered.headers[SIMULATED_HEADER] = "1"


def response(answer: Answer) -> web.Response:
    """A REST answer as HTTP."""
    return web.Response(body=answer.body, status=answer.status, headers=answer.headers, content_type="application/json")
