"""WebSocket: subscribing and unsubscribing, and what becomes of messages that are wrong."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import WSMsgType
from redis.asyncio import Redis

from tests.bus.tape import fast, publishing
from tests.gateway.streams.running import gateway, quote, settings, trade
from tests.waiting import wait_until


async def test_subscribe_and_unsubscribe(client: Redis, valkey: str) -> None:
    """Nothing comes before a subscribe; both are answered with the id of the request; then only what is followed comes."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running, running.websocket() as (socket, reader):
        publisher.publish_all([trade(0), trade(0, "ETH-USDT")])
        assert await publisher.drain(10)
        assert [message["type"] for message in reader.messages] == ["connected"]
        await socket.send_json({"op": "subscribe", "topics": ["trade:BTC-USDT"], "id": 1})
        await reader.count("trade", 1)
        await socket.send_json({"op": "subscribe", "topics": ["trade:ETH-USDT", "trade:BTC-USDT"], "id": "two"})
        await reader.count("trade", 2)
        publisher.publish_all([trade(1), trade(1, "ETH-USDT")])
        await reader.count("trade", 4)
        await socket.send_json({"op": "unsubscribe", "topics": ["trade:BTC-USDT"], "id": 3})
        await reader.count("unsubscribed", 1)
        publisher.publish_all([trade(2), trade(2, "ETH-USDT")])
        await reader.until(lambda: any(t["instrument"] == "ETH-USDT" and t["trade_id"] == "2" for t in reader.of("trade")), "ETH")

    assert [(m["id"], m["topics"]) for m in reader.of("subscribed")] == [
        (1, ["trade:BTC-USDT"]),
        ("two", ["trade:BTC-USDT", "trade:ETH-USDT"]),
    ]
    assert [(m["id"], m["topics"]) for m in reader.of("unsubscribed")] == [(3, ["trade:BTC-USDT"])]
    assert [t["trade_id"] for t in reader.of("trade") if t["instrument"] == "BTC-USDT"] == ["0", "1"]
    assert [t["trade_id"] for t in reader.of("trade") if t["instrument"] == "ETH-USDT"] == ["0", "1", "2"]


async def test_events_go_on_while_topics_change(client: Redis, valkey: str) -> None:
    """A client that subscribes to more, again and again, misses nothing of what it follows, and gets nothing twice."""
    total = 300
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(gather_s=0.01)) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.websocket() as (socket, reader), running.sse("/api/stream?topics=trade:BTC-USDT"):
            await socket.send_json({"op": "subscribe", "topics": ["trade:BTC-USDT"]})
            await reader.count("trade", 1)
            for number in range(1, total):
                publisher.publish(trade(number))
                if number % 10 == 0:
                    op = "subscribe" if number % 20 else "unsubscribe"
                    await socket.send_json({"op": op, "topics": [f"quote:COIN{number % 3}-USDT", "quote:BTC-USDT"]})
                    await asyncio.sleep(0)
            trades = await reader.count("trade", total)

    assert [t["seq"] for t in trades] == list(range(1, total + 1))
    assert not reader.of("error")


