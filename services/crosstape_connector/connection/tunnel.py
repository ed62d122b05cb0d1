"""Opens connections to venues through a proxy: always a tunnel, made by CONNECT, for REST and WebSocket alike.

aiohttp supports proxies too, but reads only `WSS_PROXY` for WebSockets, does not support proxies with TLS, then reads passwords for venues
from `~/.netrc`, and sends a WebSocket without TLS to the proxy as a plain request, which few proxies pass on.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from functools import cached_property
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from crosstape.errors import SettingsError
from crosstape.version import __version__
from crosstape_connector.connection.proxies import Proxies, Proxy

HEAD_MAX: Final = 64 * 1024
"""Longest accepted head of a proxy's answer, in bytes."""


class ProxyFailed(aiohttp.ClientConnectionError):
    """The proxy cannot be reached, or does not connect us. The text names it, without credentials, and the reason."""


class TunnelConnector(aiohttp.TCPConnector):
    """Opens aiohttp's connections through the proxy of each address, or directly where it has none.

    It overrides `_create_connection`, which is not public in aiohttp; a test fails when that changes.
    """

    def __init__(self, proxies: Proxies, **options: Any) -> None:
        super().__init__(**options)
        self._proxies = proxies

    async def _create_connection(self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> ResponseHandler:
        try:
            proxy = self._proxies.for_url(str(req.url))
        except SettingsError as exc:  # the venue's own addresses were checked at the start; this is one that we were redirected to
            raise ProxyFailed(str(exc)) from exc
        if proxy is None:
            return await super()._create_connection(req, traces, timeout)
        host, port = req.url.raw_host or "", req.url.port or 0
        transport = await open_tunnel(proxy, host, port, self._trusted if proxy.tls else None)
        protocol: ResponseHandler = self._factory()
        try:
            if req.is_ssl():
                transport = await self._with_tls(transport, protocol, req, proxy)
            else:
                transport.set_protocol(protocol)
        except BaseException:
            transport.abort()
            raise
        protocol.connection_made(transport)
        return protocol

    async def _with_tls(
        self, transport: asyncio.Transport, protocol: ResponseHandler, req: aiohttp.ClientRequest, proxy: Proxy
    ) -> asyncio.Transport:
        context = req.ssl if isinstance(req.ssl, ssl.SSLContext) else self._trusted
        host = req.url.raw_host or ""
        try:
            secured = await asyncio.get_running_loop().start_tls(transport, protocol, context, server_hostname=host)
        except OSError as exc:  # an SSLError is one
            raise ProxyFailed(f"no TLS with {host} through the proxy {proxy}: {exc or type(exc).__name__}") from exc
        if secured is None:
            raise ProxyFailed(f"the proxy {proxy} closed the connection to {host}")
        return secured

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


async def open_tunnel(proxy: Proxy, host: str, port: int, tls: ssl.SSLContext | None = None) -> asyncio.Transport:
    """Open a connection to this host through the proxy, with `tls` to the proxy itself. The caller sets a time limit.

    Raises `ProxyFailed`.
    """
    answer = _Answer()
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: answer, proxy.host, proxy.port, ssl=tls, server_hostname=proxy.host if tls else None
        )
    except (OSError, UnicodeError) as exc:  # a UnicodeError is for a host name that cannot be encoded
        raise ProxyFailed(f"the proxy {proxy} cannot be reached: {exc or type(exc).__name__}") from exc
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}", f"User-Agent: crosstape/{__version__}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    try:
        transport.write("\r\n".join([*lines, "", ""]).encode())
        if reason := _refusal(await answer.head, proxy):
            raise ProxyFailed(f"the proxy {proxy} does not connect us to {where}: {reason}")
    except ConnectionError as exc:
        transport.abort()
        raise ProxyFailed(f"the proxy {proxy} does not connect us to {where}: {exc}") from exc
    except BaseException:
        transport.abort()
        raise
    return transport


def _refusal(head: str, proxy: Proxy) -> str:
    """Return the proxy's reason for refusing, from the head of its answer; empty if it accepts."""
    status, *fields = head.split("\r\n")
    found = re.fullmatch(r"HTTP/\d\.\d (\d{3})(?: (.*))?", status)
    if found is None:
        return f"its answer is not HTTP: {status[:80]!r}"
    if found[1].startswith("2"):
        return ""
    wanted = [
        value.strip().split(" ")[0] for name, _, value in (line.partition(":") for line in fields) if name.lower() == "proxy-authenticate"
    ]
    asks = f" (it asks for {', '.join(wanted)}; we have {'a password' if proxy.authorization else 'no password'})" if wanted else ""
    return f"HTTP {found[1]} {found[2] or ''}".rstrip() + asks


class _Answer(asyncio.Protocol):
    """Receives the head of the proxy's answer; after that, the connection gets another protocol."""

    def __init__(self) -> None:
        self.head: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._data = b""

    def data_received(self, data: bytes) -> None:
        if self.head.done():
            return
        self._data += data
        if b"\r\n\r\n" in self._data:
            self.head.set_result(self._data.partition(b"\r\n\r\n")[0].decode("latin-1"))
        elif len(self._data) > HEAD_MAX:
            self._fail(f"its answer is longer than {HEAD_MAX} bytes")

    def eof_received(self) -> None:
        self._fail("it closed the connection without an answer")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("it closed the connection without an answer" if exc is None else str(exc) or type(exc).__name__)

    def _fail(self, reason: str) -> None:
        if not self.head.done():
            self.head.set_exception(ConnectionError(reason))
            self.head.exception()  # the waiting caller may be gone
