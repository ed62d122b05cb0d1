"""The reason of a venue's refusal is in the log, the status and the error, for REST and for the handshake."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from crosstape_connector.connection import websocket
from crosstape_connector.connection.websocket import connect, read_refusal
from crosstape_connector.errors import ConnectFailed, RestFailed
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rest import instruments
from crosstape_connector.rest.client import RestClient
from crosstape_connector.venues.parsing.refusals import REASON, public, reason, refusal
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Status
from tests.connector.fake_venue import endpoint, fake, serving
from tests.connector.rig import QUICK, rigged
from tests.connector.world import World
from tests.waiting import wait_until

RESTRICTED = "Service unavailable from a restricted location according to 'b. Eligibility'"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"code":0,"msg":"Service unavailable from a restricted location"}', "0 Service unavailable from a restricted location"),
        (b'{"message":"NotFound"}', "NotFound"),
        (b'{"error":["EGeneral:Permission denied","EGeneral:Locked"]}', "EGeneral:Permission denied, EGeneral:Locked"),
        (b'{"error":{"code":"GEO","message":"not here"}}', "GEO not here"),
        (b'{"success":false,"errors":[{"detail":"one"},{"detail":"two"}]}', "one, two"),
        (b'"just text"', "just text"),
        (b"Forbidden\r\n", "Forbidden"),
        (b"<html><head><title>403 Forbidden &amp; gone</title></head><body><h1>x</h1></body></html>", "403 Forbidden & gone"),
        (b"<html><style>a{}</style><body><p>Access denied.</p> Ray ID: 7</body></html>", "Access denied. Ray ID: 7"),
        (b"two\nlines\x1b[31m and a bell\x07", "two lines [31m and a bell"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", ""),
        (b"{}", "{}"),
        (b'{"error":true}', '{"error":true}'),
        (b'{"msg":' + 200_000 * b"[", '{"msg":' + (REASON - 8) * "[" + "…"),
        (500 * b"long ", (500 * "long ")[: REASON - 1] + "…"),
    ],
)
def test_a_reason_is_one_short_line(body: bytes, said: str) -> None:
    """It is the message of JSON, the title of a page, or the text, without control characters."""
    assert reason(body) == said


@pytest.mark.parametrize(
    "body",
    [
        b"GET /ws?apiKey=hunter2&x=1 is not allowed",
        b'{"msg":"bad token: hunter2"}',
        b"<title>Authorization: Bearer hunter2</title>",
        b'{"message":"/x?signature=hunter2"}',
        b'{"unexpected":{"secret":"hunter2"}}',
    ],
)
def test_a_secret_is_not_repeated(body: bytes) -> None:
    """A venue or a proxy may quote our request."""
    assert "hunter2" not in reason(body)
    assert reason(body)


@given(st.binary(max_size=300))
def test_any_body_is_a_line_that_can_be_printed(body: bytes) -> None:
    """The body may be any bytes."""
    for text in (reason(body), refusal(451, body), refusal(451, body, body.decode(errors="replace"))):
        assert len(text) <= REASON + len("HTTP 451: ")
        assert text == "" or text.isprintable()


def test_an_address_is_shown_without_what_may_be_secret() -> None:
    """User, password and query are left out."""
    assert public("wss://user:hunter2@example.com:9443/stream?token=hunter2#x") == "wss://example.com:9443/stream"
    assert public("http://[::1]:80/x") == "http://[::1]:80/x"
    assert public("http://[::1") == "an address that cannot be read"


PATHS: dict[str, Any] = {
    "instruments": lambda rig: instruments.fetch(rig.rest, rig.feeds.venue, None),
    "snapshot": lambda rig: rig.rest.get("api", "/depth?symbol=AAAUSD"),
    "trades": lambda rig: rig.sources.fetch_trades(rig.feeds.trades.sequences["AAA-USD"], None),
    "quotes": lambda rig: rig.sources.fetch_quotes({"AAAUSD": "AAA-USD"}),
}


@pytest.mark.parametrize("path", PATHS)
async def test_the_error_of_every_rest_path_has_the_reason(path: str) -> None:
    """All calls use the same code for it."""
    async with serving() as server, rigged(server, fake(past=True)) as rig:
        server.answers.append(web.json_response({"code": 0, "msg": RESTRICTED}, status=451))
        with pytest.raises(RestFailed) as caught:
            await PATHS[path](rig)

    assert str(caught.value).endswith(f"HTTP 451: 0 {RESTRICTED}")


async def test_an_address_with_a_token_is_not_in_the_error() -> None:
    """Nor is a password in the base URL."""
    async with serving() as server, aiohttp.ClientSession() as http:
        base = server.url.replace("http://", "http://user:hunter2@")
        rest = RestClient(http, fake(), {"api": base}, timeout_s=5.0, capture=None, counters=Counters())
        server.answers.append(web.Response(status=403, text=f"no access to {base}?token=hunter2"))
        with pytest.raises(RestFailed, match="HTTP 403") as caught:
            await rest.get("api", "/instruments")

    assert "hunter2" not in str(caught.value)


async def test_krakens_list_of_errors_comes_with_200() -> None:
    """It is a refusal all the same, with the venue's reason."""
    venue = msgspec.structs.replace(VENUES["kraken"], rest_urls={"api": ""})
    async with serving() as server, aiohttp.ClientSession() as http:
        rest = RestClient(http, venue, {"api": server.url}, timeout_s=5.0, capture=None, counters=Counters())
        server.answers += [
            web.json_response({"error": ["EService:Unavailable", "EGeneral:\x1b[1mLocked"]}),
            web.json_response({"error": ["EGeneral:Permission denied"]}, status=403),
        ]
        for said in ("EService:Unavailable, EGeneral: [1mLocked", "HTTP 403: EGeneral:Permission denied"):
            with pytest.raises(RestFailed) as caught:
                await rest.get("api", "/0/public/Trades")
            assert str(caught.value).endswith(said)


