"""One venue's server: HTTP and WebSockets on one loopback port. Feeds and the REST side decide what is said."""

from __future__ import annotations

import asyncio
import time
from collections import deque
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
from crosstape_simulator.server.manners import WELCOME_S, Grant, Packing, ServerPings, Tokens
from crosstape_simulator.server.rest import Answer, Rest, answer

CLOSING_S: Final = 2.0
"""A client that does not answer a close frame for so long is cut."""

MESSAGE_MAX: Final = 1024 * 1024
NORMAL: Final = 1000


class Endpoint(msgspec.Struct, frozen=True):
    """One WebSocket endpoint and its feed."""

    name: str
    """As the connector's settings call it; empty for a venue that has one endpoint."""
    path: str
    """Clients connect to it."""
    feed: Feed
    prefixes: tuple[str, ...]
    """Every path that leads here."""
    rest_prefix: str = ""
    """How the paths of its REST address begin, where a venue's endpoints have REST addresses of their own."""
    packing: Packing | None = None
    """How frames are sent as binary frames; None: they are text."""
    grant: Grant | None = None
    """Clients need a token; None: they do not."""
    welcome: Callable[[Mapping[str, str]], bytes] | None = None
    """Query of the client's address → the frame before which its messages are lost; None: they are read at once."""
    pings: ServerPings | None = None
    """None: the server sends no pings, or the feed does."""
    silence_s: float = 0.0
    """A client that has sent nothing for so long is closed (s); 0: it is not."""


Posted = Callable[[str, bytes], str | None]
"""(path, body) of a POST → path and query of the GET that asks for the same; None: there is none."""


