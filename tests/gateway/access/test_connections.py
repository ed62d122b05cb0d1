"""Connections that ask for nothing, and requests that make no sense."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from crosstape.settings import GatewaySettings
from crosstape_gateway.access import access, connections, session_routes
from crosstape_gateway.access.access import ACCESS
from tests.gateway.access.test_tokens import ALICE, written
from tests.gateway.rest.served import Served, publish, serving
from tests.gateway.rest.test_inventory import status
from tests.waiting import wait_until

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@contextlib.asynccontextmanager
async def connected(served: Served, sends: bytes = b"") -> AsyncIterator[asyncio.StreamReader]:
    """A connection that has sent so much, and sends nothing more."""
    reader, writer = await asyncio.open_connection(urlsplit(served.url).hostname, urlsplit(served.url).port)
    writer.write(sends)
    try:
        yield reader
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"", GET, b"GET"])
async def test_a_connection_without_a_request_is_closed(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Also one whose request never gets complete; one that has sent a request stays open for the next."""
    monkeypatch.setattr(access, "REFRESH_S", 0.02)
    async with serving(valkey) as served, connected(served, GET + b"\r\n") as good, asyncio.timeout(30):
        assert (await good.readline()).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.1)
        async with connected(served, sent) as idle:
            assert await idle.read() == b""
        server = served.app[ACCESS].connections.server
        assert server is not None
        assert len(server.connections) == 1


async def test_waiting_connections_of_one_address_are_bounded(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest ones are closed; those that came first may still ask."""
    monkeypatch.setattr(access, "REFRESH_S", 0.02)
    monkeypatch.setattr(connections, "WAITING", 3)
    async with serving(valkey) as served, contextlib.AsyncExitStack() as stack:
        server = served.app[ACCESS].connections.server
        assert server is not None
        for number in range(5):
            await stack.enter_async_context(connected(served))
            await wait_until(lambda number=number: len(server.connections) >= min(3, number + 1), what="it is accepted")  # type: ignore[misc]
        await wait_until(lambda: len(server.connections) == 3, what="the newest ones are closed")


async def test_a_body_that_does_not_come_is_not_waited_for(
    client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The answer says so."""
    monkeypatch.setattr(session_routes, "BODY_S", 0.1)
    settings = GatewaySettings(port=0, tokens_file=written(tmp_path, f"alice:{ALICE}"))
    head = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n{"
    async with serving(valkey, settings) as served, connected(served, head) as reader, asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")


async def test_no_request_makes_the_gateway_fail(client: Redis, valkey: str) -> None:
    """Whatever stands in path, query and headers: the answer is no 500, and the next request is served."""
    await publish(valkey, status("kraken"))
    chance = random.Random(7)
    paths = [
        "quotes",
        "trades",
        "bars",
        "candles",
        "last",
        "gaps",
        "edges",
        "venues",
        "instruments",
        "depth",
        "session",
        "stream",
        "%2e%2e",
    ]
    names = ["instrument", "symbol", "venue", "timeframe", "from_ts", "to_ts", "limit", "after", "before", "topics", "ints", "%00", "%ff"]
    values = [
        "",
        "*",
        "BTC-USDT",
        "%00",
        "%ff%fe",
        "1",
        "-1",
        "9" * 30,
        "1m",
        "cbbo:*",
        "venue:*",
        ":",
        "@",
        ",,,",
        "%F0%9F%A6%86",
        "kraken",
        "+",
    ]
    headers = ["Origin: http://[", "Origin: null", "Cookie: crosstape_session=a.1.b", "Cookie: ;;=;", "Authorization: \xff", "Host: [",
               "X: y", "If-None-Match: \"", "Last-Event-ID: x", "Accept-Encoding: br;q=x", "Content-Length: 0"]  # fmt: skip
    seen = set()
    async with serving(valkey) as served:
        await served.parts.catalogue.look()
        for _ in range(400):
            query = "&".join(f"{chance.choice(names)}={chance.choice(values)}" for _ in range(chance.randint(0, 3)))
            lines = [f"{chance.choice(['GET', 'HEAD', 'OPTIONS', 'POST'])} /api/{chance.choice(paths)}?{query} HTTP/1.1", "Host: localhost",
                     *chance.sample(headers, chance.randint(0, 2)), "Connection: close", "", ""]  # fmt: skip
            async with connected(served, "\r\n".join(lines).encode("latin-1")) as reader, asyncio.timeout(30):
                code = int((await reader.readline()).split()[1])
            assert code < 500, lines
            seen.add(code)
        assert (await served.ask("/api/venues")).status == 200

    assert {200, 204, 400, 403, 404, 405} <= seen


async def test_a_connection_whose_requests_are_all_refused_is_closed(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an address over its limit could keep as many connections as it likes; one that was served once stays."""
    monkeypatch.setattr(access, "REFRESH_S", 0.02)
    stranger = b"GET /api/venues HTTP/1.1\r\nHost: stranger.example\r\n\r\n"
    async with serving(valkey) as served, connected(served, GET + b"\r\n" + stranger) as good, asyncio.timeout(30):
        assert b"200" in await good.readuntil(b"\r\n")
        async with connected(served, stranger) as refused:
            assert b"403" in await refused.readuntil(b"\r\n")
            monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.1)
            await refused.read()  # until it is closed
        server = served.app[ACCESS].connections.server
        assert server is not None
        assert len(server.connections) == 1


async def test_a_refusal_is_counted_once(client: Redis, valkey: str) -> None:
    """Whether we refuse it or there is no such path."""
    names = ("unknown_parameter", "not_found")

    def counted() -> list[float]:
        return [REGISTRY.get_sample_value("crosstape_gateway_refused_total", {"code": name}) or 0.0 for name in names]

    before = counted()
    async with serving(valkey) as served:
        for path in ("/api/venues?nothing=1", "/nothing"):
            await served.ask(path)
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1.0, 1.0]


async def test_what_is_no_handshake_is_told_so(client: Redis, valkey: str) -> None:
    """By a browser's address bar, or a program without WebSocket."""
    async with serving(valkey, streams=True) as served:
        assert served.parts.hub.away_since_ts is None
        assert (await served.ask("/ws")).error == (400, "bad_request", "this path speaks WebSocket, and the request is no handshake of it")
