"""Who is let in: tokens, sessions, hosts, origins, limits, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from crosstape.errors import SettingsError
from crosstape.settings import GatewaySettings, Settings
from crosstape_gateway.access import access, check_access
from crosstape_gateway.access.access import ACCESS
from crosstape_gateway.access.sessions import COOKIE
from crosstape_gateway.service import run
from tests.bus.tape import fast
from tests.gateway.access.test_tokens import ALICE, BOB, written
from tests.gateway.rest.served import Served, serving
from tests.waiting import wait_until

STREAM = "/api/stream?topics=cbbo:*"
PROTECTED = ("/api/venues", "/api/instruments", "/api/quotes", "/api/last?topics=cbbo:*", "/api/edges", "/api/gaps", "/api/trades",
             "/api/bars", "/api/candles", "/api/depth", "/metrics", STREAM, "/ws", "/%61pi/venues", "/api//venues/../venues")  # fmt: skip


def bearer(token: str = ALICE) -> dict[str, str]:
    """The header that has a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def tokens_file(tmp_path: Path) -> str:
    """Alice and Bob may read."""
    return written(tmp_path, f"alice:{ALICE}\nbob:{BOB}\n")


@contextlib.asynccontextmanager
async def gateway(url: str, **settings: Any) -> AsyncIterator[Served]:
    """A gateway that has looked once which streams there are."""
    async with serving(url, GatewaySettings(**{"port": 0, **settings}), streams=True) as served:
        await served.parts.catalogue.look()
        yield served


async def test_with_tokens_nothing_of_the_tape_is_read_without_one(client: Redis, valkey: str, tokens_file: str) -> None:
    """However the path is written. Health needs none; errors say what is missing and never which tokens there are."""
    async with gateway(valkey, tokens_file=tokens_file) as served:
        for path in PROTECTED:
            answer = await served.ask(path)
            assert answer.status in (401, 404), path
            assert answer.status == 401 or "error" in answer.json
        missing = await served.ask("/api/venues")
        assert missing.error[:2] == (401, "missing_token")
        assert missing.headers["WWW-Authenticate"] == 'Bearer realm="crosstape"'
        assert (await served.ask("/api/venues", headers=bearer("x" * 20))).error[:2] == (401, "wrong_token")
        assert (await served.ask("/api/venues", headers=bearer(""))).error[:2] == (401, "bad_authorization")
        assert (await served.ask("/api/venues", headers={"Authorization": f"Basic {ALICE}"})).error[:2] == (401, "bad_authorization")
        for name in ("token", "access_token"):
            status, code, message = (await served.ask(f"/api/venues?{name}={ALICE}")).error
            assert (status, code) == (401, "missing_token")
            assert "a token in the address is not read" in message
            assert ALICE not in message
        assert "address" not in missing.error[2]
        for path in ("/healthz", "/readyz"):
            assert (await served.ask(path)).status == 200
        for token in (ALICE, BOB):
            assert (await served.ask("/api/venues", headers=bearer(token))).status == 200
        assert (await served.ask("/metrics", headers={"Authorization": f"bearer {ALICE}"})).status == 200


