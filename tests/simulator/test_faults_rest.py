"""Faults of REST, seen by a plain HTTP client or a bare socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from crosstape_simulator.errors import FaultError
from crosstape_simulator.faults import parse
from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import still
from tests.simulator.wire import BINANCE, books, hung_up, rig
from tests.waiting import wait_until

PATHS = {"binance": "/api/v3/exchangeInfo", "coinbase": "/products", "kraken": "/0/public/AssetPairs"}
every_venue = pytest.mark.parametrize("venue", PATHS)
BUSY: dict[str, Any] = {
    "binance": {"code": -1003, "msg": "Too much request weight used; please use WebSocket Streams instead."},
    "coinbase": {"message": "Public rate limit exceeded"},
    "kraken": {"error": ["EGeneral:Too many requests"]},
}


@asynccontextmanager
async def faulty(venue: str, text: str) -> AsyncIterator[tuple[Simulator, str, aiohttp.ClientSession]]:
    """A simulator with a fault, the address of an answer that all venues have, and a client."""
    async with simulator(still(venues=(venue,))) as made, aiohttp.ClientSession() as http:
        made.faults.add(parse.from_text(f"{text} venue={venue}"))
        yield made, f"http://{made.servers[venue].base}{PATHS[venue]}", http


@every_venue
async def test_too_many_requests(venue: str) -> None:
    """429, the venue's own words, and how long to wait; after so many as were asked for the answer is right again."""
    async with faulty(venue, "rest-status status=429 retry_after=7 count=1") as (_, url, http):
        async with http.get(url) as answer:
            assert (answer.status, answer.headers["Retry-After"], await answer.json()) == (429, "7", BUSY[venue])
        async with http.get(url) as answer:
            assert answer.status == 200


async def test_only_venues_that_do_so_ban_with_418() -> None:
    """The others say that they do not, and which do."""
    async with faulty("binance", "rest-status status=418 retry_after=120") as (_, url, http), http.get(url) as answer:
        assert (answer.status, answer.headers["Retry-After"], (await answer.json())["code"]) == (418, "120", -1003)
    async with simulator(still()) as made:
        for venue in ("coinbase", "kraken"):
            with pytest.raises(FaultError, match=f"rest-status: {venue.capitalize()} does not answer 418; these do: Binance, "):
                made.faults.add(parse.from_text(f"rest-status status=418 venue={venue}"))
        assert made.faults.add(parse.from_text("rest-status status=418")).venues == ("binance",)


@every_venue
@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_that_fails(venue: str, status: int) -> None:
    """Only on the path that was asked for; only 503 says when to come again."""
    async with faulty(venue, f"rest-status status={status} path={PATHS[venue]}") as (made, url, http):
        async with http.get(url) as answer:
            assert (answer.status, "Retry-After" in answer.headers) == (status, status == 503)
            json.loads(await answer.text())
        time_of = {"binance": "/api/v3/time", "coinbase": "/time", "kraken": "/0/public/Time"}[venue]
        async with http.get(f"http://{made.servers[venue].base}{time_of}") as answer:
            assert answer.status == 200


