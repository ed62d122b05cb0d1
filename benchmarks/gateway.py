"""Measures the gateway: deliveries per core-second, memory of a client, and the time from the bus to clients.

    python benchmarks/gateway.py                                   all results, with aiohttp-sse beside them
    python benchmarks/gateway.py --clients 200 --seconds 2         a short run
    python benchmarks/gateway.py --only latency

A publisher in this process writes events of 400 bytes to a server; a gateway in a second process sends them to clients in a third one,
which only reads and counts bytes. CPU is that of the gateway's process, user and system, reading from the bus included. A delivery is one
event sent to one client. `unbatched`: each event is sent at once, and the next one is published when the last client has it. `gathered`:
events are gathered for 50 ms. `aiohttp_sse`: the same reader of the bus, and `send` of aiohttp-sse for each client in a loop. Prints one
JSON line a result.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import harness
import uvloop
from aiohttp import web

from crosstape.bus import Publisher, Reader, connect
from crosstape.runtime import lifecycle
from crosstape.settings import BusSettings, GatewaySettings
from crosstape_gateway.app import make_app
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.hub import Hub
from crosstape_gateway.parts import Parts
from crosstape_gateway.service import listening
from crosstape_schemas import Keys, Side, Trade, encode

EVENT_BYTES = 400
TOPIC = "trade:BTC-USDT"
STREAM = "tape:trade:BTC-USDT"
GATHER_MS = 50
RECV = 1 << 18
QUIET_S = 1.0
"""After the last byte: then all has come."""
TIMED = 8
"""Clients whose events are timed, by a process of their own."""


# The processes


async def serve(url: str) -> None:
    """Run a gateway, and print its port."""
    bus = BusSettings(url=url)
    settings = GatewaySettings(port=0, clients=5_000, clients_per_address=5_000, requests_per_s=100_000.0, patience_s=60.0)
    keys = Keys()
    async with connect(bus) as client:
        catalogue = Catalogue(client, keys)
        hub = Hub(client, keys, settings, catalogue)
        app = make_app(Parts(settings, client, keys, catalogue, hub))
        async with listening(app, settings) as base, asyncio.TaskGroup() as tasks:
            tasks.create_task(catalogue.run())
            tasks.create_task(hub.run())
            print(json.dumps({"port": int(base.rpartition(":")[2])}), flush=True)


async def serve_aiohttp_sse(url: str) -> None:
    """Run a server that sends by aiohttp-sse, and print its port."""
    from aiohttp_sse import EventSourceResponse, sse_response  # noqa: PLC0415  # only in this process

    clients: set[EventSourceResponse] = set()

    async def stream(request: web.Request) -> web.StreamResponse:
        async with sse_response(request) as response:
            await response.send('{"type":"connected"}')
            clients.add(response)
            await response.wait()
        return response

    app = web.Application()
    app.add_routes([web.get("/api/stream", stream)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    async with connect(BusSettings(url=url)) as client, Reader(client, Keys(), streams=(STREAM,)) as reader:
        async for entry in reader:
            text = entry.data.decode()
            for response in tuple(clients):
                await response.send(text)


def drain(port: int, transport: str, count: int, gather_ms: int, timed: int) -> None:
    """Connect clients; then read until the other side is quiet, and print what came. `timed`: clients whose events are timed."""
    selector = selectors.DefaultSelector()
    request = f"GET /api/stream?topics={TOPIC}&last=0&gather_ms={gather_ms} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    upgrade = (
        f"GET /ws?last=0&gather_ms={gather_ms} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    sockets = []
    for index in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(request if transport == "sse" else upgrade)
        _read_until(one, b'"connected"')
        if transport == "websocket":
            one.sendall(_masked(b'{"op":"subscribe","topics":["%b"]}' % TOPIC.encode()))
            _read_until(one, b'"subscribed"')
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ, index < timed)
        sockets.append(one)
    print(json.dumps({"ready": count}), flush=True)
    sys.stdin.readline()
    size, lags, last = 0, [], time.monotonic()
    buffer = bytearray(RECV)
    view = memoryview(buffer)
    while time.monotonic() - last < QUIET_S:
        for key, _ in selector.select(QUIET_S / 4):
            assert isinstance(key.fileobj, socket.socket)
            got = key.fileobj.recv_into(view)
            if not got:
                raise SystemExit("gateway: a connection was closed")
            size += got
            last = time.monotonic()
            if key.data:
                now = time.time_ns()
                parts = buffer[:got].split(b'"received_ts":')
                lags += [(now - int(part[:19])) / 1e6 for part in parts[1:] if part[:19].isdigit()]
    lags.sort()
    times = {f"p{share:g}": round(harness.percentile(lags, share / 100), 2) for share in (50, 99, 99.9)} if lags else {}
    print(json.dumps({"bytes": size, "timed": len(lags), "ms": times}), flush=True)


def _read_until(one: socket.socket, text: bytes) -> None:
    got = b""
    one.settimeout(20)
    while text not in got:
        data = one.recv(4096)
        if not data:
            raise SystemExit(f"gateway: refused: {got!r:.300}")
        got += data


def _masked(payload: bytes) -> bytes:
    """Returns a text frame of a client; with a mask of zeros, which changes nothing."""
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


# What is measured


@contextlib.asynccontextmanager
async def publisher(url: str) -> AsyncIterator[Publisher]:
    """A publisher that runs for the length of the block."""
    bus = BusSettings(url=url)
    async with connect(bus) as client:
        one = Publisher(client, Keys(), bus, producer="connector.bench")
        running = asyncio.create_task(one.run())
        yield one
        await one.drain(10)
        one.close()
        running.cancel()


def event(number: int, padding: int) -> Trade:
    """Returns an event; `padding` makes it longer."""
    trade_id = f"{number:09}" + "x" * padding
    return Trade("bench", "BTC-USDT", None, time.time_ns(), Decimal("57000.10"), Decimal("0.01414016"), Side.BUY, trade_id)


@contextlib.asynccontextmanager
async def echo(port: int) -> AsyncIterator[asyncio.StreamReader]:
    """One more client, the last in each round."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/stream?topics={TOPIC}&last=0&gather_ms=0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b'"connected"')
    try:
        yield reader
    finally:
        writer.close()


