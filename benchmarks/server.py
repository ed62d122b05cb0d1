"""Measures the server's CPU per entry that a publisher writes, by the shape of its batches: `20x50` are 20 streams with 50 entries each.

    python benchmarks/server.py
    python benchmarks/run.py server --against main~20

Nobody listens to a channel, and each stream is as long as it gets, so that batches trim. The client's CPU is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
from decimal import Decimal

import harness

from crosstape.bus import Publisher, connect
from crosstape.settings import BusSettings
from crosstape.settings.model import MaxLen
from crosstape_schemas import Keys, Side, Trade

SHAPES = {"20x50": 100_000, "20x1": 20_000, "1x1": 5_000, "500x2": 60_000}
"""Shape → how many entries to write."""
LENGTH = 200
"""Entries that a stream keeps, about."""
FILL = LENGTH + 120
"""Entries after which a stream is trimmed."""
WAIT_S = 60.0


def trade(stream: int, number: int) -> Trade:
    """Returns a trade of usual length."""
    name, ts = f"COIN{stream}-USDT", 1_795_644_919_934_299_073 + number
    price, size = Decimal("57000.10") + number, Decimal("0.01414016")
    return Trade("binance", name, ts, ts + 2_000_000, price, size, Side.BUY, str(1_000_000 + number))


async def measure(url: str, shape: str, entries: int) -> float:
    """Returns µs of the server's CPU per entry."""
    streams, each = map(int, shape.split("x"))
    settings = BusSettings(url=url, prefix=shape, max_len=MaxLen(trade=LENGTH), batch=max(streams * each, 1_000))
    async with connect(settings) as client, asyncio.TaskGroup() as tasks:
        publisher = Publisher(client, Keys(shape), settings, producer="benchmark")
        running = tasks.create_task(publisher.run(), name="publisher")
        publisher.publish_all(trade(stream, number) for stream in range(streams) for number in range(FILL))
        assert await publisher.drain(WAIT_S)
        batch = [trade(stream, number) for stream in range(streams) for number in range(each)]
        batches = max(1, entries // len(batch))
        before = harness.server_cpu_s(url)
        for _ in range(batches):
            publisher.publish_all(batch)
            assert await publisher.drain(WAIT_S)
        spent = harness.server_cpu_s(url) - before
        running.cancel()
    return spent / (batches * len(batch)) * 1e6


def main() -> None:
    """Print one JSON line for each shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), metavar="STREAMSxENTRIES")
    parser.add_argument("--url", default="", help="of a server to use; default: an embedded one")
    options = parser.parse_args()
    with harness.server(options.url) as url:
        for shape in options.shapes:
            spent = asyncio.run(measure(url, shape, SHAPES.get(shape, 100_000)))
            harness.report(benchmark="server", shape=shape, server_us_per_entry=round(spent, 3))


if __name__ == "__main__":
    main()
