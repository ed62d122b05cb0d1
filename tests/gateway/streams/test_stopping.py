"""A gateway that stops ends its streams in order, so that clients know it and connect elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.bus.tape import fast, publishing
from tests.gateway.streams.running import gateway, trade
from tests.gateway.streams.test_slow_clients import large, stalled


async def last_message(socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
    """Read to the end of a connection."""
    while (message := await socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
        pass
    return message


async def test_streams_end_in_order(client: Redis, valkey: str) -> None:
    """Server-Sent Events end as a complete answer, WebSocket connections with 1001, though one client does not read."""
    async with contextlib.AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(publishing(fast(valkey)))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        async with gateway(valkey) as running:
            publisher.publish_all([trade(0), trade(0, "ETH-USDT")])
            assert await publisher.drain(10)
            answer = await stack.enter_async_context(http.get(running.url + "/api/stream?topics=trade:ETH-USDT"))
            socket = await stack.enter_async_context(http.ws_connect(running.url + "/ws"))
            await stack.enter_async_context(stalled(running))
            async with running.sse("/api/stream?topics=trade:BTC-USDT") as reader:
                for number in range(1, 200):
                    publisher.publish(large(number))
                    await reader.count("trade", number + 1)
            closing = asyncio.create_task(last_message(socket))
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 30  # it would be a minute if it waited for who does not read
        body = await answer.content.read()  # raises if it was cut
        message = await closing

    assert b'"trade_id":"0"' in body
    assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1001)


@pytest.mark.slow
async def test_a_process_ends_its_streams_at_sigterm(client: Redis, valkey: str, tmp_path: Path) -> None:
    """`crosstape gateway` stops with code 0, and its clients see the end of their streams."""
    environment = {
        **os.environ, "CROSSTAPE_BUS__URL": valkey, "CROSSTAPE_GATEWAY__PORT": "0", "CROSSTAPE_TELEMETRY__HTTP_ENABLED": "false",
        "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json", "CROSSTAPE_RUN__DIR": str(tmp_path),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "crosstape_cli.main", "gateway", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with publishing(fast(valkey)) as publisher, aiohttp.ClientSession() as http, asyncio.timeout(60):
            publisher.publish(trade(0))
            url = ""
            while not url:
                line = await process.stderr.readline()
                assert line, "the gateway ended"
                if b'"gateway.listening"' in line:
                    url = line.partition(b'"url":"')[2].partition(b'"')[0].decode()
            async with http.get(url + "/api/stream?topics=trade:BTC-USDT") as answer, http.ws_connect(url + "/ws") as socket:
                await socket.receive_json()
                await answer.content.readuntil(b'"trade"')
                process.send_signal(signal.SIGTERM)
                await answer.content.read()
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
                code = await process.wait()
        assert (code, socket.close_code) == (0, 1001)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