async def publish(one: Publisher, count: int, rate: float, seen: asyncio.StreamReader | None = None) -> int:
    """Publish events at a rate. Returns the bytes of one. `seen`: the next one is published when this client has the one before."""
    padding = EVENT_BYTES - len(encode(event(0, 0))) - 20  # epoch and seq get their digits when it is published
    start = time.monotonic()
    for number in range(count):
        one.publish(event(number, padding))
        if seen is not None:
            await seen.readuntil(b'"trade_id":"%09d' % number)
        await asyncio.sleep(max(0.0, start + (number + 1) / rate - time.monotonic()))
    return EVENT_BYTES


def resident_kib(pid: int) -> float:
    """Returns the memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def answer(child: subprocess.Popen[bytes]) -> Any:
    """Returns the next line that a child prints."""
    assert child.stdout is not None
    return json.loads(child.stdout.readline() or b"{}")


@contextlib.contextmanager
def serving(url: str, *, by: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server of a process of its own, and its port."""
    with harness.process(__file__, f"--serve={by}", url) as child:
        yield child, answer(child)["port"]


async def measure(url: str, options: argparse.Namespace, *, by: str, transport: str, gather_ms: int, rate: float) -> dict[str, object]:
    """Measure one way of sending."""
    clients = options.clients
    async with publisher(url) as one:
        one.publish(event(0, 0))  # the stream exists
        assert await one.drain(10)
        with serving(url, by=by) as (server, port):
            before = resident_kib(server.pid)
            with harness.process(__file__, "--drain", str(port), transport, str(clients), str(gather_ms), "0", stdin=True) as reader:
                assert await asyncio.to_thread(answer, reader) == {"ready": clients}, "not all could connect"
                memory = (resident_kib(server.pid) - before) / clients
                assert reader.stdin is not None
                async with contextlib.AsyncExitStack() as stack:
                    seen = None if gather_ms else await stack.enter_async_context(echo(port))
                    await publish(one, 3, rate, seen)  # warms up
                    reader.stdin.write(b"\n")
                    reader.stdin.flush()
                    start = harness.cpu_s(server.pid)
                    count = int(options.seconds * rate)
                    size = await publish(one, count, rate, seen)
                    await asyncio.sleep(2 * gather_ms / 1000)  # the last write
                    cpu_s = harness.cpu_s(server.pid) - start
                    came = await asyncio.to_thread(answer, reader)
    assert came["bytes"] >= count * clients * size * 0.95, f"only {came} of {count} × {clients} × {size} bytes came"
    return {
        "by": by,
        "transport": transport,
        "clients": clients,
        "gather_ms": gather_ms,
        "events": count,
        "event_bytes": size,
        "deliveries_per_core_s": round(count * clients / cpu_s),
        "cpu_us_per_delivery": round(cpu_s / count / clients * 1e6, 2),
        "kib_per_client": round(memory, 1),
    }


