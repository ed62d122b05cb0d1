"""Writes trades with cryptofeed's PostgreSQL backend; prints the figures as one JSON line. It imports nothing of crosstape.

    python postgres_peer_cryptofeed.py TRADES.jsonl PORT PASSWORD BATCH

The trades are events of crosstape, one a line. They are made into the library's own objects before the clock starts. Then each is given to
the backend as its feed handler does; the clock stops when the backend says that all are written. Digits are kept (`numeric_type=str`), and
nothing is dropped (`overflow="block"`).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

TABLE = "trades"
POLL_S = 0.002


def objects(path: str) -> list[tuple[Any, float]]:
    """Returns the library's trades, and when each was received."""
    from cryptofeed.types import Trade  # noqa: PLC0415 - only the peer's environment has it

    made = []
    for line in Path(path).read_bytes().splitlines():
        event = json.loads(line)
        trade = Trade(
            event["venue"].upper(), event["instrument"], event["taker"], Decimal(event["size"]), Decimal(event["price"]),
            event["venue_ts"] / 1e9, id=event["trade_id"],
        )  # fmt: skip
        made.append((trade, event["received_ts"] / 1e9))
    return made


async def run(path: str, port: int, password: str, batch: int) -> dict[str, float]:
    """Write all trades; returns the figures."""
    from cryptofeed.backends.postgres import TradePostgres  # noqa: PLC0415 - only the peer's environment has it

    trades = objects(path)
    backend = TradePostgres(
        host="127.0.0.1", port=port, user="postgres", pw=password, db="postgres", table=TABLE, numeric_type=str,
        overflow="block", batch_max=batch, batch_interval=0.05, max_depth=100_000,
    )  # fmt: skip
    async with asyncio.TaskGroup() as tasks:
        await backend.connect()
        writer = backend.start_writer(tasks, "writer")
        began, cpu = time.perf_counter(), time.process_time()
        for trade, received in trades:
            await backend(trade, received)
        while backend.stats.written < len(trades):
            if writer.done() or backend.stats.dropped_failed:
                raise SystemExit(f"the peer has failed: {backend.stats.last_error}")
            await asyncio.sleep(POLL_S)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        await backend.stop()
    return {"trades_a_second": round(len(trades) / wall), "cpu_us": round(cpu / len(trades) * 1e6, 2)}


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))))
