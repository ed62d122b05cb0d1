"""A venue that grants each connection by REST, and one that greets: what is asked, when, and what stays secret."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from crosstape_connector.capture.reader import CaptureFile
from crosstape_connector.capture.writer import Capture
from crosstape_connector.errors import ConnectFailed, ConnectionLost
from crosstape_connector.venues.spec import Endpoint
from crosstape_schemas import FeedState, Status, Trade
from tests.connector.fake_venue import GRANT, FakeVenue, endpoint, fake, serving, trade
from tests.connector.rig import QUICK, rigged, running
from tests.waiting import wait_until

SECRET = "s3cret"


def granted(**options: Any) -> Endpoint:
    """An endpoint that wants a grant."""
    return endpoint("granted", grant=GRANT, **options)


def ping(number: int) -> bytes:
    """Our ping."""
    return b'{"op":"ping","id":%d}' % number


async def test_each_connection_has_a_grant_of_its_own() -> None:
    """The token is quoted in the URL, beside an id that no other connection has; it is never used twice."""
    async with serving() as server, rigged(server, fake(granted()), symbols=["AAAUSD"]) as rig, rig.supervised():
        for number in (1, 2, 3):
            await wait_until(lambda number=number: len(server.peers) == number and server.peer.requests, what="connected")  # type: ignore[misc]
            await server.peer.send(trade("AAAUSD", number))
            await wait_until(lambda number=number: len(rig.of(Trade)) == number, what="a trade")  # type: ignore[misc]
            server.peer.cut()
        assert [peer.query["token"] for peer in server.peers[:3]] == server.tokens[:3]
        assert len({peer.query["connectId"] for peer in server.peers}) == len(server.peers)
        assert server.calls.count("/grant") == len(server.tokens)


async def test_an_address_of_the_settings_replaces_the_granted_one() -> None:
    """The token still goes along."""
    async with serving() as server, rigged(server, fake(endpoint("moved", grant=GRANT)), symbols=["AAAUSD"], moved=True) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
        assert server.peer.path == "/ws/moved"
        assert server.peer.query["token"] == server.tokens[0]


REFUSALS = {
    "an error": (web.json_response({"code": 400003, "msg": "KC-API-KEY not exists"}, status=400), "HTTP 400: 400003 KC-API-KEY not exists"),
    "no JSON": (web.Response(text="s3cret"), "/grant: an answer that cannot be read (malformed)"),
    "another shape": (web.json_response({"token": 5, "url": SECRET}), "/grant: an answer that cannot be read (schema)"),
}


@pytest.mark.parametrize("what", REFUSALS)
async def test_a_grant_that_is_refused_is_a_failed_connect(what: str) -> None:
    """With the venue's text, but without what may be a token; nothing is connected."""
    async with serving() as server, rigged(server, fake(granted()), symbols=["AAAUSD"]) as rig:
        answer, said = REFUSALS[what]
        server.grants.append(web.Response(status=answer.status, body=answer.body, content_type=answer.content_type))
        with pytest.raises(ConnectFailed) as failed:
            await rig.session().run()
        assert str(failed.value).endswith(said)
        assert SECRET not in str(failed.value)
        assert server.peers == []
        assert rig.counters.endpoints["granted"].connects == 1


async def test_a_grant_that_does_not_come_is_given_up() -> None:
    """After `rest_timeout_s`."""
    settings = msgspec.structs.replace(QUICK, rest_timeout_s=0.1)
    async with serving() as server, rigged(server, fake(granted()), settings, ["AAAUSD"]) as rig:
        server.grants.append(None)
        with pytest.raises(ConnectFailed, match="/grant: "):
            await rig.session().run()


async def test_a_wait_that_the_venue_asks_for_is_respected() -> None:
    """`Retry-After` of the refused grant."""
    async with serving() as server, rigged(server, fake(granted())) as rig:
        server.grants.append(web.Response(status=429, headers={"Retry-After": "1"}))
        before = time.monotonic()
        async with rig.supervised():
            await wait_until(lambda: server.peers, what="a connection")
        assert time.monotonic() - before > 0.9
        assert server.calls.count("/grant") == 2


async def test_a_token_that_the_handshake_refuses_is_replaced() -> None:
    """The next attempt has a fresh one. Neither is in a log, a status, an error or the capture, though the venue quotes it."""
    async with serving() as server, rigged(server, fake(granted()), symbols=["AAAUSD"]) as rig:
        server.on_grant = server.unused.clear
        with capture_logs() as logs:
            async with rig.supervised():
                await wait_until(lambda: len(server.tokens) == 3, what="three attempts")
                server.on_grant = lambda: None
                await wait_until(lambda: server.peers, what="a connection")
        lost = [log["reason"] for log in logs if log["event"] == "session.lost"]
        assert lost[0] == "HTTP 401: 401 token … is expired"
        assert len(lost) == len(server.tokens) - 1
        assert SECRET not in repr(logs)


async def test_the_token_is_nowhere(tmp_path: Path) -> None:
    """Not if the venue quotes it in a frame that we cannot read, in an error, or in its close frame."""
    capture = Capture(tmp_path, "fake", "", max_bytes=1 << 30, max_s=3600.0)
    capture.start()
    with capture_logs() as logs:
        async with serving() as server, rigged(server, fake(granted()), symbols=["AAAUSD"], capture=capture) as rig:
            session = rig.session()
            async with running(session) as task:
                await wait_until(session.settled.done, what="subscribed")
                token = server.tokens[0]
                said = [json.dumps({"error": f"bad token {token}"}), json.dumps({"ch": f"weather {token}"}), token]
                await server.peer.send(*(text.encode() for text in said), trade("AAAUSD", 1))
                await wait_until(lambda: rig.of(Trade), what="all was read")
                await server.peer.socket.close(code=1008, message=f"token {token} is expired".encode())
                with pytest.raises(ConnectionLost, match="closed by the venue: 1008 token … is expired"):
                    await task
    capture.stop()
    (file,) = tmp_path.iterdir()
    written = b"\n".join(CaptureFile(file))
    assert b"is expired" in written
    assert b"/ws/granted" in written
    assert {log["event"] for log in logs} >= {"session.open", "frame.bad", "session.complaint"}
    reasons = [event.reason for event in rig.of(Status)]
    assert "closed by the venue: 1008 token … is expired" in reasons
    for text in (written.decode(), repr(logs), repr(rig.tape), repr(rig.counters.__dict__)):
        assert SECRET not in text