def _not_posted(path: str, body: bytes) -> str | None:
    return None


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

    def __init__(
        self,
        venue: str,
        endpoints: tuple[Endpoint, ...],
        rest: Rest,
        *,
        host: str,
        port: int,
        buffer_bytes: int,
        posted: Posted = _not_posted,
    ) -> None:
        self.venue = venue
        self.counters = Counters()
        self.base = ""
        """host:port, once it listens."""
        self.asked: deque[tuple[float, str]] = deque(maxlen=100_000)
        """Monotonic time and path of the newest requests by REST."""
        self.frame_limit: int | None = None
        """Frames after which a new connection is cut; None: it is not cut."""
        self.endpoints = endpoints
        self.rest = rest
        self._posted = posted
        self.interference: Interference | None = None
        """Stands between the venue and its clients while there are faults."""
        self._host = host
        self._port = port
        self._buffer_bytes = buffer_bytes
        self._dirty: list[Connection] = []
        self.tokens = Tokens()

    @property
    def ws_url(self) -> str | dict[str, str]:
        """The WebSocket address, or addresses by endpoint."""
        urls = {endpoint.name: f"ws://{self.base}{endpoint.path}" for endpoint in self.endpoints}
        return urls.get("", urls)

    @property
    def rest_url(self) -> str | dict[str, str]:
        """The REST address; addresses by endpoint, where these have their own."""
        urls = {endpoint.name: f"http://{self.base}{endpoint.rest_prefix}" for endpoint in self.endpoints}
        return next(iter(urls.values())) if len(set(urls.values())) == 1 else urls.get("", urls)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve while the context is open. Raises `ListenError` if the port cannot be had."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        app.router.add_post("/{path:.*}", self._serve_post)
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
                if connection.closing_since is not None:
                    if moment - connection.closing_since > CLOSING_S:
                        connection.cut()
                else:
                    _ask_for_life(endpoint, connection, moment, now)

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
        self.asked.append((time.monotonic(), request.path))
        if self.interference is not None:
            return await self.interference.answer(request, lambda query: self.rest.answer(path, query, time.time_ns()))
        return response(self.rest.answer(path, request.query, time.time_ns()))

    async def _serve_post(self, request: web.Request) -> web.StreamResponse:
        path = self._posted(request.path, await request.content.read(MESSAGE_MAX))
        return await self._give_token(request) if path is None else await self._serve(request.clone(method="GET", rel_url=path))

    async def _give_token(self, request: web.Request) -> web.StreamResponse:
        """Answer a POST: it asks for a token, or for nothing that exists."""
        path = request.path
        endpoint = next((one for one in self.endpoints if one.grant is not None and one.grant.path == path), None)
        self.counters.requests += 1

        def make(query: Mapping[str, str]) -> Answer:
            if endpoint is None or endpoint.grant is None:
                return Answer(b'{"error":"method not allowed"}', 405)
            return answer(endpoint.grant.write(self.tokens.issue(endpoint.grant), f"ws://{self.base}{endpoint.path}"))

        return response(make(request.query)) if self.interference is None else await self.interference.answer(request, make)

    def _welcome(self, endpoint: Endpoint, connection: Connection, query: Mapping[str, str]) -> None:
        """Let a client's messages be read from now on."""
        if endpoint.welcome is not None and connection in endpoint.feed.connections:
            connection.send(endpoint.welcome(query))
            connection.is_welcome = True
            self.flush()

    def _is_admitted(self, endpoint: Endpoint, connection: Connection, query: Mapping[str, str]) -> bool:
        """Whether a client has a valid token, where it needs one; else it is closed."""
        grant = endpoint.grant
        if grant is None or self.tokens.redeem(grant, query.get(grant.parameter, "")):
            return True
        self.counters.refused += 1
        if grant.refusal:
            connection.send(grant.refusal)
        connection.close(grant.code, "token is expired")
        return False

    async def _socket(self, request: web.Request, endpoint: Endpoint) -> web.WebSocketResponse:
        feed = endpoint.feed
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=MESSAGE_MAX)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket  # the client went away during the handshake
        connection = Connection(transport, self.counters, self._dirty, buffer_bytes=self._buffer_bytes)
        connection.frames_left = self.frame_limit
        connection.packing = endpoint.packing
        connection.is_welcome = endpoint.welcome is None
        self.counters.clients += 1
        self.counters.connects += 1
        query: Mapping[str, str] = request.query
        try:
            if self._is_admitted(endpoint, connection, query):
                if self.interference is not None:
                    self.interference.opened(connection, endpoint)
                feed.open(connection, request.path, query)
                if self.interference is not None:
                    self.interference.joined(connection, endpoint)
                if endpoint.welcome is not None:
                    asyncio.get_running_loop().call_later(WELCOME_S, self._welcome, endpoint, connection, query)
            self.flush()
            async for message in socket:  # for as long as the client likes: deadlines are the feed's
                self.counters.messages += 1
                self._received(endpoint, connection, message)
                self.flush()
        finally:
            feed.close(connection)
            connection.closing_since = connection.closing_since or time.monotonic()
            self.counters.clients -= 1
        return socket

    def _received(self, endpoint: Endpoint, connection: Connection, message: aiohttp.WSMessage) -> None:
        feed = endpoint.feed
        match message.type:
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY if connection.closing_since is None:
                given = message.data
                self._asked(endpoint, connection, given if isinstance(given, str) else given.decode(errors="replace"))
            case aiohttp.WSMsgType.PING:
                connection.pong(message.data)
                feed.control(connection, pong=False)
            case aiohttp.WSMsgType.PONG:
                feed.control(connection, pong=True)
            case _:
                pass

    def _asked(self, endpoint: Endpoint, connection: Connection, text: str) -> None:
        """Pass a client's message to the feed, unless it is an answer to a ping or comes before the welcome."""
        connection.last_message = time.monotonic()
        if not connection.is_welcome:
            self.counters.early += 1
            return
        if endpoint.pings is not None and endpoint.pings.is_answer(text):
            connection.last_pong = time.monotonic()
            return
        asked = text if connection.tap is None else connection.tap.receive(text)
        if asked is not None:
            endpoint.feed.receive(connection, asked)


def _ask_for_life(endpoint: Endpoint, connection: Connection, moment: float, now: int) -> None:
    """Ping a client that is due; cut one that has not answered, close one that has said nothing for too long."""
    pings = endpoint.pings
    if endpoint.silence_s and moment - connection.last_message > endpoint.silence_s:
        connection.close(NORMAL, "Bye")
    elif pings is not None and connection.last_ping > connection.last_pong and moment - connection.last_pong > pings.within_s:
        connection.cut()
    elif pings is not None and moment - connection.last_ping >= pings.every_s:
        connection.last_ping = moment
        connection.send(pings.text(now).encode())


async def _say_simulated(_request: web.Request, answered: web.StreamResponse) -> None:
    """Mark every answer as simulated: a connector does not put simulated data on a live tape."""
    answered.headers[SIMULATED_HEADER] = "1"


def response(made: Answer) -> web.Response:
    """A REST answer as HTTP."""
    return web.Response(body=made.body, status=made.status, headers=made.headers, content_type="application/json")
