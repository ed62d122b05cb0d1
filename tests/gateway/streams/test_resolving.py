"""Topics in other spellings, and topics that the tape does not have: what a client is told, and what it gets."""

from __future__ import annotations

import json
from urllib.parse import quote as quoted

import pytest
from redis.asyncio import Redis

from tests.bus.tape import fast, publishing
from tests.gateway.streams.running import bar, gateway, quote, trade
from tests.proxy import proxy

PERPETUAL = "BTC-USDT-PERP"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("BTC/USDT", "BTC-USDT"), ("BTCUSDT", "BTC-USDT"), ("btc_usdt", "BTC-USDT"), ("BTC/USDT:USDT", PERPETUAL), ("XBTUSDT", "BTC-USDT")],
)
async def test_an_instrument_may_be_spelled_in_any_way(client: Redis, valkey: str, spelling: str, name: str) -> None:
    """Both transports say what is followed, and send it."""
    topic, followed = f"quote:{spelling}", f"quote:{name}"
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish_all([quote(1), quote(2, PERPETUAL)])
        assert await publisher.drain(10)
        async with running.sse(f"/api/stream?topics={quoted(topic)}") as sse, running.websocket() as (socket, reader):
            await socket.send_json({"op": "subscribe", "topics": [topic], "id": 1})
            (subscribed,) = await reader.count("subscribed", 1)
            quotes = [*await sse.count("quote", 1), *await reader.count("quote", 1)]
            publisher.publish(quote(3, name))
            quotes += [*await sse.count("quote", 2), *await reader.count("quote", 2)]
            (connected,) = sse.of("connected")
            assert not sse.of("error") + reader.of("error")

    assert {message["instrument"] for message in quotes} == {name}
    assert connected["topics"] == subscribed["topics"] == [followed]
    assert connected["resolved"] == subscribed["resolved"] == {topic: followed}


async def test_an_ambiguous_spelling_is_refused(client: Redis, valkey: str) -> None:
    """As by REST, and over WebSocket the connection goes on."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish_all([quote(1, "ETH-USDT-PERP"), quote(1, "ETH-USDTPERP")])
        assert await publisher.drain(10)
        await running.catalogue.next_look()
        status, text = await running.refusal("/api/stream?topics=quote:ETHUSDTPERP")
        async with running.websocket() as (socket, reader):
            await socket.send_json({"op": "subscribe", "topics": ["quote:ETHUSDTPERP"], "id": 4})
            (error,) = await reader.count("error", 1)
            await socket.send_json({"op": "subscribe", "topics": ["quote:ETH-USDTPERP"]})
            await reader.count("quote", 1)

    assert status == 400
    assert json.loads(text)["error"] == {"code": error["code"], "message": error["message"]}
    assert (error["code"], error["id"]) == ("ambiguous_symbol", 4)
    assert "ETH-USDT-PERP or ETH-USDTPERP" in error["message"]


@pytest.mark.parametrize(
    ("topic", "followed", "nearest"),
    [
        ("quote:BTC-USDX", "quote:BTC-USDX", "quote:BTC-USDT"),
        ("quote:ZZZ-QQQ", "quote:ZZZ-QQQ", ""),
        ("trade:ETH/USDC", "trade:ETH-USDC", ""),
        ("bar:5m:BTC/USDT", "bar:5m:BTC-USDT", "bar:1m:BTC-USDT"),
        ("depth:BTC-USDT", "depth:BTC-USDT", ""),
        ("venue:krakn", "venue:krakn", ""),
    ],
)
async def test_what_the_tape_does_not_have_is_told_at_once(client: Redis, valkey: str, topic: str, followed: str, nearest: str) -> None:
    """The message comes right behind the answer, and the connection goes on."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish_all([quote(1), bar(1)])
        assert await publisher.drain(10)
        async with running.sse(f"/api/stream?topics={topic},quote:BTC-USDT") as sse, running.websocket() as (socket, reader):
            await socket.send_json({"op": "subscribe", "topics": [topic], "id": 1})
            (of_websocket,) = await reader.count("error", 1)
            (error,) = await sse.count("error", 1)
            await sse.count("quote", 1)
            publisher.publish(quote(2))
            await sse.count("quote", 2)

    assert [message["type"] for message in sse.messages[:2]] == ["connected", "error"]
    assert [message["type"] for message in reader.messages if message["type"] != "heartbeat"][:3] == ["connected", "subscribed", "error"]
    assert of_websocket == error
    assert (error["code"], error["topic"], error["id"]) == ("not_on_tape", followed, None)
    assert followed in error["message"]
    assert nearest in error["nearest"] if nearest else True
    assert all(name in error["message"] for name in error["nearest"])


