"""Binance spot as the simulator speaks it. Wire format: developers.binance.com, spot, as of 2026."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from crosstape_simulator.service import simulator
from tests.simulator.client import Client, connect, get, still, symbols, venue, ws
from tests.waiting import wait_until

DEPTH = "btcusdt@depth@100ms"


async def frames(client: Client, stream: str, count: int) -> list[Any]:
    """The data of the next `count` frames of one stream."""
    found: list[Any] = []
    while len(found) < count:
        frame = await client.read()
        if frame.get("stream") == stream:
            found.append(frame["data"])
    return found


async def test_requests_are_acknowledged_by_id() -> None:
    """Known and unknown streams alike; the list tells what is subscribed, in order."""
    async with venue("binance") as (_, client):
        await client.send({"method": "SUBSCRIBE", "params": ["btcusdt@trade", "nosuch@trade"], "id": 1})
        assert await client.text() == '{"result":null,"id":1}'
        await client.send({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": "abc9"})
        assert await client.text() == '{"result":null,"id":"abc9"}'
        await client.send({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert await client.text() == '{"result":["nosuch@trade"],"id":3}'


async def test_properties_switch_the_wrapping() -> None:
    """`combined` can be asked and set on a connection."""
    async with venue("binance", "?streams=btcusdt@bookTicker") as (made, client):
        await client.send({"method": "GET_PROPERTY", "params": ["combined"], "id": 2})
        assert await client.text() == '{"result":true,"id":2}'
        await client.send({"method": "SET_PROPERTY", "params": ["combined", False], "id": 5})
        assert await client.text() == '{"result":null,"id":5}'
        made.advance(1.0)
        assert "u" in await client.read()


@pytest.mark.parametrize(
    ("request_text", "reply"),
    [
        ("{", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        (
            '{"method":"SUBSCRIBE","params":["a@trade"],"id":-1}',
            {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"},
        ),
        ('{"method":"SET_PROPERTY","params":[true],"id":5}', {"code": 2, "msg": "Invalid request: property name must be a string"}),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":5}', {"code": 1, "msg": "Invalid value type: expected Boolean"}),
    ],
)
async def test_malformed_requests_get_the_documented_errors(request_text: str, reply: object) -> None:
    """The connection stays open."""
    async with venue("binance") as (_, client):
        await client.send(request_text)
        assert await client.read() == reply
        await client.send({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        assert await client.read() == {"result": [], "id": 1}


async def test_more_than_1024_streams_are_refused() -> None:
    """With the nested error, which carries the id."""
    async with venue("binance") as (_, client):
        await client.send({"method": "SUBSCRIBE", "params": [f"s{i}@trade" for i in range(1025)], "id": 19})
        assert await client.text() == '{"error":{"code":4,"msg":"Too many subscriptions"},"id":19}'


async def test_the_sixth_message_within_a_second_ends_the_connection() -> None:
    """Close code 1008; pings count too."""
    async with venue("binance") as (made, client):
        for _ in range(3):
            await client.socket.ping()
        for number in range(3):
            await client.send({"method": "LIST_SUBSCRIPTIONS", "id": number})
        assert await client.closed() == 1008
        assert made.counters("binance").limited == 1


async def test_the_limit_is_a_setting() -> None:
    """A higher one lets more through."""
    async with venue("binance", options={"binance": {"messages_per_s": 50}}) as (_, client):
        for number in range(20):
            await client.send({"method": "LIST_SUBSCRIPTIONS", "id": number})
        for number in range(20):
            assert (await client.read())["id"] == number


async def test_trades_count_up_by_one() -> None:
    """On `@trade` and `@aggTrade`, with eight decimals and the side told by the buyer being the maker."""
    async with venue("binance", "?streams=btcusdt@trade/btcusdt@aggTrade") as (made, client):
        made.advance(20.0)
        seen = [await client.read() for _ in range(40)]
        trades = [frame["data"] for frame in seen if frame["stream"] == "btcusdt@trade"]
        aggregates = [frame["data"] for frame in seen if frame["stream"] == "btcusdt@aggTrade"]
        assert [trade["t"] for trade in trades] == list(range(trades[0]["t"], trades[0]["t"] + len(trades)))
        assert [row["a"] for row in aggregates] == list(range(aggregates[0]["a"], aggregates[0]["a"] + len(aggregates)))
        assert list(trades[0]) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]
        assert {len(trade["p"].partition(".")[2]) for trade in trades} == {8}
        assert {trade["m"] for trade in trades} == {True, False}


@pytest.mark.parametrize("asked", [1, 2, 3, 4])
async def test_a_snapshot_bridges_to_the_diffs(asked: int) -> None:
    """Fresh or a second old: after dropping what it already holds, the first diff spans its id and each later one follows.

    The book then equals the next snapshot, and on the way the best prices of `@bookTicker` with the same id.
    """
    async with venue("binance", f"?streams={DEPTH}/btcusdt@bookTicker") as (made, client):
        made.advance(2.05)
        for _ in range(asked):
            status, snapshot, headers = await get(made, "binance", "/api/v3/depth?symbol=BTCUSDT&limit=5000")
        assert status == 200
        assert int(headers["X-MBX-USED-WEIGHT-1M"]) == 250 * asked
        made.advance(2.95)  # to a full second: all diffs are out
        _, after, _ = await get(made, "binance", "/api/v3/depth?symbol=BTCUSDT&limit=5000")
        tops: dict[int, tuple[str, str, str, str]] = {}
        last, book = snapshot["lastUpdateId"], {side: dict(snapshot[side]) for side in ("bids", "asks")}
        compared = applied = 0
        previous = None
        while last < after["lastUpdateId"]:
            frame = await client.read()
            data = frame["data"]
            if frame["stream"] != DEPTH:
                tops[data["u"]] = (data["b"], data["B"], data["a"], data["A"])
                continue
            assert previous is None or data["U"] == previous + 1
            previous = data["u"]
            if data["u"] <= last:
                continue
            assert data["U"] <= last + 1 <= data["u"]
            applied += 1
            for side, key in (("bids", "b"), ("asks", "a")):
                for price, size in data[key]:
                    book[side][price] = size
                    if float(size) == 0:
                        del book[side][price]
            last = data["u"]
            if last in tops:
                best_bid, best_ask = max(book["bids"], key=float), min(book["asks"], key=float)
                assert (best_bid, book["bids"][best_bid], best_ask, book["asks"][best_ask]) == tops[last]
                compared += 1
        assert last == after["lastUpdateId"]
        assert book == {side: dict(after[side]) for side in ("bids", "asks")}
        assert applied > 10
        assert compared > 0


async def test_an_old_snapshot_is_older_than_the_stream() -> None:
    """Every third answer may have to be asked for again; the one after it is fresh."""
    async with venue("binance") as (made, client):
        await client.send({"method": "SUBSCRIBE", "params": [DEPTH], "id": 1})
        assert (await client.read())["id"] == 1
        made.advance(1.95)
        ids = [(await get(made, "binance", "/api/v3/depth?symbol=BTCUSDT"))[1]["lastUpdateId"] for _ in range(4)]
        assert ids[0] == ids[1] == ids[3] > ids[2]


async def test_tickers_come_every_second() -> None:
    """With best prices, and numbers that fit together."""
    async with venue("binance", "?streams=ethusdt@ticker") as (made, client):
        made.advance(3.0)
        rows = await frames(client, "ethusdt@ticker", 3)
        assert [later["E"] - row["E"] for row, later in pairwise(rows)] == [1000, 1000]
        assert float(rows[0]["b"]) < float(rows[0]["a"])
        assert float(rows[0]["l"]) <= float(rows[0]["c"]) <= float(rows[0]["h"])
        assert rows[0]["L"] - rows[0]["F"] + 1 == rows[0]["n"]


async def test_bare_frames_on_the_other_path() -> None:
    """`/ws/<stream>` has no wrapping."""
    async with (
        simulator(still(venues=("binance",))) as made,
        connect(ws(made, "binance").replace("/stream", "/ws/btcusdt@bookTicker")) as client,
    ):
        made.advance(1.0)
        assert list(await client.read()) == ["u", "s", "b", "B", "a", "A"]


async def test_instruments_and_errors_by_rest() -> None:
    """exchangeInfo lists what is traded; an unknown symbol is -1121 with HTTP 400."""
    async with simulator(still(venues=("binance",))) as made:
        status, body, headers = await get(made, "binance", "/api/v3/exchangeInfo")
        assert (status, headers["X-MBX-USED-WEIGHT-1M"]) == (200, "20")
        assert [row["symbol"] for row in body["symbols"]] == symbols("binance")
        filters = {row["filterType"]: row for row in body["symbols"][0]["filters"]}
        assert (filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]) == ("0.01000000", "0.00001000")
        assert (await get(made, "binance", '/api/v3/exchangeInfo?symbols=["ETHUSDT"]'))[1]["symbols"][0]["symbol"] == "ETHUSDT"
        for path in ("/api/v3/depth?symbol=NOPE", "/api/v3/exchangeInfo?symbol=NOPE"):
            assert (await get(made, "binance", path))[:2] == (400, {"code": -1121, "msg": "Invalid symbol."})
        assert (await get(made, "binance", "/api/v3/depth"))[1]["code"] == -1102
        assert (await get(made, "binance", "/api/v3/ping"))[1] == {}


async def test_too_much_weight_is_refused() -> None:
    """HTTP 429 with Retry-After."""
    async with simulator(still(venues=("binance",))) as made:
        answers = [await get(made, "binance", "/api/v3/depth?symbol=BTCUSDT&limit=5000") for _ in range(25)]
        if answers[-1][0] == 429 or time.time() % 60 > 5:  # else a minute began within the loop
            assert answers[-1][1]["code"] == -1003
            assert int(answers[-1][2]["Retry-After"]) <= 60


async def test_the_server_pings() -> None:
    """At its interval, with a payload to be returned."""
    async with (
        simulator(still(venues=("binance",), options={"binance": {"ping_s": 0.1}})) as made,
        aiohttp.ClientSession() as http,
        http.ws_connect(ws(made, "binance"), autoping=False) as socket,
    ):
        message = await socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.PING
        await socket.pong(message.data)
        await wait_until(lambda: made.counters("binance").messages == 1, what="the pong has arrived")


async def test_a_shutdown_is_announced() -> None:
    """As `serverShutdown` on the connection itself."""
    async with venue("binance") as (made, client):
        await client.send({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        await client.read()
        made.announce_state("binance", "maintenance")
        frame = json.loads(await client.text())
        assert (frame["stream"], frame["data"]["e"]) == ("!serverShutdown", "serverShutdown")