async def test_heartbeats_come_also_while_events_do(client: Redis, valkey: str) -> None:
    """They carry the id after which a client can resume; a ping is answered with one."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(heartbeat_s=0.2)) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.websocket() as (socket, reader):
            await socket.send_json({"op": "subscribe", "topics": ["trade:BTC-USDT"]})
            await reader.count("trade", 1)
            number = 0
            while len(reader.of("heartbeat")) < 2:
                number += 1
                publisher.publish(trade(number))
                await reader.count("trade", number + 1)
            await socket.send_json({"op": "ping", "id": 9})
            await reader.count("heartbeat", 3)
            await reader.until(lambda: reader.of("heartbeat")[-1]["id"], "an id")


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("", "bad_request", "expected JSON"),
        ("{", "bad_request", "expected JSON"),
        ("[]", "bad_request", "expected JSON"),
        ('{"op":"subscribe"}', "no_topics", "topics"),
        ('{"op":"subscribe","topics":"cbbo:A","id":5}', "bad_request", "topics"),
        ('{"op":"subscribe","topics":["nonsense"],"id":5}', "bad_topic", "nonsense"),
        ('{"op":"subscribe","topics":["trade:A"],"after":"x","id":5}', "bad_id", "'x'"),
        ('{"op":"subscribe","topics":["trade:A","trade:B","trade:C","trade:D"],"id":5}', "too_many_topics", "3"),
        ('{"op":"buy","topics":["trade:A"],"id":5}', "bad_request", "buy"),
        ('{"op":"subscribe","topic":["trade:A"],"id":5}', "bad_request", "topic"),
        ('{"op":"ping","id":{"deep":[1]}}', "bad_request", "id"),
        ("9" * 5_000, "bad_request", "expected"),
        ('{"op":"subscribe","topics":["' + "x" * 50_000 + '"]}', "bad_topic", "xxx"),
    ],
)
async def test_a_wrong_message_is_told_what_is_wrong(client: Redis, valkey: str, text: str, code: str, part: str) -> None:
    """The connection goes on, and so do its topics."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(topics_per_client=3)) as running:
        publisher.publish(trade(0, "A"))
        assert await publisher.drain(10)
        async with running.websocket() as (socket, reader):
            await socket.send_str(text)
            (error,) = await reader.count("error", 1)
            await socket.send_json({"op": "subscribe", "topics": ["trade:A"]})
            await reader.count("trade", 1)

    assert (error["code"], part in error["message"], len(error["message"]) < 500) == (code, True, True), error
    assert error["id"] == (5 if '"id":5' in text else None)


async def test_binary_and_huge_messages_and_too_many_wrong_ones(client: Redis, valkey: str) -> None:
    """A binary message is refused; one above 64 KiB closes the connection with 1009; wrong ones in a row, in the end, with 1008."""
    async with gateway(valkey) as running:
        async with running.http.ws_connect(running.url + "/ws") as socket:
            await socket.receive_json(timeout=20)
            await socket.send_bytes(b'{"op":"ping"}')
            assert (await socket.receive_json(timeout=20))["code"] == "bad_request"
            await socket.send_str("x" * 70_000)
            assert (await socket.receive(timeout=20)).type is WSMsgType.CLOSE
            assert socket.close_code == 1009
        async with running.http.ws_connect(running.url + "/ws") as socket:
            await socket.receive_json(timeout=20)
            codes = []
            for _ in range(40):
                await socket.send_str("nonsense")
            while (message := await socket.receive(timeout=20)).type is WSMsgType.TEXT:
                codes += [json.loads(line)["type"] for line in message.data.split("\n")]
            assert socket.close_code == 1008
        await wait_until(lambda: not running.hub.subscribers, what="both are forgotten")

    assert codes == ["error"] * 20


async def test_a_broken_frame_ends_that_connection_alone(client: Redis, valkey: str) -> None:
    """A frame with reserved bits, as of a program that speaks something else."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running, running.websocket() as (socket, reader):
        await socket.send_json({"op": "subscribe", "topics": ["trade:BTC-USDT"]})
        await reader.count("subscribed", 1)
        raw_reader, raw_writer = await asyncio.open_connection("127.0.0.1", running.port)
        raw_writer.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        async with asyncio.timeout(20):
            await raw_reader.readuntil(b'"connected"')
            raw_writer.write(b"\xff\x7f" + b"\x00" * 200)
            await raw_reader.read()
        raw_writer.close()
        await raw_writer.wait_closed()
        await wait_until(lambda: len(running.hub.subscribers) == 1, what="the other one is forgotten")
        publisher.publish(trade(1))
        await reader.count("trade", 1)


async def test_topics_that_never_come_cost_the_bus_nothing(client: Redis, valkey: str) -> None:
    """Streams that the tape does not have are not read; others of the same client are."""
    names = [f"trade:NONE{number}-USDT" for number in range(400)]
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running, running.websocket() as (socket, reader):
        publisher.publish(quote(1))
        assert await publisher.drain(10)
        await socket.send_json({"op": "subscribe", "topics": names})
        await socket.send_json({"op": "subscribe", "topics": ["quote:BTC-USDT"]})
        await reader.count("quote", 1)
        read = list(running.hub.streams)

    assert read == ["tape:quote:BTC-USDT"]