@every_venue
async def test_a_request_that_is_not_answered(venue: str) -> None:
    """Not a byte while the fault lasts; then the connection is cut."""
    async with faulty(venue, "rest-hang") as (made, url, http):
        with pytest.raises(TimeoutError):
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=1.0)):
                pass
        reader, writer = await asyncio.open_connection(*made.servers[venue].base.split(":"))
        writer.write(f"GET {PATHS[venue]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        (running,) = made.faults.listed()
        await wait_until(lambda: running.acted == 2, what="both have asked")
        made.faults.remove(running.id)
        with contextlib.suppress(ConnectionResetError):  # by reset or not, it is cut
            assert await asyncio.wait_for(reader.read(), 20) == b""
        await hung_up(writer)


@every_venue
async def test_an_answer_that_ends_in_the_middle(venue: str) -> None:
    """Its head promises the whole; half of it comes, then the end of the connection."""
    async with faulty(venue, "rest-truncate") as (made, url, http):
        async with http.get(url) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        reader, writer = await asyncio.open_connection(*made.servers[venue].base.split(":"))
        writer.write(f"GET {PATHS[venue]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        await hung_up(writer)
        promised = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert len(body) == promised // 2


PAST = {
    "binance": (
        "/api/v3/trades?symbol=BTCUSDT",
        "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=1",
        "/api/v3/ticker/bookTicker?symbol=BTCUSDT",
    ),
    "coinbase": ("/products/BTC-USDT/trades", "/products/BTC-USDT/book?level=1"),
    "kraken": ("/0/public/Trades?pair=XBTUSDT", "/0/public/Depth?pair=XBTUSDT&count=1"),
}


@pytest.mark.parametrize(("venue", "path"), [(venue, path) for venue, paths in PAST.items() for path in paths])
async def test_past_trades_and_quotes_fail_as_all_else_does(venue: str, path: str) -> None:
    """Refused, not answered, or cut in the middle, each once; then the answer is right."""
    async with simulator(still(venues=(venue,))) as made, aiohttp.ClientSession() as http:
        url = f"http://{made.servers[venue].base}{path}"

        def fail(text: str) -> int:
            return made.faults.add(parse.from_text(f"{text} venue={venue} path={path.partition('?')[0]}")).id

        async def status() -> tuple[int, bool]:
            async with http.get(url) as answer:
                return answer.status, "Retry-After" in answer.headers

        fail("rest-status status=429 count=1")
        assert await status() == (429, True)
        if venue == "binance":
            fail("rest-status status=418 count=1")
            assert await status() == (418, True)
        fail("rest-status status=500 count=1")
        assert await status() == (500, False)
        fail("rest-truncate count=1")
        async with http.get(url) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        hang = fail("rest-hang")
        with pytest.raises(TimeoutError):
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=0.5)):
                pass
        made.faults.remove(hang)
        async with http.get(url) as answer:
            assert json.loads(await answer.text())


async def test_a_snapshot_can_be_older_than_the_stream() -> None:
    """As it was when the fault began, with as many levels as are asked for; afterwards it is of now."""
    async with rig(BINANCE) as one, aiohttp.ClientSession() as http:
        url = f"http://{one.made.servers['binance'].base}/api/v3/depth?symbol=BTCUSDT&limit=5"
        running = one.set("rest-old instrument=BTC-USDT")
        await one.subscribe()
        seen = await one.flow()
        first = json.loads(seen[books(seen, BINANCE, BINANCE.btc)[0]])["data"]["U"]
        for _ in range(4):
            async with http.get(url) as answer:
                depth = await answer.json()
            assert (depth["lastUpdateId"], len(depth["bids"]), len(depth["asks"])) == (first - 1, 5, 5)
        await one.flow()
        async with http.get(url) as answer:
            assert (await answer.json())["lastUpdateId"] == first - 1
        async with http.get(url.replace("BTC", "ETH")) as answer:
            await answer.read()
        assert running.acted == 5
        one.made.faults.remove(running.id)
        async with http.get(url) as answer:
            assert (await answer.json())["lastUpdateId"] > first


@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
async def test_where_snapshots_come_on_the_stream_none_is_old(venue: str) -> None:
    """It is refused."""
    async with simulator(still()) as made:
        with pytest.raises(FaultError, match="sends snapshots on the stream"):
            made.faults.add(parse.from_text(f"rest-old venue={venue}"))


REFUSED: list[tuple[str, int, Any]] = [
    ("binance", 403, {"code": 0, "msg": "The request was blocked."}),
    ("binance", 451, {"code": 0, "msg": "Service unavailable from a restricted location."}),
    ("coinbase", 403, {"message": "Forbidden"}),
    ("coinbase", 451, {"message": "Not available in your jurisdiction"}),
    ("kraken", 200, {"error": ["EAPI:Rate limit exceeded"]}),
    ("kraken", 403, {"error": ["EGeneral:Permission denied"]}),
    ("kraken", 451, {"error": ["EGeneral:Not available in your jurisdiction"]}),
]


