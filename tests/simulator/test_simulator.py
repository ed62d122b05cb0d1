"""The simulator as a whole: its addresses, its clock, its controls."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.server.connection import encode_frame
from crosstape_simulator.service import run, simulator
from crosstape_simulator.spec import VENUES, SimulatorSpec
from tests.simulator.client import START_TS, Client, connect, get, still, venue, ws
from tests.waiting import wait_until

TRADES = "?streams=btcusdt@trade/ethusdt@trade/btcusdt@bookTicker/ethusdt@depth@100ms"


async def test_it_says_where_everything_is() -> None:
    """As JSON: an address for each venue, or a table by endpoint where they differ, which all answer."""
    async with simulator(still()) as made:
        venues = json.loads(made.announce())["venues"]
        assert list(venues) == list(VENUES)
        assert set(venues["coinbase"]["ws_url"]) == {"advanced", "exchange"}
        assert isinstance(venues["coinbase"]["rest_url"], str)  # its REST is one address for both
        for url in (venues["binance"]["ws_url"], venues["kraken"]["ws_url"], *venues["coinbase"]["ws_url"].values()):
            async with connect(url):
                pass
        assert made.counters("coinbase").connects == 2


async def test_the_same_seed_sends_the_same_frames() -> None:
    """Byte for byte, however the time was cut; another seed sends others."""
    seen: list[list[str]] = []
    for seed, steps in ((7, 1), (7, 25), (8, 1)):
        async with venue("binance", TRADES, seed=seed) as (made, client):
            await wait_until(lambda made=made: made.counters("binance").clients == 1, what="the client is known")  # type: ignore[misc]
            for _ in range(steps):
                made.advance(10.0 / steps)
            seen.append([await client.text() for _ in range(100)])
    assert seen[0] == seen[1] != seen[2]


async def test_time_passes_by_itself_unless_it_is_stopped() -> None:
    """Paused, nothing moves but the hand that advances it; resumed, it goes on from there."""
    async with simulator(SimulatorSpec(venues=("kraken",), start_ts=START_TS, rate=500.0)) as made:
        assert made.market is not None
        market = made.market
        await wait_until(lambda: market.moves > 20, what="the market moves")
        made.pause()
        moves, now = market.moves, market.now
        market.tick()
        assert (market.moves, market.now) == (moves, now)
        made.advance(1.0)
        assert market.now == now + 10**9
        moves = market.moves
        made.resume()
        await wait_until(lambda: market.moves > moves, what="it moves again")
        assert START_TS < market.now < START_TS + 60 * 10**9


async def test_connections_can_be_dropped() -> None:
    """Without a word, or with a close code; new ones are let in."""
    async with simulator(still(venues=("kraken",))) as made:
        for code, seen in ((None, 1006), (1012, 1012)):
            async with connect(ws(made, "kraken")) as one, connect(ws(made, "kraken")) as other:
                await one.read()
                await other.read()
                assert made.drop_connections("kraken", code) == 2
                assert (await one.closed(), await other.closed()) == (seen, seen)
        await wait_until(lambda: made.counters("kraken").clients == 0, what="all are gone")
        assert made.counters("kraken").connects == 4


async def test_a_connection_can_be_limited_to_some_frames() -> None:
    """It ends after exactly so many, without a close frame; the limit can be lifted."""
    async with simulator(still(venues=("binance",))) as made:
        made.limit_frames("binance", 5)
        async with connect(ws(made, "binance") + TRADES) as client:
            await wait_until(lambda: made.counters("binance").clients == 1, what="the client is known")
            made.advance(10.0)
            for _ in range(5):
                await client.text()
            assert await client.closed() == 1006
        made.limit_frames("binance", None)
        async with connect(ws(made, "binance") + TRADES) as client:
            await wait_until(lambda: made.counters("binance").connects == 2, what="the client is known")
            made.advance(10.0)
            for _ in range(50):
                await client.text()


async def test_a_client_that_does_not_read_is_cut() -> None:
    """Beyond the bound of its buffer, as venues do, and it is counted."""
    async with simulator(still(venues=("kraken",), buffer_bytes=100_000, rate=2_000.0)) as made:
        reader, writer = await asyncio.open_connection(*made.servers["kraken"].base.split(":"))
        upgrade = "GET /v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(f"{upgrade}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        request = b'{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":100}}'
        masked = bytearray(encode_frame(request))
        masked[1] |= 0x80
        writer.write(bytes(masked[:2]) + bytes(4) + bytes(masked[2:]))  # a mask of zeros
        await wait_until(lambda: made.counters("kraken").messages == 1, what="the request has arrived")
        while not made.counters("kraken").slow:
            made.advance(20.0)
            assert made.counters("kraken").frames < 1_000_000
        writer.close()
        await wait_until(lambda: made.counters("kraken").clients == 0, what="it is gone")


async def test_requests_and_frames_are_counted() -> None:
    """What the server has done can be asked."""
    async with venue("kraken") as (made, client):
        await client.read()
        await client.send({"method": "ping"})
        await client.read()
        await get(made, "kraken", "/0/public/Time")
        counters = made.counters("kraken")
        assert (counters.clients, counters.frames, counters.messages, counters.requests) == (1, 2, 1, 1)


async def test_other_paths_are_not_endpoints() -> None:
    """A WebSocket elsewhere is refused with 404."""
    async with simulator(still(venues=("coinbase",))) as made, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"ws://{made.servers['coinbase'].base}/nope")
        assert refused.value.status == 404


async def test_it_runs_until_it_is_cancelled() -> None:
    """`run` tells where it listens and leaves nothing behind."""
    told: list[str] = []
    serving = asyncio.create_task(run(still(venues=("kraken",)), told.append))
    await wait_until(lambda: told, what="it has told its addresses")
    url = json.loads(told[0])["venues"]["kraken"]["ws_url"]
    async with connect(url) as client:
        assert isinstance(client, Client)
        await client.read()
        serving.cancel()
        await client.closed()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(aiohttp.ClientConnectorError):
        async with connect(url):
            pass


async def test_what_cannot_be_had_is_said() -> None:
    """A port in use, an unknown venue."""
    async with simulator(still(venues=("kraken",))) as made:
        port = int(made.servers["kraken"].base.rpartition(":")[2])
        with pytest.raises(SimulatorError, match=rf"--host 127.0.0.1, --port kraken={port}: cannot listen there: .*in use"):
            async with simulator(still(venues=("kraken",), ports={"kraken": port})):
                pass
    with pytest.raises(SimulatorError, match="no such venue: nope"):
        async with simulator(still(venues=("nope",))):
            pass
