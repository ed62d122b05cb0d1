"""Requests by REST: all that can go wrong is one error; limits, and the waits that a venue asks for, are kept."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest
import zstandard
from aiohttp import web

from crosstape.bus.request_budget import RequestLimit
from crosstape_connector.capture.writer import Capture
from crosstape_connector.errors import RestFailed
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rate_limit import retry_after
from crosstape_connector.rest.client import RestClient
from crosstape_connector.venues.past import RestLimit
from crosstape_schemas import FeedState
from tests.connector.fake_venue import ID, FakeVenue, book, fake, serving
from tests.connector.rig import QUICK, rigged
from tests.waiting import wait_until

BOOKS = msgspec.structs.replace(QUICK, kinds=("book",), rest_timeout_s=0.5)


def test_retry_after_is_seconds_or_a_date() -> None:
    """Both forms of RFC 9110; anything else is ignored."""
    assert retry_after({"Retry-After": "7"}, 0.0) == 7.0
    assert retry_after({"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT"}, 1_700_000_000.0) == 10.0
    assert retry_after({"Retry-After": "Tue, 14 Nov 2023 22:13:10 GMT"}, 1_700_000_000.0) == 0.0
    assert retry_after({"Retry-After": "soon"}, 0.0) is None
    answer = {"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT", "Date": "Tue, 14 Nov 2023 22:13:25 GMT"}
    assert retry_after(answer, 1_700_000_000.0 - 7_200.0) == 5.0, "our clock is two hours behind: the server's own date counts"
    assert retry_after({**answer, "Date": "today"}, 1_700_000_000.0) == 10.0
    assert retry_after({}, 0.0) is None


@pytest.mark.parametrize("status", [418, 429, 500, 503, 403])
async def test_a_bad_status_is_a_failure(status: int) -> None:
    """Named in the error and counted by status."""
    async with serving() as server, rigged(server) as rig:
        server.answers.append(web.Response(status=status))
        with pytest.raises(RestFailed, match=f"HTTP {status}"):
            await rig.rest.get("api", "/instruments")
        assert dict(rig.counters.rest_calls) == {str(status): 1}


async def test_a_venue_that_is_asked_by_post_gets_the_body() -> None:
    """The path that sources write is what limits and captures know; on the wire there is one path, a JSON body and the venue's headers."""
    seen: list[tuple[str, str, bytes, str | None]] = []

    async def info(request: web.Request) -> web.Response:
        seen.append((request.method, request.path_qs, await request.read(), request.headers.get("X-Simulated")))
        return web.Response(body=b"[]")

    app = web.Application()
    app.router.add_post("/info", info)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    venue = fake(headers={"X-Simulated": "1"}, posted=lambda path: ("/info", msgspec.json.encode({"type": path.rpartition("/")[2]})))
    try:
        async with aiohttp.ClientSession() as http:
            client = RestClient(http, venue, {"api": f"http://{host}:{port}"}, timeout_s=5.0, capture=None, counters=Counters())
            assert (await client.get("api", "/info/meta"))[0] == b"[]"
    finally:
        await runner.cleanup()
    assert seen == [("POST", "/info", b'{"type":"meta"}', "1")]


async def test_a_hanging_answer_is_a_failure() -> None:
    """After `rest_timeout_s`."""
    async with serving() as server, rigged(server, settings=BOOKS) as rig:
        server.answers.append(None)
        with pytest.raises(RestFailed):
            await rig.rest.get("api", "/instruments")
        assert dict(rig.counters.rest_calls) == {"failed": 1}


