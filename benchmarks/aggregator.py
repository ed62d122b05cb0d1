"""Measures the aggregator, from events to consolidated quotes: events/s, and CPU µs per event, at 10, 200 and 2,000 instruments.

    python benchmarks/aggregator.py --events 600000
    python benchmarks/aggregator.py --events 300000 --bars 1m --runs 5     what bars cost: runs with and without them, in turn

The whole service runs in this process (readers, engine, publisher). While it stands still, a loader in another process publishes
quotes and trades of three venues; then the service has to catch up with them. Per event is the CPU time of this process, publishing and
checkpoints included (with --checkpoint-s, more of them than usual). With --bars, the ratio is events/s with bars to those without, of
each pair of runs and their median; `cpu_ratio` is the same of CPU time, which other processes disturb less.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time

import harness
import msgspec
import uvloop

from crosstape.bus import Publisher, connect
from crosstape.runtime import lifecycle
from crosstape.settings import AggregatorSettings, BusSettings, Settings, TelemetrySettings
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore
from crosstape_aggregator.shard import ShardAggregator
from crosstape_schemas import Keys

LIMIT_S = 180.0
POLL_S = 0.005


async def measure(url: str, instruments: int, count: int, changed: AggregatorSettings) -> dict[str, float]:
    """Measure one number of instruments on an empty server."""
    bus = BusSettings(url=url)
    settings = Settings(
        bus=bus,
        telemetry=TelemetrySettings(http_enabled=False, log_level="error"),
        aggregator=changed,
    )
    engine, keys = Engine(settings.aggregator), Keys()
    with harness.process(str(harness.HERE / "loader.py"), url, str(instruments), str(count), stdin=True) as loader:
        assert loader.stdin is not None
        assert loader.stdout is not None
        await asyncio.to_thread(loader.stdout.readline)
        async with connect(bus) as client, asyncio.TaskGroup() as tasks:
            publisher = Publisher(client, keys, bus, producer="aggregator")
            store = CheckpointStore(client, keys, "aggregator", publisher.epoch)
            service = ShardAggregator(settings, client, keys, engine, publisher, store=store)
            running = [tasks.create_task(publisher.run()), tasks.create_task(service.run())]
            deadline = time.monotonic() + LIMIT_S
            last_values = 3 * instruments  # a quote of each venue: until they are read, what is published meanwhile is skipped
            while not (engine.counts.applied["quote"] >= last_values and service.ready()[1]["catching_up"] == 0):
                if time.monotonic() > deadline:
                    raise SystemExit("aggregator: it never caught up with the loaded events")
                await asyncio.sleep(POLL_S)
            before, quotes = sum(engine.counts.applied.values()), engine.counts.published
            loader.stdin.write(b"go\n")
            loader.stdin.flush()
            loader.wait(LIMIT_S)  # blocks the event loop on purpose: nothing is read meanwhile
            start, start_cpu = time.perf_counter(), time.process_time()
            while (taken := sum(engine.counts.applied.values()) - before) < count // 3 * 3:
                if time.monotonic() > deadline:
                    raise SystemExit(f"aggregator: {taken} of {count} events came")
                await asyncio.sleep(POLL_S)
            seconds, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
            for task in running:
                task.cancel()
    us = cpu_s / taken * 1e6
    return {
        "events_per_s": round(taken / seconds),
        "cpu_us_per_event": round(us, 2),
        "events_per_quote": round(taken / max(1, engine.counts.published - quotes), 1),
    }


def measured(instruments: int, count: int, changed: AggregatorSettings) -> dict[str, float]:
    """Measure on a server of its own."""
    with contextlib.ExitStack() as stack:
        bus = stack.enter_context(harness.server())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure(bus, instruments, count, changed))


def compared(instruments: int, count: int, settings: AggregatorSettings, runs: int) -> dict[str, object]:
    """Measure with and without bars in turn; the second of a pair is the first of the next one, so that neither is always first."""
    without = msgspec.structs.replace(settings, bars=())
    plain: list[dict[str, float]] = []
    bars: list[dict[str, float]] = []
    for run in range(runs):
        for one in (without, settings) if run % 2 else (settings, without):
            (bars if one.bars else plain).append(measured(instruments, count, one))
    ratios = [round(b["events_per_s"] / a["events_per_s"], 3) for a, b in zip(plain, bars, strict=True)]
    cpu_ratios = [round(a["cpu_us_per_event"] / b["cpu_us_per_event"], 3) for a, b in zip(plain, bars, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "cpu_ratio": statistics.median(cpu_ratios),
        "ratios": ratios,
        "cpu_ratios": cpu_ratios,
        "without": plain,
        "with": bars,
    }


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--instruments", type=int, nargs="+", default=[10, 200, 2_000])
    parser.add_argument("--checkpoint-s", type=float, default=AggregatorSettings().checkpoint_s)
    parser.add_argument("--bars", nargs="+", default=[], metavar="TIMEFRAME", help="measure with and without bars of these timeframes")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs, with --bars")
    options = parser.parse_args()
    lifecycle.tune_gc()
    settings = AggregatorSettings(stale_s=3_600.0, checkpoint_s=options.checkpoint_s, bars=tuple(options.bars))
    found: dict[str, object] = {}
    for instruments in options.instruments:
        if settings.bars:
            found[str(instruments)] = compared(instruments, options.events, settings, options.runs)
        else:
            found[str(instruments)] = measured(instruments, options.events, settings)
    harness.report(benchmark="aggregator", events=options.events, bars=options.bars, instruments=found)


if __name__ == "__main__":
    main()