async def measure_latency(url: str, clients: int, rate: float, seconds: float) -> dict[str, object]:
    """Measure the time from publishing to a client's socket, the publisher's way to the bus included."""
    async with publisher(url) as one:
        one.publish(event(0, 0))
        assert await one.drain(10)
        way = (str(GATHER_MS), "0")
        with (
            serving(url, by="gateway") as (server, port),
            harness.process(__file__, "--drain", str(port), "sse", str(clients - TIMED), *way, stdin=True) as others,
        ):
            assert await asyncio.to_thread(answer, others) == {"ready": clients - TIMED}, "not all could connect"
            way = (str(GATHER_MS), str(TIMED))
            with harness.process(__file__, "--drain", str(port), "sse", str(TIMED), *way, stdin=True) as timed:  # the last in each round
                assert await asyncio.to_thread(answer, timed) == {"ready": TIMED}, "not all could connect"
                for reader in (others, timed):
                    assert reader.stdin is not None
                    reader.stdin.write(b"\n")
                    reader.stdin.flush()
                start = harness.cpu_s(server.pid)
                await publish(one, int(seconds * rate), rate)
                came = await asyncio.to_thread(answer, timed)
                cpu_s = harness.cpu_s(server.pid) - start
    return {
        "clients": clients, "rate": rate, "gather_ms": GATHER_MS, "timed": came["timed"], "ms": came["ms"],
        "cpu_percent": round(100 * cpu_s / seconds, 1),
    }  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Print the results that are wanted."""
    ways = [
        ("unbatched", "aiohttp_sse", "sse", 0, options.rate / 2),
        ("unbatched", "gateway", "sse", 0, options.rate),
        ("unbatched", "gateway", "websocket", 0, options.rate),
        ("gathered", "gateway", "sse", GATHER_MS, options.rate * 10),
        ("gathered", "gateway", "websocket", GATHER_MS, options.rate * 10),
    ]
    for result, by, transport, gather_ms, rate in ways:
        if options.only in ("", result):
            with harness.server() as url:
                found = asyncio.run(measure(url, options, by=by, transport=transport, gather_ms=gather_ms, rate=rate))
            harness.report(benchmark="gateway", result=result, **found)
    if options.only in ("", "latency"):
        with harness.server() as url:
            harness.report(benchmark="gateway", result="latency", **asyncio.run(measure_latency(url, 200, 1_000.0, options.seconds)))


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=40.0, help="events a second, unbatched; ten times as many when gathered")
    parser.add_argument("--only", choices=("unbatched", "gathered", "latency"), default="")
    parser.add_argument("--serve", choices=("gateway", "aiohttp_sse"), help=argparse.SUPPRESS)
    parser.add_argument("--drain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drain:
        port, transport, count, gather_ms, timed = options.words
        gc.disable()
        drain(int(port), transport, int(count), int(gather_ms), int(timed))
        return
    lifecycle.tune_gc()
    if options.serve:
        way = serve if options.serve == "gateway" else serve_aiohttp_sse
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(KeyboardInterrupt):
            runner.run(way(options.words[0]))
        return
    run(options)


if __name__ == "__main__":
    main()
