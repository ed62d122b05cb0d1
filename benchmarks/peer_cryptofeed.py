"""Writes trades from a WebSocket to streams with cryptofeed; prints the figures as one JSON line. It imports nothing of crosstape.

    python peer_cryptofeed.py SOURCE_PORT SERVER_PORT COUNT SYMBOLS

The library runs as its users run it: a FeedHandler on uvloop, its feed of Binance's trades, and its backend of Redis streams with a queue
that drops nothing (`overflow="block"`) and batches of up to 500 entries or 50 ms. The source speaks no TLS and lists no symbols, so both
are set here. The clock starts when the first trades are written, and stops when all are.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

POLL_S = 0.01
LIMIT_S = 300.0


async def counted(backend: Any, client: Any, count: int) -> dict[str, float]:
    """Wait until all trades are written; returns the figures."""

    async def server_cpu_s() -> float:
        info = await client.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    async with asyncio.timeout(LIMIT_S):
        while not backend.stats.written:
            await asyncio.sleep(POLL_S)
        first, began, cpu, server = backend.stats.written, time.perf_counter(), time.process_time(), await server_cpu_s()
        while backend.stats.written < count:
            if backend.stats.dropped_overflow or backend.stats.dropped_failed:
                raise SystemExit(f"the peer has dropped trades: {backend.stats.last_error}")
            await asyncio.sleep(POLL_S)
    wall, cpu, server = time.perf_counter() - began, time.process_time() - cpu, await server_cpu_s() - server
    done = backend.stats.written - first
    return {
        "frames": backend.stats.written,
        "frames_per_s": round(done / wall),
        "cpu_us_per_frame": round(cpu / done * 1e6, 2),
        "server_cpu_us_per_frame": round(server / done * 1e6, 2),
    }


async def run(source_port: int, server_port: int, count: int, symbols: int) -> dict[str, float]:
    """Start the library, and stop it when all is written."""
    from cryptofeed import FeedHandler, connection  # noqa: PLC0415 - only the peer's environment has it
    from cryptofeed.backends.redis import TradeStream  # noqa: PLC0415
    from cryptofeed.connection import WebsocketEndpoint  # noqa: PLC0415
    from cryptofeed.defines import TRADES  # noqa: PLC0415
    from cryptofeed.exchanges import Binance  # noqa: PLC0415
    from cryptofeed.symbols import Symbols  # noqa: PLC0415
    from redis.asyncio import Redis  # noqa: PLC0415

    names = {f"COIN{at}-USDT": f"COIN{at}USDT" for at in range(symbols)}
    Symbols.set(Binance.id, names, {"tick_size": dict.fromkeys(names, "0.01"), "instrument_type": dict.fromkeys(names, "spot")})
    Binance.websocket_endpoints = [WebsocketEndpoint(f"wss://127.0.0.1:{source_port}", options={"compression": None})]
    connect = connection.connect

    def without_tls(address: str, **options: Any) -> Any:  # the library refuses an address that does not begin with wss
        return connect(address.replace("wss:", "ws:", 1), **options)

    connection.connect = without_tls
    backend = TradeStream(host="127.0.0.1", port=server_port, overflow="block", batch_interval=0.05, batch_max=500, max_depth=100_000)
    handler = FeedHandler(config={"uvloop": True, "log": {"filename": "", "level": "WARNING"}})
    handler.add_feed(Binance(symbols=list(names), channels=[TRADES], callbacks={TRADES: backend}))
    async with Redis(port=server_port) as client:
        running = asyncio.create_task(handler.run_async(install_signal_handlers=False))
        watching = asyncio.create_task(counted(backend, client, count))
        done, _ = await asyncio.wait((running, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching not in done:
            raise SystemExit(f"the peer has ended: {running.exception() if not running.cancelled() else 'cancelled'}")
        return await watching


def main() -> None:
    """Print one JSON line."""
    import os  # noqa: PLC0415

    import uvloop  # noqa: PLC0415

    async def printed() -> None:
        print(json.dumps(await run(*map(int, sys.argv[1:5]))), flush=True)
        os._exit(0)  # what the library does at its end is not measured

    uvloop.run(printed())


if __name__ == "__main__":
    main()
