"""Writes ready rows with the recorder's store in PostgreSQL; prints the figures as one JSON line. See `postgres_peer.py`.

    python benchmarks/postgres_store.py postgresql://postgres@127.0.0.1/postgres 200000

What a recorder makes of entries (`recorded_rows.py` measures that) is made before the clock starts; it stops when the last commit
of 50,000 rows is on the disk. The first commit, before the clock starts, makes the tables and loads the libraries: it has a few rows.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
import uuid
from typing import Any

import uvloop
from recorded_trades import trades

from crosstape.bus import Bookmark, Entry
from crosstape.history import text_events
from crosstape.history.batch import Batch
from crosstape.history.columns import BatchBuilder
from crosstape.history.postgres.store import PostgresStore
from crosstape.runtime import lifecycle

COMMIT = 50_000
WARM = 100
STREAM = "tape:trade:BTC-USDT"


def batches(count: int) -> list[Batch]:
    """Returns the rows of each commit."""
    made = []
    rows = trades(count)
    while part := list(itertools.islice(rows, COMMIT)):
        builder = BatchBuilder("trade")
        events: list[Any] = [text_events.decode(data) for _, data in part]
        builder.extend(Entry(STREAM, entry_id, event, data) for (entry_id, data), event in zip(part, events, strict=True))
        made.append(builder.build())
    return made


async def run(url: str, count: int) -> dict[str, float]:
    """Write all rows; returns the figures."""
    store = PostgresStore(f"{url}?schema=bench_{uuid.uuid4().hex}")
    made = batches(count)
    lifecycle.tune_gc()
    try:
        for batch in batches(WARM):
            await store.append(batch, {}, after=0)
        began, cpu = time.perf_counter(), time.process_time()
        for number, batch in enumerate(made, 1):
            if await store.append(batch, {STREAM: Bookmark(f"{number}-0")}, after=number) is None:
                raise SystemExit("somebody else writes there")
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        await store.aclose()
    return {"trades_a_second": round(count / wall), "cpu_us": round(cpu / count * 1e6, 2)}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(sys.argv[1], int(sys.argv[2])))))
