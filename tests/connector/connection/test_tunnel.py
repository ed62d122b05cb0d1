"""REST and WebSocket through a proxy: real sockets, with and without TLS on either leg, on both event loops."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp
import pytest
import trustme
import uvloop
from aiohttp import web

from crosstape_connector.connection.proxies import Proxies
from crosstape_connector.connection.tunnel import HEAD_MAX, TunnelConnector
from crosstape_connector.connection.websocket import connect
from crosstape_connector.errors import ConnectFailed, RestFailed
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rest.client import RestClient
from tests.connect_proxy import ConnectProxy, connect_proxy
from tests.connector.fake_venue import fake

HOST = "venue.invalid"
"""No resolver knows it: what is reached under this name went through the proxy."""

SECRET = "hunter2"
USER = f"tape:{SECRET}"
NOBODY = "http://127.0.0.1:1"
TIMEOUT_S = 5.0

loops = pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that signs the certificates of venue and proxy."""
    return trustme.CA()


@pytest.fixture(autouse=True)
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a program trust the authority, as a company does with its own."""
    file = tmp_path_factory.mktemp("trusted") / "ca.pem"
    file.write_bytes(authority.cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


def certified(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return a TLS context for a server with these names."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


@asynccontextmanager
async def venue(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Run a venue that answers by REST, and sends everything twice on its WebSocket. Returns its port."""

    async def rest(_: web.Request) -> web.Response:
        return web.Response(body=b"hello")

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(message.data.encode() * 2)
        return socket

    app = web.Application()
    app.add_routes([web.get("/rest", rest), web.get("/ws", echo)])
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def http(proxy: str, **environ: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Return an HTTP session as the connector has it."""
    async with aiohttp.ClientSession(connector=TunnelConnector(Proxies("venues.fake.proxy", proxy, environ), limit=0)) as session:
        yield session


def rest(session: aiohttp.ClientSession, base: str) -> RestClient:
    """Return a REST client as the connector has it."""
    return RestClient(session, fake(), {"main": base}, timeout_s=TIMEOUT_S, capture=None, counters=Counters())


async def echoed(session: aiohttp.ClientSession, url: str) -> bytes:
    """Return what the WebSocket answers to `ab`."""
    socket = await connect(session, url, timeout_s=TIMEOUT_S, max_bytes=1024)
    try:
        await socket.send_str("ab")
        return bytes((await socket.receive(timeout=TIMEOUT_S)).data)
    finally:
        await socket.close()


def run(loop: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[None, None, None]) -> None:
    """Run this on one of the event loops."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main)


@loops
@pytest.mark.parametrize("venue_tls", [True, False], ids=["venue with TLS", "venue without"])
@pytest.mark.parametrize("proxy_tls", [True, False], ids=["proxy with TLS", "proxy without"])
@pytest.mark.parametrize("password", ["", USER, "tape:p@ss%:#?/"], ids=["no password", "password", "odd password"])
def test_rest_and_websocket_go_through_the_proxy(
    authority: trustme.CA,
    loop: Callable[[], asyncio.AbstractEventLoop],
    venue_tls: bool,
    proxy_tls: bool,
    password: str,
) -> None:
    """Both use tunnels, to a name that only the proxy can resolve."""

    async def main() -> None:
        async with (
            venue(certified(authority, HOST) if venue_tls else None) as port,
            connect_proxy({HOST: port}, tls=certified(authority, "localhost") if proxy_tls else None, password=password) as proxy,
        ):
            user, _, secret = password.partition(":")
            url = proxy.url.replace(f"{password}@", f"{user}:{quote(secret, safe='')}@") if password else proxy.url
            s = "s" if venue_tls else ""
            async with http(url) as session:
                body, _ = await rest(session, f"http{s}://{HOST}").get("main", "/rest")
                assert body == b"hello"
                assert await echoed(session, f"ws{s}://{HOST}/ws") == b"abab"
            assert set(proxy.asked) == {f"{HOST}:{443 if venue_tls else 80}"}
            assert proxy.methods == {"CONNECT"}

    run(loop, main())


async def test_the_environment_decides_by_address() -> None:
    """One host of the venue is reached through the proxy, the other directly."""
    async with venue(None) as port, connect_proxy({HOST: port}) as proxy:
        async with http("environment", HTTP_PROXY=proxy.url, NO_PROXY="localhost") as session:
            assert await echoed(session, f"ws://{HOST}/ws") == b"abab"
            assert await echoed(session, f"ws://localhost:{port}/ws") == b"abab"
        assert proxy.asked == [f"{HOST}:80"]


async def test_no_proxy_at_all() -> None:
    """With an empty setting no proxy is used, whatever the environment has."""
    async with venue(None) as port, http("", ALL_PROXY=NOBODY) as session:
        assert await echoed(session, f"ws://localhost:{port}/ws") == b"abab"


async def test_an_address_of_version_six() -> None:
    """It is in brackets in the request."""
    async with connect_proxy() as proxy, http(proxy.url) as session:
        proxy.answer = b"HTTP/1.1 403 Forbidden\r\n\r\n"
        with pytest.raises(ConnectFailed):
            await echoed(session, "wss://[fd00::7]/ws")
        assert proxy.asked == ["[fd00::7]:443"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403 Forbidden"),
        (b"HTTP/1.0 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!", "HTTP 502 Bad Gateway"),
        (b"HTTP/1.1 503\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 407 Who\r\nproxy-authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n",
         "HTTP 407 Who (it asks for Negotiate, NTLM; we have no password)"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "its answer is not HTTP: 'SSH-2.0-OpenSSH_9.6'"),
        (b"", "it closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nX: ", "it closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_MAX, f"its answer is longer than {HEAD_MAX} bytes"),
    ],
)  # fmt: skip
async def test_a_proxy_that_refuses_is_named_with_its_reason(answer: bytes, reason: str) -> None:
    """The same for REST and WebSocket."""
    async with connect_proxy() as proxy, http("environment", HTTPS_PROXY=proxy.url) as session:
        proxy.answer = answer
        expected = f"the proxy {proxy.url} (HTTPS_PROXY) does not connect us to {HOST}:443: {reason}"
        with pytest.raises(ConnectFailed) as refused:
            await echoed(session, f"wss://{HOST}/ws")
        assert str(refused.value) == expected
        with pytest.raises(RestFailed) as failed:
            await rest(session, f"https://{HOST}").get("main", "/rest")
        assert str(failed.value) == f"https://{HOST}/rest: {expected}"


@pytest.mark.parametrize(("user", "have"), [("", "no password"), (f"tape:{SECRET}x@", "a password")])
async def test_a_wrong_password_is_not_shown(user: str, have: str) -> None:
    """The method that the proxy asks for is shown."""
    async with connect_proxy(password=USER) as proxy:
        url = proxy.url.replace(f"{USER}@", user)
        async with http(url) as session:
            with pytest.raises(ConnectFailed) as refused:
                await echoed(session, f"wss://{HOST}/ws")
    assert str(refused.value).endswith(f"HTTP 407 Proxy Authentication Required (it asks for Basic; we have {have})")
    assert SECRET not in str(refused.value)


async def test_a_proxy_that_is_not_there() -> None:
    """The error names the proxy, and not the venue."""
    async with http("environment", ALL_PROXY=NOBODY) as session:
        with pytest.raises(ConnectFailed, match=r"^the proxy http://127.0.0.1:1 \(ALL_PROXY\) cannot be reached: "):
            await echoed(session, f"wss://{HOST}/ws")
    async with http(f"http://{'x' * 64}.invalid:1") as session:
        with pytest.raises(RestFailed, match="cannot be reached: "):
            await rest(session, f"https://{HOST}").get("main", "/rest")


async def test_certificates_are_checked(authority: trustme.CA) -> None:
    """The venue's within the tunnel, and the proxy's own: an attacker between us is noticed."""
    async with venue(certified(authority, "other.invalid")) as port, connect_proxy({HOST: port}) as proxy, http(proxy.url) as session:
        with pytest.raises(ConnectFailed, match=rf"no TLS with {HOST} through the proxy .*CERTIFICATE_VERIFY_FAILED"):
            await echoed(session, f"wss://{HOST}/ws")
    async with connect_proxy(tls=certified(trustme.CA(), "localhost")) as proxy, http(proxy.url) as session:
        with pytest.raises(ConnectFailed, match=r"the proxy https://localhost:\d+ .* cannot be reached: .*CERTIFICATE_VERIFY_FAILED"):
            await echoed(session, f"wss://{HOST}/ws")


async def test_a_silent_proxy_is_given_up() -> None:
    """Within the time limit of a connection; no socket stays open."""
    silent = asyncio.Event()
    gone = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.set()
        while await reader.read(1024):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        async with http(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as session:
            with pytest.raises(ConnectFailed, match=r"no connection within 0.2 s"):
                await connect(session, f"wss://{HOST}/ws", timeout_s=0.2, max_bytes=1024)
            await asyncio.wait_for(gone.wait(), TIMEOUT_S)
        assert silent.is_set()
    finally:
        server.close()


async def test_a_tunnel_that_is_cut_is_a_lost_connection(authority: trustme.CA) -> None:
    """The socket reports it at once."""
    async with venue(certified(authority, HOST)) as port, connect_proxy({HOST: port}) as proxy, http(proxy.url) as session:
        socket = await connect(session, f"wss://{HOST}/ws", timeout_s=TIMEOUT_S, max_bytes=1024)
        cut(proxy)
        assert (await socket.receive(timeout=TIMEOUT_S)).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        await socket.close()


def cut(proxy: ConnectProxy) -> None:
    """Close all of its connections."""
    proxy.cut()
