"""Measures the aggregator, from events to consolidated quotes: events/s, and CPU µs per event, at 10, 200 and 2,000 instruments.

    python benchmarks/aggregator.py --events 600000

The whole service runs in this process (readers, engine, publisher). While it stands still, a loader in another process publishes
quotes and trades of three venues; then the service has to catch up with them. Per event is the CPU time of this process, publishing and
checkpoints included (with --checkpoint-s, more of them than usual).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time

import harness
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


async def measure(url: str, instruments: int, count: int, checkpoint_s: float) -> dict[str, float]:
    """Measure one number of instruments on an empty server."""
    bus = BusSettings(url=url)
    settings = Settings(
        bus=bus,
        telemetry=TelemetrySettings(http_enabled=False, log_level="error"),
        aggregator=AggregatorSettings(stale_s=3_600.0, checkpoint_s=checkpoint_s),
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
            while not (len(engine.instruments) == instruments and service.ready()[1]["catching_up"] == 0):
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


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--instruments", type=int, nargs="+", default=[10, 200, 2_000])
    parser.add_argument("--checkpoint-s", type=float, default=AggregatorSettings().checkpoint_s)
    options = parser.parse_args()
    lifecycle.tune_gc()
    found = {}
    for instruments in options.instruments:
        with contextlib.ExitStack() as stack:
            bus = stack.enter_context(harness.server())
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found[str(instruments)] = runner.run(measure(bus, instruments, options.events, options.checkpoint_s))
    harness.report(benchmark="aggregator", events=options.events, instruments=found)


if __name__ == "__main__":
    main()