async def test_a_grant_says_how_often_to_ping() -> None:
    """Instead of the table."""
    async with serving() as server, rigged(server, fake(granted(ping=ping, ping_s=3600.0))) as rig:
        server.ping_s = 0.05
        async with running(rig.session()):
            await wait_until(lambda: server.peers and pings(server) >= 2, what="two pings")


def pings(server: FakeVenue) -> int:
    """Count the pings that came on the newest connection."""
    return sum(one.get("op") == "ping" for one in server.peer.requests)


GREETS = endpoint(greets=True, greeting=(b'{"op": "hello"}',), ping=ping, ping_s=0.02)


async def test_nothing_is_sent_before_the_welcome() -> None:
    """No request, no greeting, no ping. After it, all of them."""
    async with serving() as server, rigged(server, fake(GREETS), symbols=["AAAUSD"]) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(lambda: server.peers and session.open, what="a connection")
            await server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: rig.of(Trade), what="it is read meanwhile")
            watch = time.monotonic() + 0.6  # pings are due twice in that time
            await wait_until(lambda: time.monotonic() > watch, what="the time of two checks")
            assert server.peer.requests == []
            await server.peer.send(b'{"welcome": 0}')
            await wait_until(session.settled.done, what="subscribed")
            await wait_until(lambda: pings(server), what="a ping")
        assert server.peer.requests[0] == {"op": "hello"}


async def test_a_welcome_says_how_often_to_ping() -> None:
    """Instead of the table and the grant."""
    slow = granted(greets=True, ping=ping, ping_s=3600.0)
    async with serving() as server, rigged(server, fake(slow)) as rig:
        server.welcome, server.ping_s = b'{"welcome": 0.05}', 3600.0
        async with running(rig.session()):
            await wait_until(lambda: server.peers and pings(server) >= 2, what="two pings")


@pytest.mark.parametrize(
    ("sends", "reason"),
    [
        ((), r"no welcome within 0\.2 s"),
        ((trade("AAAUSD", 1),), r"no welcome within 0\.2 s"),
        ((b'{"error": "401 token is expired"}',), "refused before a welcome: 401 token is expired"),
    ],
)
async def test_a_connection_without_a_welcome_is_lost(sends: Sequence[bytes], reason: str) -> None:
    """Within `connect_timeout_s`, or at once if the venue refuses."""
    settings = msgspec.structs.replace(QUICK, connect_timeout_s=0.2)
    async with serving() as server, rigged(server, fake(GREETS), settings, ["AAAUSD"]) as rig:
        async with running(rig.session()) as task:
            await wait_until(lambda: server.peers, what="a connection")
            await server.peer.send(*sends)
            with pytest.raises(ConnectionLost, match=reason):
                await task
        assert server.peer.requests == []


async def test_a_token_that_an_error_frame_refuses_is_replaced() -> None:
    """With growing waits; then the connection is as any other."""
    async with serving() as server, rigged(server, fake(granted(greets=True)), symbols=["AAAUSD"]) as rig:
        server.welcome = b'{"error": "401 token is expired"}'
        with capture_logs() as logs:
            async with rig.supervised():
                await wait_until(lambda: len(server.peers) == 3, what="three attempts")
                server.welcome = b'{"welcome": 0}'
                await wait_until(lambda: server.peer.requests, what="subscribed")
                assert rig.state("AAA-USD", "trade") is not FeedState.DOWN
        tokens = [peer.query["token"] for peer in server.peers]
        assert len(set(tokens)) == len(tokens)
        assert "refused before a welcome: 401 token is expired" in {log["reason"] for log in logs if log["event"] == "session.lost"}


async def test_replacing_a_connection_needs_a_grant_too() -> None:
    """The next connection takes over when the venue has welcomed it. No trade is lost."""
    async with serving() as server, rigged(server, fake(granted(greets=True)), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.welcome = b'{"welcome": 0}'
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        old = server.peer
        await old.send(trade("AAAUSD", 1), b'{"bye": "maintenance"}')
        await wait_until(lambda: old.close_code is not None, what="handed over")
        await server.peer.send(trade("AAAUSD", 2))
        await wait_until(lambda: len(rig.of(Trade)) == 2, what="the next trade")
        assert len(server.tokens) == 2
        assert FeedState.DOWN not in rig.states("AAA-USD", "trade")


async def test_answers_to_the_venues_pings_count_in_the_rate_limit() -> None:
    """Two messages a second: after a `Reply`, the next request waits."""
    slow = endpoint(requests_per_s=2.0)
    both = msgspec.structs.replace(QUICK, kinds=("trade", "quote"))
    async with serving() as server, rigged(server, fake(slow), both, ["AAAUSD"]) as rig:
        server.welcome = b'{"ping": 1}'
        began = time.monotonic()
        async with running(rig.session()):
            await wait_until(lambda: server.peers and len(server.peer.requests) == 3, what="a pong and two requests")
        assert {"pong": 1} in server.peer.requests
        assert time.monotonic() - began >= 0.95
