"""OKX: what its documentation says, seen by a client of either address, and asked by REST."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import Client, connect, still, ws

VENUES = ["okx", "okx_swap"]
SYMBOL = {"okx": "BTC-USDT", "okx_swap": "BTC-USDT-SWAP"}


@asynccontextmanager
async def market(name: str, **more: Any) -> AsyncIterator[Simulator]:
    """A still market of one venue."""
    async with simulator(still(venues=(name,), **more)) as made:
        yield made


@asynccontextmanager
async def client(made: Simulator, name: str, address: str = "public") -> AsyncIterator[Client]:
    """A client of one address."""
    async with connect(ws(made, name, address)) as one:
        yield one


async def ask(made: Simulator, path: str) -> Any:
    """The data of an answer by REST, or the code of its error."""
    (server,) = made.servers.values()
    async with aiohttp.ClientSession() as http, http.get(f"http://{server.base}/api/v5/{path}") as answer:
        body = json.loads(await answer.text())
        return body["data"] if body["code"] == "0" else body["code"]


async def subscribed(one: Client, *args: dict[str, str], op: str = "subscribe") -> list[Any]:
    """The answers to a request, one for each argument."""
    await one.send({"id": "1512", "op": op, "args": list(args)})
    return [await one.read() for _ in args]


def book(symbol: str) -> dict[str, str]:
    """The argument of a book."""
    return {"channel": "books", "instId": symbol}


@pytest.mark.parametrize("name", VENUES)
async def test_each_argument_is_answered(name: str) -> None:
    """A wrong one is refused, and the others are subscribed; candles have their own address."""
    async with market(name) as made, client(made, name) as one:
        wrong = {"channel": "bbo-tbt", "instId": "NO-SUCH"}
        candle = {"channel": "candle1m", "instId": SYMBOL[name]}
        good = {"channel": "trades", "instId": SYMBOL[name]}
        refused, elsewhere, ack = await subscribed(one, wrong, good, candle)

        assert (refused["event"], refused["code"], refused["id"]) == ("error", "60018", "1512")
        assert "channel:bbo-tbt,instId:NO-SUCH doesn't exist" in refused["msg"]
        assert "channel:candle1m" in elsewhere["msg"]
        assert (ack["event"], ack["arg"], ack["id"]) == ("subscribe", good, "1512")
        (left,) = await subscribed(one, good, op="unsubscribe")
        assert (left["event"], left["arg"]) == ("unsubscribe", good)
        await one.send({"op": "subscribe", "argss": []})
        assert (await one.read())["code"] == "60012"


@pytest.mark.parametrize("name", VENUES)
async def test_a_ping_is_text(name: str) -> None:
    """And so is its answer."""
    async with market(name) as made, client(made, name, "business") as one:
        await one.socket.send_str("ping")
        assert await one.socket.receive_str(timeout=10.0) == "pong"


@pytest.mark.parametrize("name", VENUES)
async def test_updates_name_the_one_before(name: str) -> None:
    """From the snapshot on, for a client that comes later, too."""
    async with market(name) as made, client(made, name) as first, client(made, name) as second:
        await subscribed(first, book(SYMBOL[name]))
        snapshot = await first.read()
        assert (snapshot["action"], snapshot["data"][0]["prevSeqId"], snapshot["data"][0]["checksum"]) == ("snapshot", -1, 0)
        numbers = {0: snapshot["data"][0]["seqId"]}
        made.advance(1.03)
        await subscribed(second, book(SYMBOL[name]))
        numbers[1] = (await second.read())["data"][0]["seqId"]
        made.advance(2.0)
        for number, one in ((0, first), (1, second)):
            for _ in range(8):
                update = await one.read()
                assert update["action"] == "update"
                assert update["data"][0]["prevSeqId"] == numbers[number]
                numbers[number] = update["data"][0]["seqId"]


@pytest.mark.parametrize("name", VENUES)
async def test_ids_of_single_fills_are_contiguous(name: str) -> None:
    """One row a fill."""
    async with market(name) as made, client(made, name, "business") as one:
        await subscribed(one, {"channel": "trades-all", "instId": SYMBOL[name]})
        made.advance(20.0)
        ids = [int((await one.read())["data"][0]["tradeId"]) for _ in range(5)]
        assert ids == list(range(ids[0], ids[0] + 5))


async def test_an_index_is_one_for_all_contracts_on_it() -> None:
    """Of its own name; liquidations come for a type of contracts."""
    async with market("okx_swap") as made, client(made, "okx_swap") as one:
        args = {"channel": "index-tickers", "instId": "BTC-USD"}, {"channel": "liquidation-orders", "instType": "SWAP"}
        acks = await subscribed(one, *args)
        assert [ack["arg"] for ack in acks] == list(args)
        index = await one.read()
        assert (index["arg"], index["data"][0]["instId"]) == (args[0], "BTC-USD")
        made.advance(60.0)
        frames = [await one.read() for _ in range(70)]
        forced = [frame["data"][0] for frame in frames if frame["arg"]["channel"] == "liquidation-orders"]
        assert forced
        assert {row["instType"] for row in forced} == {"SWAP"}
        assert {(row["details"][0]["side"], row["details"][0]["posSide"]) for row in forced} <= {("buy", "short"), ("sell", "long")}


async def test_lists_are_newest_first_and_name_what_they_exclude() -> None:
    """Of trades by id, of candles by time; contracts are listed by type."""
    async with market("okx_swap") as made:
        made.advance(200.0)
        newest = await ask(made, "market/trades?instId=BTC-USDT-SWAP&limit=5")
        ids = [int(row["tradeId"]) for row in newest]
        assert ids == sorted(ids, reverse=True)
        older = await ask(made, f"market/history-trades?instId=BTC-USDT-SWAP&type=1&after={ids[-1]}&limit=2")
        assert [int(row["tradeId"]) for row in older] == [ids[-1] - 1, ids[-1] - 2]
        candles = await ask(made, "market/candles?instId=BTC-USDT-SWAP&bar=1m")
        times = [int(row[0]) for row in candles]
        assert times == sorted(times, reverse=True)
        assert [row[8] for row in candles] == ["0", *["1"] * (len(candles) - 1)]
        inner = await ask(made, f"market/candles?instId=BTC-USDT-SWAP&bar=1m&after={times[0]}&before={times[2]}")
        assert [int(row[0]) for row in inner] == [times[1]]
        lists = [await ask(made, f"public/instruments?instType={kind}") for kind in ("SWAP", "FUTURES")]
        assert [{row["instType"] for row in rows} for rows in lists] == [{"SWAP"}, {"FUTURES"}]
        assert await ask(made, "public/instruments?instType=SWAP&instId=NO-SUCH-SWAP") == "51001"
        assert await ask(made, "market/candles?instId=BTC-USDT-SWAP&bar=8H") == "51000"


async def test_the_day_begins_at_midnight_of_utc_8_unless_it_is_asked_for_otherwise() -> None:
    """Plain days at 16:00 UTC, `utc` ones at 00:00."""
    async with market("okx") as made:
        made.advance(10.0)
        hours = []
        for bar in ("1D", "1Dutc", "12H"):
            (row, *_) = await ask(made, f"market/candles?instId=BTC-USDT&bar={bar}")
            hours.append(int(row[0]) // 3_600_000 % 24)
        assert hours[:2] == [16, 0]
        assert hours[2] % 12 == 4


async def test_requests_of_an_hour_are_limited() -> None:
    """A request for many topics counts once, a ping does not."""
    async with market("okx", options={"okx": {"requests_per_hour": 2.0}}) as made, client(made, "okx") as one:
        for _ in range(2):
            await one.socket.send_str("ping")
            assert await one.socket.receive_str(timeout=10.0) == "pong"
            acks = await subscribed(one, *({"channel": "trades", "instId": f"{base}-USDT"} for base in ("BTC", "ETH", "SOL")))
            assert {ack["event"] for ack in acks} == {"subscribe"}
        await one.send({"op": "subscribe", "args": [{"channel": "trades", "instId": "XRP-USDT"}]})
        assert (await one.read())["code"] == "60014"


async def test_maintenance_is_announced() -> None:
    """To who has subscribed to it."""
    async with market("okx") as made, client(made, "okx") as one:
        await subscribed(one, {"channel": "status"})
        made.announce_state("okx", "maintenance")
        assert (await asyncio.wait_for(one.read(), 10.0))["data"][0]["state"] == "ongoing"
        made.announce_state("okx", "online")
        assert (await one.read())["data"][0]["state"] == "completed"
