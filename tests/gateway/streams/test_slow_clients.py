"""Clients that read slowly or not at all: they delay nobody, take bounded memory, learn what they missed, and are cut in the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from crosstape_schemas import Trade
from tests.bus.tape import fast, publishing
from tests.gateway.streams.running import Running, gateway, quote, settings, trade
from tests.waiting import wait_until

WINDOW = 4_096
"""Receive buffer of a client that reads slowly: the smallest that Linux gives is a little more."""
QUIET = "/api/stream?topics=trade:BTC-USDT,quote:BTC-USDT&last=0"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SUBSCRIBE = b'{"op":"subscribe","topics":["trade:BTC-USDT"]}'


def large(number: int) -> Trade:
    """A trade of four kilobytes."""
    return msgspec.structs.replace(trade(number), trade_id=f"{number}-" + "x" * 4_000)


@contextlib.asynccontextmanager
async def stalled(running: Running, path: str = QUIET) -> AsyncIterator[socket.socket]:
    """A client that has sent its request and got its first message, and reads nothing more by itself."""
    loop = asyncio.get_running_loop()
    one = socket.socket()
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        one.setblocking(False)
        await loop.sock_connect(one, ("127.0.0.1", running.port))
        if path == "/ws":
            await loop.sock_sendall(one, UPGRADE)
            await _read_until(one, b'"connected"')
            await loop.sock_sendall(one, bytes([0x81, 0x80 | len(SUBSCRIBE), 0, 0, 0, 0]) + SUBSCRIBE)
            await _read_until(one, b'"subscribed"')
        else:
            await loop.sock_sendall(one, f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            await _read_until(one, b'"connected"')
        yield one
    finally:
        one.close()


async def _read_until(one: socket.socket, text: bytes) -> None:
    got = b""
    async with asyncio.timeout(20):
        while text not in got:
            got += await asyncio.get_running_loop().sock_recv(one, 512)


@pytest.mark.slow
async def test_a_hundred_stalled_clients(client: Redis, valkey: str) -> None:
    """Others get each event; what waits for each of the hundred is bounded; they are cut after `patience_s`, and nothing is left."""
    total = 400
    cut = REGISTRY.get_sample_value("crosstape_gateway_cut_clients_total") or 0
    async with contextlib.AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(publishing(fast(valkey)))
        running = await stack.enter_async_context(gateway(valkey, settings(patience_s=3.0, events_per_client=20)))
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        reader = await stack.enter_async_context(running.sse("/api/stream?topics=trade:BTC-USDT"))
        _, other = await stack.enter_async_context(running.websocket())
        for number in range(100):
            await stack.enter_async_context(stalled(running, "/ws" if number % 2 else "/api/stream?topics=trade:BTC-USDT"))
        assert len(running.hub.subscribers) == 102
        kept = 0
        for number in range(1, total):
            publisher.publish(large(number))
            await reader.count("trade", number + 1)  # so that each comes at once, whatever becomes of the hundred
            kept = max(kept, *(subscriber.kept for subscriber in running.hub.subscribers))
        assert kept <= 20 + 5  # events, a report, a heartbeat, the last value
        await wait_until(lambda: len(running.hub.subscribers) == 2, what="the hundred are cut")
        publisher.publish(trade(total))
        trades = await reader.count("trade", total + 1)
        assert not other.over.is_set()

    assert [message["seq"] for message in trades] == list(range(1, total + 2))
    assert not reader.of("missed")
    assert (REGISTRY.get_sample_value("crosstape_gateway_cut_clients_total") or 0) - cut == 100


async def test_a_client_that_reads_again(client: Redis, valkey: str) -> None:
    """It gets what it was sent before, then how many events are missing, then the rest; of quotes the newest; and then all that is new."""
    total = 300
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(patience_s=60.0, events_per_client=20)) as running:
        publisher.publish_all([trade(0), quote(0)])
        assert await publisher.drain(10)
        async with running.sse("/api/stream?topics=trade:BTC-USDT") as witness, stalled(running, QUIET) as slow:
            for number in range(1, total):
                publisher.publish_all([large(number), quote(number)])
                await witness.count("trade", number + 1)
            await wait_until(lambda: any(subscriber.waiting for subscriber in running.hub.subscribers), what="it waits")
            reader, writer = await asyncio.open_connection(sock=slow, limit=1 << 20)
            seen: list[dict[str, object]] = []
            async with asyncio.timeout(20):
                while not (seen and seen[-1].get("bid_price") == str(total - 1)):
                    line = await reader.readline()
                    if line.startswith(b"data: "):
                        seen.append(json.loads(line[6:]))
            publisher.publish_all([trade(total), trade(total + 1)])
            async with asyncio.timeout(20):
                while seen[-1].get("trade_id") != str(total + 1):
                    line = await reader.readline()
                    if line.startswith(b"data: "):
                        seen.append(json.loads(line[6:]))
            writer.close()

    expected = 2  # the one before was there when it connected
    for message in seen:
        if message["type"] == "trade":
            assert message["seq"] == expected
            expected += 1
        elif message["type"] == "missed":
            assert (message["topic"], message["venue"], message["reason"]) == ("trade:BTC-USDT", "kraken", "slow")
            assert message["first_missing"] == expected
            expected += int(str(message["count"]))
    assert expected == total + 3
    assert len([message for message in seen if message["type"] == "missed"]) >= 1
    quotes = [Decimal(str(message["bid_price"])) for message in seen if message["type"] == "quote"]
    assert quotes == sorted(quotes)
    assert len(quotes) < total


async def test_a_client_that_asks_and_does_not_read(client: Redis, valkey: str) -> None:
    """Its requests are read no faster than it reads the answers; others go on."""
    async with gateway(valkey, settings(patience_s=60.0)) as running, stalled(running, "/ws") as asking:
        text = b'{"op":"subscribe","topics":["trade:A"],"id":"%s"}' % (b"x" * 60)
        frame = bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
        loop = asyncio.get_running_loop()
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 200_000:
                async with asyncio.timeout(1.0):
                    await loop.sock_sendall(asking, frame * 100)
                sent += 100
        (subscriber,) = running.hub.subscribers
        assert sent < 200_000
        assert subscriber.kept <= 30
        async with running.websocket() as (socket, other):
            await socket.send_json({"op": "subscribe", "topics": ["trade:A"]})
            await other.count("subscribed", 1)


async def test_many_clients_that_come_and_go(client: Redis, valkey: str) -> None:
    """A thousand connects: some leave before the answer. The gateway serves others meanwhile, and nothing of them is left."""
    async with (
        publishing(fast(valkey)) as publisher,
        gateway(valkey) as running,
        running.sse("/api/stream?topics=trade:BTC-USDT") as reader,
    ):
        for batch in range(20):
            await asyncio.gather(*(_come_and_go(running.port, 50 * batch + number) for number in range(50)))
            publisher.publish(trade(batch))
            await reader.count("trade", batch + 1)
        await wait_until(lambda: len(running.hub.subscribers) == 1, what="all have left")
        await wait_until(lambda: requests() == 1, what="no request is left")
        publisher.publish(trade(20))
        await reader.count("trade", 21)


def requests() -> int:
    """How many requests are being handled."""
    return sum("RequestHandler._handle_request" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def _come_and_go(port: int, number: int) -> None:
    """Connect, ask, and leave: before the answer, after it, or by a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(UPGRADE if number % 2 else b"GET /api/stream?topics=trade:*,quote:BTC-USDT HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if number % 3:
        async with asyncio.timeout(20):
            await reader.readuntil(b"\r\n\r\n")
    if number % 5 == 0:
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