async def test_what_comes_later_is_sent(client: Redis, valkey: str) -> None:
    """Also where it was asked for in another spelling than the one in which it comes."""
    async with (
        publishing(fast(valkey)) as publisher,
        gateway(valkey) as running,
        running.sse("/api/stream?topics=trade:BTC/USDT") as sse,
        running.websocket() as (socket, reader),
    ):
        await socket.send_json({"op": "subscribe", "topics": ["trade:BTCUSDT"]})
        for one in (sse, reader):
            await one.count("error", 1)
        publisher.publish_all([trade(1), trade(2)])
        trades = [await one.count("trade", 2) for one in (sse, reader)]

    assert [[message["trade_id"] for message in of] for of in trades] == [["1", "2"]] * 2


@pytest.mark.parametrize("topic", ["gap:BTC-USDT", "liquidation:BTC-USDT", "edge:BTC-USDT", "quote:*", "gap:*"])
async def test_what_may_rightly_be_missing_is_not_told(client: Redis, valkey: str, topic: str) -> None:
    """An instrument without gaps has no stream of them."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(trade(1))
        assert await publisher.drain(10)
        async with running.sse(f"/api/stream?topics={topic},trade:BTC-USDT") as sse:
            await sse.count("trade", 1)

    assert not sse.of("error")


async def test_a_topic_ends_under_the_name_by_which_it_was_asked_for(client: Redis, valkey: str) -> None:
    """As long as it is asked for by another name, too, it is still followed."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running, running.websocket() as (socket, reader):
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        await socket.send_json({"op": "subscribe", "topics": ["trade:BTC/USDT", "trade:BTC-USDT"]})
        await socket.send_json({"op": "unsubscribe", "topics": ["trade:BTC/USDT"]})
        await reader.count("unsubscribed", 1)
        publisher.publish(trade(1))
        await reader.count("trade", 2)
        await socket.send_json({"op": "unsubscribe", "topics": ["trade:BTC-USDT"]})
        await reader.count("unsubscribed", 2)
        await socket.send_json({"op": "subscribe", "topics": ["trade:btcusdt"]})
        await reader.count("subscribed", 2)
        await socket.send_json({"op": "unsubscribe", "topics": ["trade:BTC-USDT"]})
        ended = await reader.count("unsubscribed", 3)

    assert [message["topics"] for message in ended] == [[], ["trade:BTC-USDT"], ["trade:BTC-USDT"]]
    assert reader.of("subscribed")[0]["topics"] == ["trade:BTC-USDT"]


async def test_while_the_bus_is_away_nothing_is_said_to_be_missing(client: Redis, valkey: str) -> None:
    """A gateway that has never reached it: what is named is looked up later. What the tape has comes, what it has not is told."""
    async with publishing(fast(valkey)) as publisher, proxy(valkey) as way:
        publisher.publish(trade(1))
        assert await publisher.drain(10)
        way.refusing = True
        async with gateway(way.url, wait=False) as running, running.sse("/api/stream?topics=trade:BTC/USDT,trade:BTC-USDX") as sse:
            await sse.until(lambda: sse.of("bus"), "the bus is away")
            (connected,) = sse.of("connected")
            assert not sse.of("error")
            way.refusing = False
            (error,) = await sse.count("error", 1)
            (found,) = await sse.count("trade", 1)

    assert connected["topics"] == ["trade:BTC-USDT", "trade:BTC-USDX"]
    assert error["topic"] == "trade:BTC-USDX"
    assert error["nearest"] == ["trade:BTC-USDT"]
    assert found["trade_id"] == "1"
