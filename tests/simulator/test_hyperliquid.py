"""Hyperliquid: what its documentation says, seen by a client."""

from __future__ import annotations

import itertools
import json
from typing import Any

import aiohttp

from crosstape_simulator.service import Simulator
from tests.simulator.client import Client, symbols, venue, ws
from tests.simulator.client import connect as connected

PING = {"method": "ping"}


def subscription(kind: str, coin: str = "BTC", **more: Any) -> dict[str, Any]:
    """A request."""
    return {"method": "subscribe", "subscription": {"type": kind, "coin": coin, **more}}


async def until_pong(client: Client) -> list[Any]:
    """All frames before the answer to a ping that is sent now."""
    await client.send(PING)
    frames = [json.loads(text) for text in await client.texts(lambda text: '"pong"' in text)]
    assert frames[-1] == {"channel": "pong"}, "it has no data"
    return frames[:-1]


async def post(made: Simulator, name: str, body: object) -> tuple[int, Any]:
    """Status and parsed body of the answer to a POST."""
    url = made.rest_url[name]
    assert isinstance(url, str)
    async with aiohttp.ClientSession() as http, http.post(f"{url}/info", json=body) as answer:
        return answer.status, json.loads(await answer.text())


async def test_an_unknown_coin_ends_the_connection_without_a_word() -> None:
    """Coins are case-sensitive. Others on the connection end with it; another connection stays."""
    async with venue("hyperliquid") as (made, client), connected(ws(made, "hyperliquid")) as other:
        await other.send(subscription("bbo"))
        await client.send(subscription("trades"))
        assert (await client.read())["channel"] == "subscriptionResponse"
        await client.send(subscription("bbo", "btc"))
        assert await client.closed() == 1006
        assert [frame["channel"] for frame in await until_pong(other)] == ["subscriptionResponse", "bbo"]


async def test_an_unknown_type_is_an_error_that_repeats_the_request() -> None:
    """And the connection stays."""
    async with venue("hyperliquid") as (_, client):
        request = subscription("noSuchType")
        await client.send(request)
        (frame,) = await until_pong(client)
        assert frame == {
            "channel": "error",
            "data": f"Error parsing JSON into valid websocket request: {json.dumps(request, separators=(',', ':'))}",
        }


async def test_each_subscription_of_trades_is_answered_with_past_ones() -> None:
    """At most thirty, oldest first; nothing marks them. `tid` is a hash, the same each time."""
    async with venue("hyperliquid") as (made, client):
        made.advance(60.0)
        found = []
        for _ in range(2):
            await client.send(subscription("trades"))
            ack, past = await until_pong(client)
            assert ack["data"]["subscription"] == {"type": "trades", "coin": "BTC"}
            found.append(past["data"])
            await client.send({**subscription("trades"), "method": "unsubscribe"})
            await until_pong(client)
        assert found[0] == found[1]
        assert len(found[0]) == 30
        assert [row["time"] for row in found[0]] == sorted(row["time"] for row in found[0])
        ids = [row["tid"] for row in found[0]]
        assert len(set(ids)) == 30
        assert ids != sorted(ids)


async def test_a_book_is_complete_and_comes_whether_it_has_changed_or_not() -> None:
    """Five levels a side, about twice a second."""
    async with venue("hyperliquid", rate=4.0) as (made, client):
        await client.send(subscription("l2Book", fast=True))
        ack, first = await until_pong(client)
        assert ack["data"]["subscription"] == {"type": "l2Book", "coin": "BTC", "nSigFigs": None, "mantissa": None, "fast": True}
        made.advance(6.0)
        later = [frame["data"] for frame in await until_pong(client)]
        assert [len(side) for side in first["data"]["levels"]] == [5, 5]
        times = [data["time"] for data in later]
        assert {after - before for before, after in itertools.pairwise(times)} == {500}
        assert any(before["levels"] == after["levels"] for before, after in itertools.pairwise(later))


async def test_all_by_rest_is_a_post_of_its_type() -> None:
    """A coin that does not exist is answered by null; candles include the one around the first time."""
    async with venue("hyperliquid") as (made, _):
        made.advance(130.0)
        markets = (await post(made, "hyperliquid", {"type": "allPerpMetas"}))[1]
        assert [row["name"] for row in markets[0]["universe"]] == symbols("hyperliquid")
        assert await post(made, "hyperliquid", {"type": "l2Book", "coin": "NOPE"}) == (500, None)
        assert len((await post(made, "hyperliquid", {"type": "recentTrades", "coin": "BTC"}))[1]) == 10
        start = 1_800_000_090_000
        about = {"coin": "BTC", "interval": "1m", "startTime": start, "endTime": start + 60_000}
        rows = (await post(made, "hyperliquid", {"type": "candleSnapshot", "req": about}))[1]
        assert [row["t"] for row in rows] == [start - 30_000, start + 30_000]
        assert rows[0]["T"] == start + 29_999


async def test_a_client_to_which_nothing_is_sent_is_cut() -> None:
    """Its own messages do not count, the answers to them do."""
    async with venue("hyperliquid", options={"hyperliquid": {"idle_s": 1.0}}) as (_, client):
        assert await client.closed() == 1006


async def test_tokens_of_spot_are_indices() -> None:
    """A pair has a name of its own."""
    async with venue("hyperliquid_spot") as (made, client):
        answer = (await post(made, "hyperliquid_spot", {"type": "spotMeta"}))[1]
        names = {token["index"]: token["name"] for token in answer["tokens"]}
        assert names[answer["universe"][0]["tokens"][0]] == "UBTC"
        await client.send(subscription("activeAssetCtx", answer["universe"][0]["name"]))
        _, frame = await until_pong(client)
        assert frame["channel"] == "activeSpotAssetCtx"
        assert "funding" not in frame["data"]["ctx"]
