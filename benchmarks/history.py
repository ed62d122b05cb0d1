"""How long questions to a recorded history of 5,000,000 trades take: candles, the price at a moment, an hour of one instrument.

    python benchmarks/history.py [--trades 5000000] [--folder DIR]

The store is a folder of Parquet files, as `crosstape recorder` and its compaction leave them: one file for each day. Every run is printed,
the first one cold (footers are read, files are in the cache of the system), in ms.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).parent))

from recorded_trades import SECOND, START, trades

from crosstape.history import text_events
from crosstape.history.arrow import schema_of, table_of
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.file import bytes_of
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.names import merged
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from crosstape_schemas.timeframes import DAY

RUNS: Final = 7
MADE: Final = 200_000
"""Trades that are made one by one; the rest are copies of them at other times, with other ids."""
DAYS: Final = 5
HOUR: Final = 3_600 * SECOND
TARGETS: Final = {"candles": 200, "last": 20, "hour": 50}
"""ms."""


def day_of(made: pa.Table, day: int, rows: int, times: int) -> pa.Table:
    """Returns the trades of one day: copies of `made`, spread over it."""
    parts = []
    begin = START // DAY * DAY + day * DAY
    first, last = pc.min(made["ts"]).as_py(), pc.max(made["ts"]).as_py()
    length = last - first + 1
    for copy in range(times):
        # A copy's times are stretched to its part of the day: whole ms, as most venues give them.
        offset = begin + DAY * copy // times
        spread = pc.multiply(pc.divide(pc.subtract(made["ts"], first), 1_000), DAY // times * 1_000 // length)
        ts = pc.multiply(pc.divide(pc.add(spread, offset), 1_000_000), 1_000_000)
        part = made
        for name, values in {
            "ts": ts,
            "venue_ts": ts,
            "received_ts": pc.add(ts, 8_000_000),
            "id_ms": pc.add(pc.divide(ts, 1_000_000), 9),
            "seq": pc.add(made["seq"], (day * times + copy) * MADE),
            "trade_id": pc.cast(pc.add(pc.cast(made["trade_id"], pa.int64()), (day * times + copy) * 10**9), pa.string()),
        }.items():
            part = part.set_column(part.schema.get_field_index(name), name, values)
        parts.append(part)
    return pa.concat_tables(parts).slice(0, rows).cast(schema_of("trade"))


def write(folder: Path, count: int, *, instrument: str | None = None) -> None:
    """Writes a history of `count` trades, one file a day; `instrument`: all are of this one."""
    builder = BatchBuilder("trade")
    for entry, data in trades(MADE):
        ms, _, number = entry.partition("-")
        builder.add(int(ms), int(number), text_events.decode(data), data)
    made = table_of(builder.build())
    if instrument:
        made = made.filter(pc.equal(made["instrument"], instrument))
    each = count // DAYS
    times = -(-each // len(made))
    days = [day_of(made, day, each, times) for day in range(DAYS)]
    names = [time.strftime("%Y-%m-%d", time.gmtime(START // DAY * 86_400 + day * 86_400)) for day in range(DAYS)]
    for number, (name, table) in enumerate(zip(names, days, strict=True), 1):
        (of,) = merged(number, number, [name])
        path = folder / "trade" / of.text
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes_of(table, {}))


async def measure(what: str, ask: Callable[[], Awaitable[object]], target: int) -> bool:
    """Prints all runs of one question; returns whether the median of the warm ones reaches the target."""
    runs: list[float] = []
    said: object = None
    for _ in range(RUNS):
        begin = time.perf_counter()
        said = await ask()
        runs.append((time.perf_counter() - begin) * 1_000)
    warm = sorted(runs[1:])
    median = warm[len(warm) // 2]
    print(f"{what:58} {' '.join(f'{run:6.1f}' for run in runs)}   median {median:6.1f} ms, target {target}   {said}")
    return median <= target


async def ask_all(folder: Path, what: str) -> bool:
    """Asks everything of one history."""
    files = list(folder.glob("trade/*/*.parquet"))
    size = sum(file.stat().st_size for file in files)
    store = ParquetStore(LocalFolder(folder))
    noon = START // DAY * DAY + 2 * DAY + DAY // 2
    btc = Query(kind="trade", instrument="BTC-USDT")
    try:
        rows = 0
        async for table in store.read(Query(kind="trade", from_ts=noon, to_ts=noon + HOUR)):
            rows += len(table)
        print(f"\n{what}: {len(files)} files, {size / 1e6:.1f} MB; {rows:,} rows in one hour")

        async def candles() -> str:
            return f"{len(await store.candles(btc, '1m')):,} candles"

        async def last() -> str:
            found = await store.last(Query(kind="trade", instrument="BTC-USDT", to_ts=noon))
            return "found" if found else "none"

        async def hour() -> str:
            return f"{sum([len(table) async for table in store.read(Query(kind='trade', instrument='ETH-USDT', from_ts=noon, to_ts=noon + HOUR))]):,} rows"

        good = [
            await measure("1-minute candles of all trades of BTC-USDT", candles, TARGETS["candles"]),
            await measure("last trade of BTC-USDT before a moment", last, TARGETS["last"]),
            await measure("one hour of ETH-USDT, all columns", hour, TARGETS["hour"]),
        ]
        return all(good)
    finally:
        await store.aclose()


def main() -> None:
    """Makes the histories, and asks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trades", type=int, default=5_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crosstape-bench-") as folder:
        for name, instrument in (("six instruments", None), ("one instrument", "BTC-USDT")):
            place = Path(folder) / name.replace(" ", "-")
            write(place, options.trades, instrument=instrument)
            asyncio.run(ask_all(place, f"{options.trades:,} trades of {name}"))


if __name__ == "__main__":
    main()