async def test_the_file_of_tokens_is_read_again_while_it_serves(
    client: Redis, valkey: str, tokens_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has lost a token is out at once, and running streams are cut; others are not disturbed."""
    monkeypatch.setattr(access, "REFRESH_S", 0.02)
    async with gateway(valkey, tokens_file=tokens_file) as served, contextlib.AsyncExitStack() as stack:
        asked = [served.http.get(served.url + STREAM, headers=bearer(token)) for token in (ALICE, BOB)]
        streams = [await stack.enter_async_context(one) for one in asked]
        for stream in streams:
            assert (await stream.content.readline()).startswith(b'data: {"type":"connected"')
        written(Path(tokens_file).parent, f"bob:{BOB}\ncarol:carol-{ALICE}")

        async def is_in(token: str) -> bool:
            return (await served.ask("/api/venues", headers=bearer(token))).status == 200

        await wait_until(lambda: is_in(f"carol-{ALICE}"), what="the new token counts")
        assert not await is_in(ALICE)
        with pytest.raises(aiohttp.ClientError):
            async with asyncio.timeout(30):
                await streams[0].content.read()
        await wait_until(lambda: served.app[ACCESS].streams.total == 1, what="the place of the stream that was cut is free")
        assert streams[1].connection is not None


async def test_a_browser_signs_in_once_and_out(client: Redis, valkey: str, tokens_file: str) -> None:
    """The cookie cannot be read by scripts, goes to no other site, and is no token."""
    async with gateway(valkey, tokens_file=tokens_file) as served, aiohttp.ClientSession() as browser:
        asked = await served.ask("/api/session")
        assert asked.json == {"tokens": True, "name": None, "expires_ts": None}
        answer = await served.ask("/api/session", "POST", json={"token": ALICE})
        assert (answer.status, answer.json["name"]) == (200, "alice")
        cookie = answer.headers["Set-Cookie"]
        assert ALICE not in cookie
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"))
        assert "Secure" not in cookie
        value = cookie.partition(";")[0].partition("=")[2]
        signed_in = {"Cookie": f"{COOKIE}={value}"}
        async with browser.get(served.url + "/api/venues", headers=signed_in) as venues:
            assert venues.status == 200
        assert (await served.ask("/api/session", headers=signed_in)).json["name"] == "alice"
        async with browser.ws_connect(served.url + "/ws", headers=signed_in, origin=served.url) as socket:
            assert (await socket.receive_json())["type"] == "connected"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await browser.ws_connect(served.url + "/ws", headers=signed_in, origin="https://evil.example")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await browser.ws_connect(served.url + "/ws", origin=served.url)
        forged = {"Cookie": f"{COOKIE}={value.replace('alice', 'bob')}"}
        assert (await served.ask("/api/venues", headers=forged)).error[:2] == (401, "session_ended")
        ended = await served.ask("/api/session", "DELETE")
        assert ended.status == 204
        assert "Max-Age=0" in ended.headers["Set-Cookie"]


async def test_behind_tls_the_cookie_is_for_tls_only(client: Redis, valkey: str, tokens_file: str) -> None:
    """The browser says by its origin that it came by https."""
    async with gateway(valkey, tokens_file=tokens_file) as served:
        headers = {"Host": "desk.example", "Origin": "https://desk.example"}
        answer = await served.ask("/api/session", "POST", json={"token": ALICE}, headers=headers)

    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"token": "wrong-0123456789abcdef"}', (401, "wrong_token")),
        (b'{"token": 7}', (400, "bad_body")),
        (b"\xff", (400, "bad_body")),
        (b"", (400, "bad_body")),
        (b'{"later":' + b"[" * 2_000, (400, "bad_body")),
        (b"x" * 3_000, (413, "too_large")),
        (b"x" * 200_000, (413, "too_large")),
    ],
)
async def test_a_bad_sign_in_is_refused(client: Redis, valkey: str, tokens_file: str, body: bytes, expected: tuple[int, str]) -> None:
    """With what was expected; nothing of what came is repeated."""
    async with gateway(valkey, tokens_file=tokens_file) as served:
        answer = await served.ask("/api/session", "POST", data=body)

    assert answer.error[:2] == expected
    assert "Set-Cookie" not in answer.headers


async def test_a_body_that_is_not_what_its_headers_say_is_refused(client: Redis, valkey: str, tokens_file: str) -> None:
    """It is the client's mistake, not ours."""
    async with gateway(valkey, tokens_file=tokens_file) as served:
        answer = await served.ask("/api/session", "POST", data=b"no gzip", headers={"Content-Encoding": "gzip"})

    assert answer.error[:2] == (400, "bad_body")


async def test_a_body_without_a_length_is_bounded_too(client: Redis, valkey: str, tokens_file: str) -> None:
    """A client that sends on and on gets an answer after a bounded part."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 4_096

    async with gateway(valkey, tokens_file=tokens_file) as served:
        answer = await served.ask("/api/session", "POST", data=endless())

    assert answer.error[:2] == (413, "too_large")


async def test_without_tokens_there_is_nothing_to_sign_in_to(client: Redis, valkey: str) -> None:
    """The page asks first whether a token is needed."""
    async with gateway(valkey) as served:
        assert (await served.ask("/api/session")).json == {"tokens": False, "name": None, "expires_ts": None}
        assert (await served.ask("/api/session", "POST", json={"token": ALICE})).error[:2] == (404, "no_tokens")


async def test_without_tokens_only_known_names_of_this_machine_are_served(client: Redis, valkey: str) -> None:
    """A page of evil.example that makes its own name resolve to 127.0.0.1 sends its own name."""
    async with gateway(valkey, hosts=("desk.example",)) as served:
        for host in ("localhost", "127.0.0.1:8090", "[::1]:8090", "desk.example:8090", "Desk.Example."):
            assert (await served.ask("/api/venues", headers={"Host": host})).status == 200
        for host in ("evil.example", "localhost.evil.example", "10.0.0.1", "a b"):
            answer = await served.ask("/api/venues", headers={"Host": host})
            assert answer.error[:2] == (403, "unknown_host")
            assert "gateway.hosts" in answer.error[2]
        assert (await served.ask("/healthz", headers={"Host": "gateway"})).status == 200
    async with gateway(valkey, open_to="anywhere") as served:
        assert (await served.ask("/api/venues", headers={"Host": "10.0.0.1:8090"})).status == 200
        assert (await served.ask("/api/venues", headers={"Host": "evil.example"})).status == 403


async def test_with_tokens_the_name_does_not_matter(client: Redis, valkey: str, tokens_file: str) -> None:
    """Another page has no token, and gets no cookie."""
    async with gateway(valkey, tokens_file=tokens_file) as served:
        assert (await served.ask("/api/venues", headers={"Host": "any.example", **bearer()})).status == 200


async def test_pages_of_other_sites_may_not_read(client: Redis, valkey: str) -> None:
    """Neither rows nor streams, nor may they sign in or out; our own page may."""
    async with gateway(valkey) as served:
        for path, method in (("/api/venues", "GET"), (STREAM, "GET"), ("/ws", "GET"), ("/api/session", "POST"), ("/api/session", "DELETE")):
            for origin in ("https://evil.example", "null", "http://localhost:1"):
                answer = await served.ask(path, method, headers={"Origin": origin})
                assert answer.error[:2] == (403, "unknown_origin")
                assert "Access-Control-Allow-Origin" not in answer.headers
        own = await served.ask("/api/venues", headers={"Origin": served.url})
        assert own.status == 200


async def test_listed_origins_may_read_by_cors(client: Redis, valkey: str, tokens_file: str) -> None:
    """The browser asks first; errors can be read, too, so that the page can show them."""
    origin = "https://desk.example"
    async with gateway(valkey, tokens_file=tokens_file, allowed_origins=(origin,)) as served:
        question = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        preflight = await served.ask("/api/venues", "OPTIONS", headers=question)
        answer = await served.ask("/api/venues", headers={"Origin": origin, **bearer()})
        refused = await served.ask("/api/venues", headers={"Origin": origin})
        stranger = await served.ask("/api/venues", "OPTIONS", headers={**question, "Origin": "https://evil.example"})

    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    for one in (preflight, answer, refused):
        assert one.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in one.headers["Vary"]
    assert (answer.status, refused.status) == (200, 401)
    assert stranger.status == 403


async def test_any_origin_may_read_with_a_token_but_not_with_a_cookie(client: Redis, valkey: str, tokens_file: str) -> None:
    """A cookie is sent by the browser, whoever's page asks; a token must be known to the page."""
    headers = {"Origin": "https://any.example"}
    async with gateway(valkey, tokens_file=tokens_file, allowed_origins=("*",)) as served:
        cookie = (await served.ask("/api/session", "POST", json={"token": ALICE})).headers["Set-Cookie"].partition(";")[0]
        with_token = await served.ask("/api/venues", headers={**headers, **bearer()})
        with_cookie = await served.ask("/api/venues", headers={**headers, "Cookie": cookie})

    assert (with_token.status, with_token.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "Access-Control-Allow-Credentials" not in with_token.headers
    assert with_cookie.status == 401


async def test_options_and_head_are_answered(client: Redis, valkey: str) -> None:
    """HEAD has the headers of GET; OPTIONS says what is allowed; other methods are refused with what is."""
    async with gateway(valkey) as served:
        head = await served.ask("/api/venues", "HEAD")
        get = await served.ask("/api/venues")
        options = await served.ask("/api/session", "OPTIONS")
        posted = await served.ask("/api/venues", "POST")
        nowhere = await served.ask("/api/nothing", "OPTIONS")

    assert (head.status, head.body) == (200, b"")
    assert abs(int(head.headers["Content-Length"]) - len(get.body)) < 5
    assert (options.status, options.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, POST")
    assert posted.error[:2] == (405, "method_not_allowed")
    assert posted.headers["Allow"] == "GET,HEAD"
    assert nowhere.error[:2] == (404, "not_found")


async def test_every_answer_has_the_headers_that_guard_a_page(client: Redis, valkey: str, tokens_file: str) -> None:
    """Rows, errors, redirects to nowhere, streams."""
    async with gateway(valkey, tokens_file=tokens_file) as served:
        answers = [await served.ask(path, headers=bearer()) for path in ("/api/venues", "/nothing", "/api/trades", "/metrics", "/healthz")]
        answers.append(await served.ask("/api/venues"))
        async with served.http.get(served.url + STREAM, headers=bearer()) as stream:
            headers = [dict(stream.headers), *(answer.headers for answer in answers)]

    for one in headers:
        assert one["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert "frame-ancestors 'none'" in one["Content-Security-Policy"]
        assert one["X-Content-Type-Options"] == "nosniff"
        assert one["Referrer-Policy"] == "no-referrer"
        assert one["Server"] == "crosstape"


async def test_an_address_that_asks_too_often_is_told_to_wait(client: Redis, valkey: str) -> None:
    """Health is answered all the same: who restarts a busy gateway makes it worse."""
    async with gateway(valkey, requests_per_s=0.1) as served:
        answers = [await served.ask("/api/venues") for _ in range(3)]
        health = await served.ask("/healthz")

    assert [answer.status for answer in answers] == [200, 429, 429]
    assert answers[2].error[1] == "too_many_requests"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 10
    assert health.status == 200


@pytest.mark.parametrize(("clients", "per_address"), [(2, 9), (9, 2)])
async def test_streams_are_limited(client: Redis, valkey: str, clients: int, per_address: int) -> None:
    """In all and of one address."""
    async with gateway(valkey, clients=clients, clients_per_address=per_address) as served, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(served.http.get(served.url + STREAM))
        third = await served.ask(STREAM)
        assert third.error[:2] == (429, "too_many_clients")
        assert third.headers["Retry-After"] == "5"
        assert served.app[ACCESS].streams.total == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "0.0.0.0"}, "gateway.host = '0.0.0.0': this is no loopback address"),
        ({"host": "::"}, "set gateway.tokens_file, or gateway.open_to"),
        ({"host": "desk.example"}, "this is no loopback address"),
        ({"host": ""}, "this is no loopback address"),
        ({"allowed_origins": ("*",)}, "gateway.allowed_origins has '*'"),
        ({"allowed_origins": ("desk.example",)}, "gateway.allowed_origins: 'desk.example': expected an origin"),
        ({"hosts": ("http://desk.example",)}, "gateway.hosts: 'http://desk.example': expected the name of a host"),
    ],
)
def test_settings_that_open_the_gateway_by_mistake_stop_the_start(settings: dict[str, Any], message: str) -> None:
    """The error says what to set."""
    with pytest.raises(SettingsError) as caught:
        check_access(GatewaySettings(**settings))

    assert message in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "0.0.0.0", "open_to": "anywhere"},
        {"host": "0.0.0.0", "tokens_file": "any"},
        {"allowed_origins": ("*", "https://desk.example"), "tokens_file": "any"},
        {"hosts": ("desk.example", "gateway", "10.0.0.1")},
    ],
)
def test_settings_that_say_who_may_read_are_good(settings: dict[str, Any]) -> None:
    """Off loopback it takes tokens, or a clear word."""
    check_access(GatewaySettings(**settings))


async def test_a_gateway_that_would_be_open_to_others_does_not_start() -> None:
    """Before it listens anywhere, and whether or not the bus is there."""
    settings = Settings(bus=fast("redis://127.0.0.1:1"), gateway=GatewaySettings(host="0.0.0.0", port=0))
    with pytest.raises(SettingsError, match="no loopback address"):
        await run(settings)
