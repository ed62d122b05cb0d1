"""Measures the server's CPU per entry that a publisher writes, by the shape of its batches: `20x50` are 20 streams with 50 entries each.

    python benchmarks/server.py
    python benchmarks/server.py --against ../before/.venv/bin/python

Nobody listens to a channel, and each stream is as long as it gets, so that every batch trims. With `--against`, runs of this tree and of
the other one take turns, each on a new server, and the figures are medians; the client's CPU is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from decimal import Decimal

import harness

from crosstape.bus import Publisher, connect
from crosstape.settings import BusSettings
from crosstape.settings.model import MaxLen
from crosstape_schemas import Keys, Side, Trade

SHAPES = ("20x50", "20x1", "1x1", "500x2")
ENTRIES = {"20x50": 200_000, "20x1": 40_000, "1x1": 10_000, "500x2": 100_000}
"""Shape → how many entries to write; of another shape, as many as of the first."""
LENGTH = 1_000
WAIT_S = 60.0


def trade(stream: int, number: int) -> Trade:
    """Returns a trade of usual length."""
    name, ts = f"COIN{stream}-USDT", 1_795_644_919_934_299_073 + number
    return Trade(
        "binance", name, ts, ts + 2_000_000, Decimal("57000.10") + number, Decimal("0.01414016"), Side.BUY, str(1_000_000 + number)
    )


async def measure(url: str, shape: str, entries: int) -> float:
    """Returns µs of the server's CPU per entry."""
    streams, each = map(int, shape.split("x"))
    settings = BusSettings(url=url, prefix=shape, max_len=MaxLen(trade=LENGTH), batch=max(streams * each, 1))
    async with connect(settings) as client, asyncio.TaskGroup() as tasks:
        publisher = Publisher(client, Keys(shape), settings, producer="benchmark")
        running = tasks.create_task(publisher.run())
        fill = [trade(stream, number) for stream in range(streams) for number in range(LENGTH + 200)]
        for at in range(0, len(fill), 50_000):
            publisher.publish_all(fill[at : at + 50_000])
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


def one_run(url: str, shapes: list[str]) -> dict[str, float]:
    """Returns shape → µs per entry."""
    with harness.server(url) as where:
        return {shape: asyncio.run(measure(where, shape, ENTRIES.get(shape, ENTRIES[SHAPES[0]]))) for shape in shapes}


def main() -> None:
    """Print one JSON line: of each shape the median, and with `--against` that of the other tree and the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="PYTHON", help="interpreter of another tree's environment")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), metavar="STREAMSxENTRIES")
    parser.add_argument("--url", default="", help="of a server to use; default: an embedded one")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(one_run(options.url, options.shapes)))
        return
    runs: dict[str, list[dict[str, float]]] = {python: [] for python in (options.against, sys.executable) if python}
    for _ in range(options.rounds):
        for python, found in runs.items():
            command = [python, __file__, "--once", "--url", options.url, "--shapes", *options.shapes]
            found.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    for shape in options.shapes:
        times = {python: [run[shape] for run in found] for python, found in runs.items()}
        mine = times[sys.executable]
        figures: dict[str, object] = {"server_us_per_entry": round(statistics.median(mine), 3)}
        if options.against:
            other = times[options.against]
            figures["against_us"] = round(statistics.median(other), 3)
            figures["ratio"] = round(statistics.median(a / b for a, b in zip(mine, other, strict=True)), 3)
        harness.report(benchmark="server", shape=shape, rounds=options.rounds, **figures)


if __name__ == "__main__":
    main()
