"""Measures questions to a history in files, as `Tape`, the gateway and `crosstape history` ask them; and its size.

    python benchmarks/history.py --trades 5000000 --rounds 5

The trades are those of `recorded_trades`, of six instruments and five venues, about a day of them. They are committed 50,000 at a time and
merged, as a recorder does. Each question is asked of a store that was opened before; the first time is printed, too, since it reads the
footers of files. Prints JSON lines: ms by the wall clock, first and median, and of CPU, and of each run; bytes a row. `answer` is what was
found: bytes of the last trade, rows of the hour, candles. BTC-USDT has 40 % of the trades and ADA-USDT, the least, 4 %.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from recorded_trades import trades

from crosstape.bus import Bookmark, Entry
from crosstape.history import text_events
from crosstape.history.batch import Batch
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from crosstape.runtime import lifecycle

NAME: dict[str, object] = {"benchmark": "history"}
COMMIT = 50_000
MADE = 250_000
"""Trades that are made; the others are the same at later times."""
RATE = 58
"""Trades a second: five millions are a day."""
HOUR = 3_600 * 10**9
STREAM = "tape:trade:BTC-USDT"
TIMES = ("ts", "venue_ts", "received_ts")


def batches(count: int) -> list[Batch]:
    """Returns the rows of each commit, of `count` trades."""
    made = []
    rows = trades(count, RATE)
    while part := list(itertools.islice(rows, COMMIT)):
        builder = BatchBuilder("trade")
        events: list[Any] = [text_events.decode(data) for _, data in part]
        builder.extend(Entry(STREAM, entry_id, event, data) for (entry_id, data), event in zip(part, events, strict=True))
        made.append(builder.build())
    return made


def later(batch: Batch, times: int, span_ms: int, rows: int) -> Batch:
    """Returns the rows of a batch `times` spans later, with the numbers that follow."""
    columns = dict(batch.columns)
    for name, step in (*((name, span_ms * 1_000_000) for name in TIMES), ("id_ms", span_ms), ("seq", rows)):
        columns[name] = array("q", [value + times * step for value in columns[name]])  # type: ignore[operator]
    return Batch(batch.kind, columns, batch.data, batch.exact)


async def fill(store: ParquetStore, count: int) -> int:
    """Commit trades; returns the newest time of one."""
    made = batches(min(count, MADE))
    times_ms: list[Any] = [ms for batch in made for ms in batch.columns["id_ms"]]
    first, last = min(times_ms), max(times_ms)
    number = newest = 0
    for times in range(-(-count // MADE)):
        for batch in made:
            shifted = later(batch, times, last - first + 1, MADE)
            number += 1
            if await store.append(shifted, {STREAM: Bookmark(f"{number}-0")}, after=number - 1) is None:
                raise SystemExit("somebody else writes there")
            newest = max(newest, *shifted.columns["ts"])  # type: ignore[call-overload]
    return newest


def bytes_in(path: Path) -> int:
    """Returns how large the files below a folder are."""
    return sum(file.stat().st_size for file in path.rglob("*.parquet"))


async def timed(what: str, rounds: int, ask: Callable[[], Awaitable[int]]) -> None:
    """Ask some times; print the times, and how much the answer has."""
    took, cpu = [], []
    for _ in range(rounds + 1):
        began, used = time.perf_counter(), time.process_time()
        size = await ask()
        took.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    figures = {"ms": statistics.median(took[1:]), "first_ms": took[0], "cpu_ms": statistics.median(cpu[1:])}
    runs = {"runs_ms": [round(ms, 1) for ms in took[1:]], "runs_cpu_ms": [round(ms, 1) for ms in cpu[1:]]}
    shown = {name: round(ms, 1) for name, ms in figures.items()}
    print(json.dumps(NAME | {"question": what} | shown | {"answer": size} | runs), flush=True)


async def run(path: Path, count: int, rounds: int) -> None:
    """Make a history, and ask."""
    ahead = [0]
    store = ParquetStore(LocalFolder(path), clock=lambda: time.time_ns() + ahead[0])
    began = time.perf_counter()
    newest = await fill(store, count)
    print(json.dumps(NAME | {"committed": count, "trades_a_second": round(count / (time.perf_counter() - began))}), flush=True)

    async def last() -> int:
        return len(await store.last(Query(kind="trade", instrument="BTC-USDT", to_ts=newest)) or b"")

    async def candles(*, instrument: str | None = None) -> int:
        return len(await store.candles(Query(kind="trade", instrument=instrument), "1m"))

    async def hour() -> int:
        query = Query(kind="trade", instrument="ETH-USDT", from_ts=newest - 3 * HOUR, to_ts=newest - 2 * HOUR)
        return sum([len(table) async for table in store.read(query)])

    await timed("last price, before merging", rounds, last)
    began = time.perf_counter()
    while await store.compact():
        pass
    ahead[0] = 2 * HOUR  # what was merged is deleted after an hour
    while await store.compact():
        pass
    size = await asyncio.to_thread(bytes_in, path)
    print(json.dumps(NAME | {"merged_s": round(time.perf_counter() - began, 2), "bytes_a_row": round(size / count, 2)}), flush=True)
    await timed("last price", rounds, last)
    await timed("an hour of one instrument", rounds, hour)
    await timed("candles of 1m of the instrument with the most trades", rounds, lambda: candles(instrument="BTC-USDT"))
    await timed("candles of 1m of the instrument with the fewest trades", rounds, lambda: candles(instrument="ADA-USDT"))
    await timed("candles of 1m of all", rounds, candles)
    await store.aclose()


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    lifecycle.tune_gc()
    with tempfile.TemporaryDirectory(prefix="crosstape-bench-") as folder:
        asyncio.run(run(Path(folder), options.trades, options.rounds))


if __name__ == "__main__":
    main()
