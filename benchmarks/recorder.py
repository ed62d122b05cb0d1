"""Measures a recorder: trades that wait in the streams of a server, until they are committed to the store.

    python benchmarks/recorder.py --trades 500000 --rounds 3
    python benchmarks/recorder.py --store postgresql://postgres@127.0.0.1/postgres

The trades are those of `recorded_trades`. The recorder is the service's, with its default settings: it reads over a socket, decodes, checks
the numbering, makes columns, and commits every 50,000 rows; a commit is on the disk before the next begins. Each round records to an empty
store; at the end the history is read and counted. Prints one JSON line a round: trades a second by the wall clock, and CPU time of the
recorder and of the bus's server, in µs a trade.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
import uuid

import harness
import redis
import uvloop
from process_cpu import cpu_s
from recorded_trades import trades

from crosstape.bus import connect
from crosstape.history.opening import open_store
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape.runtime import lifecycle
from crosstape.settings import BusSettings, RecorderSettings, Settings
from crosstape_recorder import metrics
from crosstape_recorder.recorder import Recorder
from crosstape_schemas import Keys, decode

AT_ONCE = 1_000
LIMIT_S = 300.0
KEYS = Keys()


def fill(url: str, count: int) -> None:
    """Put trades on the tape, as a publisher leaves them there."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.hset(KEYS.identity(), mapping={"id": uuid.uuid4().hex, "origin": "simulated"})
        pipeline = client.pipeline(transaction=False)
        for number, (entry_id, data) in enumerate(trades(count)):
            instrument = data.partition(b'"instrument":"')[2].partition(b'"')[0].decode()
            pipeline.xadd(KEYS.stream("trade", instrument), {"d": data}, id=entry_id)
            if number % AT_ONCE == 0:
                pipeline.sadd(KEYS.registry(), KEYS.stream("trade", instrument))
                pipeline.execute()
        for instrument in {decode(data).instrument for _, data in trades(AT_ONCE)}:
            pipeline.sadd(KEYS.registry(), KEYS.stream("trade", instrument))
        pipeline.execute()


def committed() -> float:
    """Returns how many trades recorders of this process have committed."""
    (metric,) = metrics.ROWS.labels("trade").collect()  # collecting all metrics would cost more than recording
    return next(sample.value for sample in metric.samples if sample.name.endswith("_total"))


async def record(settings: Settings, store: Store, count: int) -> tuple[float, float]:
    """Record all trades of the tape. Returns seconds by the wall clock, and of CPU, for one trade.

    The last rows do not fill a commit, and wait for `commit_s`: the clock stops with the last commit that is full.
    """
    already = committed()
    full = already + count - settings.recorder.commit_rows
    took: tuple[float, float] | None = None
    async with connect(settings.bus) as client:
        recorder = asyncio.create_task(Recorder(settings, client, store).run())
        began, cpu = time.perf_counter(), time.process_time()
        async with asyncio.timeout(LIMIT_S):
            while committed() < already + count:
                if recorder.done():
                    recorder.result()
                await asyncio.sleep(0.005)
                if took is None and (done := committed()) >= full:
                    rows = done - already
                    took = (time.perf_counter() - began) / rows, (time.process_time() - cpu) / rows
        recorder.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await recorder
    assert took is not None
    return took


async def one_round(url: str, store_url: str, count: int, postmaster: int = 0) -> dict[str, float | str]:
    """Record to an empty store; returns the figures."""
    recorder = RecorderSettings(store=store_url, kinds=("trade",), commit_s=1.0)
    settings = Settings(bus=BusSettings(url=url), recorder=recorder)
    server = harness.server_cpu_s(url)
    async with open_store(settings) as store:
        postgres = cpu_s(postmaster)
        wall, cpu = await record(settings, store, count)
        postgres = cpu_s(postmaster) - postgres
        server = harness.server_cpu_s(url) - server
        rows = 0
        async for table in store.read(Query(kind="trade")):
            rows += len(table)
        written = store.bytes_written
    if rows != count:
        raise SystemExit(f"{rows} of {count} trades are in the history")
    micros = 1e6 / count
    named: dict[str, float | str] = {"benchmark": "recorder"}
    if postmaster:
        named["postgres_cpu_us"] = round(postgres * micros, 2)
    return named | {
        "trades_a_second": round(1 / wall),
        "cpu_us": round(cpu * 1e6, 2),
        "server_cpu_us": round(server * micros, 2),
        "bytes_written_a_row": round(written / count, 1),
    }


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", default="", help="postgresql://…, each round in a schema of its own; empty: a temporary folder")
    parser.add_argument("--bus", default="", help="redis://… of a server that may be emptied; empty: an embedded one")
    parser.add_argument("--postmaster", type=int, default=0, metavar="PID", help="of the store's PostgreSQL server, to say its CPU time")
    options = parser.parse_args()
    lifecycle.tune_gc()
    with harness.server(options.bus) as url:
        fill(url, options.trades)
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(prefix="crosstape-bench-") as folder:
                store = f"{options.store}?schema=bench_{uuid.uuid4().hex}" if options.store else folder
                print(json.dumps(uvloop.run(one_round(url, store, options.trades, options.postmaster))), flush=True)


if __name__ == "__main__":
    main()
