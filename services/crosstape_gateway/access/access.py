"""Decides for each request whether it is served: rate, host, origin, token, number of streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from aiohttp import hdrs, web

from crosstape.settings import GatewaySettings
from crosstape_gateway.access import sessions
from crosstape_gateway.access.connections import Connections
from crosstape_gateway.access.failures import path_of
from crosstape_gateway.access.headers import SHARED_WITH
from crosstape_gateway.access.limits import RequestRate, StreamCount, address_of
from crosstape_gateway.access.origins import ANY, host_of, is_address, is_listed, is_loopback, is_own
from crosstape_gateway.access.start import check_access
from crosstape_gateway.access.tokens import Reader, Tokens
from crosstape_gateway.errors import RequestError

REFRESH_S: Final = 1.0
"""How often the file of tokens and idle connections are looked at."""
FULL_RETRY_S: Final = 5.0
"""When a client may try again that found all places for streams taken."""
STREAMS: Final = frozenset({"/api/stream", "/api/candles/stream", "/ws"})
HEALTH: Final = frozenset({"/healthz", "/readyz"})
OPEN: Final = HEALTH | {"/api/session", "/api/openapi.json"}
"""Paths that need no token, beside those of the page."""
_BEARER: Final = "bearer"
TOKEN_NAMES: Final = frozenset({"token", "access_token"})
"""Parameters by which clients of other services send a token in the address."""

log = structlog.get_logger(__name__)


class Access:
    """Who may read from one gateway, and how much. Without a file of tokens, whoever reaches it by a name of this machine."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Raises `SettingsError` if the settings would open the gateway by mistake, or the file of tokens cannot be used."""
        check_access(settings)
        self._settings = settings
        self.tokens = Tokens(settings.tokens_file) if settings.tokens_file else None
        self.open_paths: set[str] = set(OPEN)
        """Paths, as their routes write them, that need no token."""
        self.connections = Connections()
        self._rate = RequestRate(settings.requests_per_s)
        self.streams = StreamCount(settings.clients, settings.clients_per_address)
        self._streaming: dict[int, tuple[web.Request, Reader]] = {}  # by the id of the request

    def check(self, request: web.Request) -> Reader | None:
        """Returns who sends a request; None where no token is needed. Raises `RequestError` if it must not be served."""
        path = path_of(request)
        may_use_cookie = self.check_stranger(request)
        needs_none = self.tokens is None or path in self.open_paths or request.match_info.http_exception is not None
        reader = None if needs_none else self.reader(request, by_cookie=may_use_cookie)
        self.connections.served(request)
        return reader

    def check_stranger(self, request: web.Request) -> bool:
        """The part of `check` that asks for no token. Returns whether a session's cookie may count."""
        path = path_of(request)
        if path not in HEALTH:
            self._check_rate(request)
            self._check_host(request)
        return self._check_origin(request, path)

    def reader(self, request: web.Request, *, by_cookie: bool = True) -> Reader:
        """Returns whose token or session a request has. Raises `RequestError` (401) if it has none that counts."""
        assert self.tokens is not None
        header = request.headers.get(hdrs.AUTHORIZATION, "").strip()
        if header:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != _BEARER or not token.strip():
                raise RequestError(401, "bad_authorization", "expected the header Authorization: Bearer TOKEN")
            if (reader := self.tokens.holder(token.strip())) is None:
                raise RequestError(401, "wrong_token", "this gateway does not know this token")
            return reader
        cookie = request.cookies.get(sessions.COOKIE, "") if by_cookie else ""
        if cookie:
            if (reader := sessions.holder(cookie, self.tokens.readers, time.time())) is None:
                raise RequestError(401, "session_ended", "this session has ended: sign in again with the token")
            return reader
        unread = "; a token in the address is not read, since addresses are logged" if TOKEN_NAMES & {*request.query} else ""
        raise RequestError(401, "missing_token", f"a token is needed: send the header Authorization: Bearer TOKEN{unread}")

    @contextmanager
    def streaming(self, request: web.Request, reader: Reader | None) -> Iterator[None]:
        """Counts a stream for the length of the block. Raises `RequestError` (429) if there are too many."""
        address = address_of(request.remote)
        if mistake := self.streams.mistake(address):
            raise RequestError(429, "too_many_clients", mistake, retry_after_s=FULL_RETRY_S)
        self.streams.open(address)
        if reader is not None:
            self._streaming[id(request)] = (request, reader)
        try:
            yield
        finally:
            self.streams.close(address)
            self._streaming.pop(id(request), None)

    async def watch(self) -> None:
        """Until cancelled: close connections that ask for nothing; read the file of tokens again whenever it changes, and cut the streams
        of those whose token is gone.
        """
        while True:
            await asyncio.sleep(REFRESH_S)
            self.connections.sweep(time.monotonic())
            if self.tokens is None:
                continue
            gone = {reader.digest for reader in self.tokens.refresh()}
            for request, reader in list(self._streaming.values()):
                if reader.digest in gone and request.transport is not None:
                    request.transport.abort()
                    request.task.cancel()  # a handler that sends nothing would not notice

    def _check_rate(self, request: web.Request) -> None:
        wait_s = self._rate.wait_s(address_of(request.remote), time.monotonic())
        if wait_s > 0:
            most = f"{self._settings.requests_per_s:g}"
            raise RequestError(429, "too_many_requests", f"more than {most} requests a second of one address", retry_after_s=wait_s)

    def _check_host(self, request: web.Request) -> None:
        """Without tokens: a page whose name was made to resolve to this machine is a stranger, though its requests come from here."""
        if self.tokens is not None:
            return
        host = host_of(request.headers.get(hdrs.HOST, ""))
        known = is_loopback(host) or host in {name.lower().rstrip(".") for name in self._settings.hosts}
        if not known and not (self._settings.open_to == "anywhere" and is_address(host)):
            raise RequestError(
                403, "unknown_host", f"{host[:80]!r} is not in gateway.hosts: a gateway without tokens answers to known names"
            )

    def _check_origin(self, request: web.Request, path: str) -> bool:
        """Returns whether a session's cookie may count. Raises `RequestError` (403) for the page of a stranger."""
        origin = request.headers.get(hdrs.ORIGIN, "")
        allowed = self._settings.allowed_origins
        if not origin:
            return True
        if is_own(origin, request.headers.get(hdrs.HOST, "")):
            return True
        listed = is_listed(origin, allowed)
        if listed or ANY in allowed:
            shared = {"Access-Control-Allow-Origin": origin if listed else ANY, "Access-Control-Expose-Headers": "Retry-After"}
            request[SHARED_WITH] = shared | ({"Access-Control-Allow-Credentials": "true"} if listed else {})
            return listed
        if path in HEALTH:
            return True
        raise RequestError(403, "unknown_origin", f"pages of {origin[:80]!r} may not read here: it is not in gateway.allowed_origins")


async def watching(app: web.Application) -> AsyncIterator[None]:
    """Runs `Access.watch` while the application runs. A context of aiohttp."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(app[ACCESS].watch(), name="gateway.tokens")
        yield
        task.cancel()


ACCESS: Final = web.AppKey("access", Access)