async def test_a_truncated_answer_is_a_failure() -> None:
    """The connection ends before what `Content-Length` promised."""

    async def truncated(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(truncated, "127.0.0.1", 0) as listener, serving() as server:
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with rigged(server) as rig:
            with pytest.raises(RestFailed):
                await rig.rest.get("api", "/instruments")


async def test_an_error_in_an_answer_of_200_is_a_failure() -> None:
    """Where the venue's table has a `rest_error`."""
    venue = msgspec.structs.replace(fake(), rest_error=lambda body: "too many" if b"error" in body else None)
    async with serving() as server, rigged(server, venue) as rig:
        server.answers.append(web.json_response({"error": 1}))
        with pytest.raises(RestFailed, match="too many"):
            await rig.rest.get("api", "/instruments")
        assert (await rig.rest.get("api", "/instruments"))[0].startswith(b'{"AAAUSD"')


async def test_a_refusal_does_not_take_the_place_of_the_instruments(tmp_path: Path) -> None:
    """A capture marks it; a later file still begins with the newest list of instruments."""
    capture = Capture(tmp_path, ID, "", max_bytes=1, max_s=3600.0)
    capture.start()
    async with serving() as server, rigged(server, capture=capture) as rig:
        await rig.rest.get("api", "/instruments", instruments=True)
        server.answers.append(web.Response(status=503, body=b"later"))
        with pytest.raises(RestFailed):
            await rig.rest.get("api", "/instruments", instruments=True)
    capture.frame_in(time.time_ns(), 1, b"{}")
    capture.stop()
    first, refused, last = [
        [msgspec.json.decode(line) for line in zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines()]
        for path in sorted(tmp_path.iterdir())
    ]
    assert (refused[-1]["f"], refused[-1]["bad"]) == ("later", "refused")
    assert last[1] == {**first[1], "repeated": True}


async def test_a_wait_that_the_venue_asks_for_concerns_every_request() -> None:
    """A 429 is about this client and not about one path."""
    async with serving() as server, rigged(server) as rig:
        server.answers.append(web.Response(status=429, headers={"Retry-After": "1"}))
        with pytest.raises(RestFailed) as failed:
            await rig.rest.get("api", "/one")
        assert failed.value.retry_after_s == 1.0
        before = time.monotonic()
        await rig.rest.get("api", "/instruments")
        assert time.monotonic() - before > 0.9


@pytest.mark.parametrize(("body", "waits"), [(b"access too frequent", True), (b"not in your country", False)])
async def test_a_wait_may_stand_in_the_body_alone(body: bytes, *, waits: bool) -> None:
    """Where one status has several meanings, the venue's table says which asks us to wait, and for how long."""
    venue = msgspec.structs.replace(fake(), asked_to_wait=lambda status, text: 0.5 if status == 403 and b"frequent" in text else None)
    async with serving() as server, rigged(server, venue) as rig:
        server.answers.append(web.Response(status=403, body=body))
        with pytest.raises(RestFailed, match="HTTP 403") as failed:
            await rig.rest.get("api", "/one")
        assert failed.value.retry_after_s == (0.5 if waits else None)
        before = time.monotonic()
        await rig.rest.get("api", "/instruments")
        assert (time.monotonic() - before > 0.4) is waits


async def test_a_book_gets_its_snapshot_after_a_429(tmp_path: Path) -> None:
    """It is requested again when the venue allows; nothing else stops, and then the book is live."""
    async with serving() as server, rigged(server, fake(rest_books=True), BOOKS, ["AAAUSD"]) as rig:
        server.answers += [web.Response(status=429, headers={"Retry-After": "1"}), web.Response(body=b"nonsense"), web.Response(status=500)]
        async with rig.supervised():
            await wait_until(lambda: rig.state("AAA-USD", "book") is FeedState.LIVE, what="the book")
            await server.peer.send(book("AAAUSD", 101))
            await wait_until(lambda: rig.tape[-1].received_ts and len(server.calls) == 4, what="four calls")
        assert rig.counters.rest_calls["429"] == 1


async def test_one_broken_book_fetches_one_snapshot() -> None:
    """The other book stays live."""
    async with serving() as server, rigged(server, fake(rest_books=True), BOOKS) as rig, rig.supervised():
        await wait_until(lambda: {rig.state(name, "book") for name in ("AAA-USD", "BBB-USD")} == {FeedState.LIVE}, what="both books")
        server.snapshots = lambda symbol: book(symbol, 200, snap=True)
        await server.peer.send(book("AAAUSD", 101), book("AAAUSD", 150), book("BBBUSD", 101))
        await wait_until(lambda: rig.states("AAA-USD", "book")[-2:] == [FeedState.RECOVERING, FeedState.LIVE], what="recovered")
        assert sorted(server.calls) == ["/depth?symbol=AAAUSD"] * 2 + ["/depth?symbol=BBBUSD"]
        assert FeedState.RECOVERING not in rig.states("BBB-USD", "book")
        assert rig.counters.resyncs["rest"] == 3


class SlowRest(FakeVenue):
    """A venue whose REST answers wait for `gate`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def rest(self, http: web.Request) -> web.StreamResponse:
        """Answer as usual, once `gate` is set."""
        self.calls.append("begun")
        await self.gate.wait()
        return await super().rest(http)


async def test_a_snapshot_that_comes_after_its_connection_was_lost_makes_no_book_live() -> None:
    """No update would follow: the book stays down until there is a connection, and a snapshot for it."""
    settings = msgspec.structs.replace(BOOKS, rest_timeout_s=10.0, backoff_min_s=0.5)
    server = SlowRest()
    async with serving(server), rigged(server, fake(rest_books=True), settings, ["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: server.calls == ["begun"], what="the snapshot is asked for")
        server.peer.cut()
        await wait_until(lambda: rig.state("AAA-USD", "book") is FeedState.DOWN, what="the connection is lost")
        server.gate.set()
        await wait_until(lambda: rig.state("AAA-USD", "book") is FeedState.LIVE, what="the book")
        assert rig.states("AAA-USD", "book") == [FeedState.CONNECTING, FeedState.DOWN, FeedState.CONNECTING, FeedState.LIVE]
        assert len(server.peers) == 2


async def test_a_book_that_breaks_while_all_ends_is_no_error() -> None:
    """A session may still read a frame when the fetching of snapshots has stopped already."""
    async with serving() as server, rigged(server, fake(rest_books=True), BOOKS, ["AAAUSD"]) as rig, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(rig.supervisor.run())
        fetching = tasks.create_task(rig.snapshots.run())
        await wait_until(lambda: rig.state("AAA-USD", "book") is FeedState.LIVE, what="the book")
        fetching.cancel()
        await asyncio.wait([fetching])
        await server.peer.send(book("AAAUSD", 101), book("AAAUSD", 150))
        await wait_until(lambda: rig.state("AAA-USD", "book") is FeedState.RECOVERING, what="the break")
        await wait_until(lambda: rig.snapshots.queued, what="the request is queued")
        reading.cancel()


class Sharing:
    """Other processes of our address, as `Spender` shows them."""

    def __init__(self, held_s: float = 0.0) -> None:
        self.held_s = held_s
        self.spent: list[tuple[str, int]] = []
        self.holds: list[tuple[str, float]] = []

    async def spend(self, limit: RequestLimit, weight: int) -> float:
        """Count it."""
        self.spent.append((limit.name, weight))
        return self.held_s

    async def hold(self, limit: RequestLimit, seconds: float) -> None:
        """Remember it."""
        self.holds.append((limit.name, seconds))


LIMITS = (
    RestLimit(name="books", capacity=10, window_s=1.0, prefix="/book", weights={"/book": 5}),
    RestLimit(name="rest", capacity=100, window_s=60.0),
)


async def test_other_processes_know_what_is_requested_and_when_to_wait() -> None:
    """Each request counts in one limit, with its weight; a 429 is passed on, and their holds are ours."""
    venue = msgspec.structs.replace(fake(), rest_limits=LIMITS)
    async with serving() as server, aiohttp.ClientSession() as http:
        refusing = Sharing()
        rest = RestClient(http, venue, {"api": server.url}, timeout_s=5.0, capture=None, counters=Counters(), spender=refusing)
        server.answers.append(web.Response(status=429, headers={"Retry-After": "7"}))
        with pytest.raises(RestFailed) as failed:
            await rest.get("api", "/book?symbol=X")
        assert (failed.value.status, failed.value.retry_after_s) == (429, 7.0)
        assert refusing.spent == [("books", 5)]
        assert refusing.holds == [("books", 7.0)]

        holding = Sharing(held_s=0.3)
        rest = RestClient(http, venue, {"api": server.url}, timeout_s=5.0, capture=None, counters=Counters(), spender=holding)
        began = time.monotonic()
        await rest.get("api", "/instruments")
        assert time.monotonic() - began >= 0.3
        assert holding.spent == [("rest", 1)]