@pytest.mark.parametrize(("venue", "status", "body"), REFUSED)
async def test_a_refusal_has_its_reason(venue: str, status: int, body: Any) -> None:
    """In the venue's form, with its words or with those that were asked for."""
    async with faulty(venue, f"rest-status status={status} count=1") as (made, url, http):
        async with http.get(url) as answer:
            assert (answer.status, "Retry-After" in answer.headers, await answer.json()) == (status, False, body)
        made.faults.add(parse.from_text(f"rest-status status={status} venue={venue} 'reason=not from here'"))
        async with http.get(url) as answer:
            said = await answer.json()
            assert (answer.status, said.keys()) == (status, body.keys())
            assert "not from here" in (said.get("msg"), said.get("message"), *said.get("error", ()))


@every_venue
async def test_a_refusal_can_be_a_page_or_nothing(venue: str) -> None:
    """As of a proxy before the venue."""
    async with faulty(venue, "rest-status status=403 body=html reason=blocked count=1") as (made, url, http):
        async with http.get(url) as answer:
            assert (answer.status, await answer.text()) == (
                403,
                "<html><head><title>403</title></head><body><h1>blocked</h1></body></html>",
            )
        made.faults.add(parse.from_text(f"rest-status status=502 body=empty venue={venue}"))
        async with http.get(url) as answer:
            assert (answer.status, await answer.read()) == (502, b"")


async def test_only_venues_that_do_so_refuse_with_200() -> None:
    """The others say that they do not, and which do."""
    async with simulator(still()) as made:
        with pytest.raises(FaultError, match=r"rest-status: Binance does not answer errors with 200; these do: .*Kraken"):
            made.faults.add(parse.from_text("rest-status status=200 venue=binance"))
        assert made.faults.add(parse.from_text("rest-status status=200")).venues == ("kraken",)


@pytest.mark.parametrize("by", [-90, 30, 7200])
@every_venue
async def test_a_wrong_clock_is_wrong_by_rest_too(venue: str, by: int) -> None:
    """Times of trades and of the venue itself; what Kraken is asked `since` is by its own clock."""
    path = PAST[venue][0]
    async with simulator(still(venues=(venue,))) as made, aiohttp.ClientSession() as http:
        base = f"http://{made.servers[venue].base}"

        async def rows(query: str = "") -> list[Any]:
            async with http.get(base + path + query) as answer:
                body = await answer.json()
                return list(next(iter(body["result"].values()))) if venue == "kraken" else list(body)

        def at(row: Any) -> float:
            match venue:
                case "binance":
                    return float(row["time"]) / 1e3
                case "coinbase":
                    return datetime.fromisoformat(row["time"]).timestamp()
                case _:
                    return float(row[2])

        usual = await rows()
        made.faults.add(parse.from_text(f"skew venue={venue} by={by}"))
        shifted = await rows()

        assert [round(at(row) - at(before), 3) for row, before in zip(shifted, usual, strict=True)] == [by] * len(usual)
        if venue == "kraken":
            since = f"&since={int((at(shifted[10]) - 0.01) * 1e9)}"
            assert await rows(since) == shifted[10:]
        time_of = {"binance": "/api/v3/time", "coinbase": "/time", "kraken": "/0/public/SystemStatus"}[venue]
        async with http.get(base + time_of) as answer:
            said = await answer.json()
            now = said["serverTime"] / 1e3 if venue == "binance" else said["iso"] if venue == "coinbase" else said["result"]["timestamp"]
            moment = now if isinstance(now, float) else datetime.fromisoformat(now).timestamp()
            assert abs(moment - by - time.time()) < 5