@pytest.mark.parametrize("status", [403, 418, 429, 451, 503])
async def test_the_error_of_a_refused_handshake_has_the_reason(status: int) -> None:
    """The answer has a body, which aiohttp does not read. The wait that the venue asks for is kept."""
    async with serving() as server, aiohttp.ClientSession(raise_for_status=read_refusal) as http:
        server.refuse_connections.append(web.json_response({"msg": RESTRICTED}, status=status, headers={"Retry-After": "7"}))
        with pytest.raises(ConnectFailed) as caught:
            await connect(http, f"{server.url}/ws/main".replace("http", "ws"), timeout_s=5.0, max_bytes=1000)
        assert str(caught.value) == f"HTTP {status}: {RESTRICTED}"
        assert caught.value.retry_after_s == 7.0
        socket = await connect(http, f"{server.url}/ws/main".replace("http", "ws"), timeout_s=5.0, max_bytes=1000)
        await socket.close()


async def test_a_reason_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has only the status then."""
    monkeypatch.setattr(websocket, "REFUSAL_S", 0.05)

    over = asyncio.Event()

    async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\nyou may")
        await writer.drain()
        await over.wait()
        writer.close()

    async with (
        await asyncio.start_server(half, "127.0.0.1", 0) as listener,
        aiohttp.ClientSession(raise_for_status=read_refusal) as http,
    ):
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match="HTTP 403: you may"):
            await connect(http, f"ws://127.0.0.1:{port}/", timeout_s=5.0, max_bytes=1000)
        over.set()


async def test_the_supervisor_logs_the_reason() -> None:
    """The event `session.lost` has it, and so has the venue-wide status."""
    async with serving() as server, rigged(server, fake(endpoint()), QUICK) as rig:
        server.refuse_connections += [web.json_response({"msg": RESTRICTED}, status=451) for _ in range(2)]
        with capture_logs() as logs:
            async with rig.supervised():
                await wait_until(lambda: bool(server.peers), what="a connection")
    assert {log["reason"] for log in logs if log["event"] == "session.lost"} >= {f"HTTP 451: {RESTRICTED}"}


async def test_the_status_has_the_reason_why_a_venue_has_no_instruments(world: World) -> None:
    """The venue-wide status has the venue's own message."""
    world.server.answers += [web.json_response({"msg": RESTRICTED}, status=451) for _ in range(3)]
    with capture_logs() as logs:
        async with world.running():

            async def told() -> bool:
                return any(isinstance(one, Status) and RESTRICTED in one.reason for one in await world.stream("venue:fake"))

            await wait_until(told, what="the reason on the tape")
    assert any(RESTRICTED in log["error"] for log in logs if log["event"] == "instruments.failed")
