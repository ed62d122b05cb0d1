"""A token is nowhere but in the request that has it: not in logs, errors, reprs, metrics."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from urllib.parse import urlsplit

import prometheus_client
import pytest
import structlog
from aiohttp import web
from redis.asyncio import Redis

from crosstape.errors import SettingsError
from crosstape.settings import GatewaySettings
from crosstape_gateway.access.access import ACCESS
from crosstape_gateway.access.sessions import COOKIE
from crosstape_gateway.access.tokens import Tokens
from tests.gateway.access.test_tokens import written
from tests.gateway.rest.served import Served, serving

CANARY = "canary-c0ffee-0123456789"


class Deep(Exception):
    """An error that repeats what it was given."""


async def fail(request: web.Request) -> web.StreamResponse:
    """A handler with a bug, whose error says what the request had."""
    raise Deep(f"cannot use {request.headers['Authorization']} of {request.url}")


async def fail_late(request: web.Request) -> web.StreamResponse:
    """The same after the answer has begun."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"begun")
    raise Deep(f"cannot use {request.headers['Authorization']}")


async def raw(served: Served, *lines: bytes) -> bytes:
    """Sends lines that no client library would, and returns what comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection(urlsplit(served.url).hostname, urlsplit(served.url).port)
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_token_is_in_no_log_error_repr_or_metric(
    client: Redis, valkey: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Through every way to fail, with everything logged that can be logged."""
    caplog.set_level(logging.DEBUG)
    for name in ("asyncio", "aiohttp.server", "aiohttp.web", "aiohttp.client"):
        caplog.set_level(logging.DEBUG, name)
    header = {"Authorization": f"Bearer {CANARY}"}
    answers: list[bytes] = []
    with structlog.testing.capture_logs() as logs:
        settings = GatewaySettings(port=0, tokens_file=written(tmp_path, f"alice:{CANARY}"))
        failing = [web.get("/api/fails", fail), web.get("/api/late", fail_late)]
        async with serving(valkey, settings, routes=failing) as served:
            access = served.app[ACCESS]
            assert access.tokens is not None
            seen = [repr(one) for one in (access, access.tokens, access.tokens.readers, vars(access), vars(access.tokens), settings)]
            for path, headers in (
                ("/api/fails", header),
                ("/api/trades?limit=x", header),
                ("/api/nothing", header),
                ("/api/venues", {"Authorization": f"Basic {CANARY}"}),
                ("/api/venues", {"Authorization": f"Bearer {CANARY}x"}),
                ("/api/venues", {"Authorization": f"Bearer {CANARY} {CANARY}"}),
                ("/api/venues", {"Cookie": f"{COOKIE}={CANARY}"}),
                ("/api/venues", {**header, "Origin": "https://evil.example"}),
            ):
                answer = await served.ask(path, headers=headers)
                assert answer.status >= 400
                answers += [answer.body, repr(answer.headers).encode()]
            for body in (f'{{"token": "{CANARY}"', f'{{"token": ["{CANARY}"]}}', f'{{"token": "{CANARY}x"}}', CANARY):
                answers.append((await served.ask("/api/session", "POST", data=body.encode())).body)
            signed_in = await served.ask("/api/session", "POST", json={"token": CANARY})
            answers += [signed_in.body, repr(signed_in.headers).encode()]
            with pytest.raises(Exception, match="payload"):
                await served.ask("/api/late", headers=header)
            for line in (b"\x00", b"\x01 \r\n", b"a\r\n bad", b"(" * 9_000):
                await raw(served, b"GET /api/venues HTTP/1.1", b"Host: localhost", b"Authorization: Bearer " + CANARY.encode() + line)
            await raw(served, b"GET /api/venues HTTP/1.1", b"Host: localhost", b"Authorization " + CANARY.encode())
            await raw(served, CANARY.encode() + b" /api/venues HTTP/1.1", b"Host: localhost")
            await raw(served, b"GET /api/venues?" + CANARY.encode() + b" HTTP/9.x", b"Host: localhost")
            written(tmp_path, f"alice {CANARY}")
            access.tokens.refresh()
            with pytest.raises(SettingsError) as caught:
                Tokens(settings.tokens_file)
            seen.append(str(caught.value))

    logged = caplog.text + str(logs)
    assert "gateway.request_failed" in logged
    assert "gateway.tokens_not_read" in logged
    assert "Error handling request" in logged
    assert CANARY not in logged
    assert CANARY not in "".join(seen)
    assert CANARY.encode() not in b"".join(answers)
    assert CANARY.encode() not in prometheus_client.generate_latest()


async def test_an_unexpected_error_is_logged_and_answered_without_details(client: Redis, valkey: str) -> None:
    """The log says where it happened; the client only that it did."""
    with structlog.testing.capture_logs() as logs:
        async with serving(valkey, routes=[web.get("/api/fails", fail)]) as served:
            answer = await served.ask("/api/fails", headers={"Authorization": "any"})

    assert answer.error == (500, "internal_error", "the gateway failed; its log says where")
    (event,) = [event for event in logs if event["event"] == "gateway.request_failed"]
    assert 'path="/api/fails"' in prometheus_client.generate_latest().decode()
    assert (event["path"], event["error"]) == ("/api/fails", "Deep")
    assert "test_secrecy.py:" in event["where"]
