"""The bus's metrics for Prometheus. Needs `crosstape[services]`; the rest of the bus does not import it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from crosstape.bus.client.server_memory import ServerMemory
from crosstape.bus.metrics.hooks import PublisherMetrics, ReaderMetrics
from crosstape_schemas import KINDS, GapCause

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
LOSSES = (GapCause.OVERFLOW.value, GapCause.BUS.value)
"""The causes for which a publisher drops entries."""
SIZES = (1, 4, 16, 64, 128, 256, 512, 1024, 4096)


class _PublisherNumbers:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.written = Counter("crosstape_bus_written", "Entries acknowledged by the server, those sent again included", registry=registry)
        self.size = Histogram("crosstape_bus_batch_entries", "Entries in one batch", buckets=SIZES, registry=registry)
        self.seconds = Histogram("crosstape_bus_batch_seconds", "From sending a batch to its answer", buckets=SECONDS, registry=registry)
        self.pending = Gauge("crosstape_bus_pending", "Entries that wait or are in flight", registry=registry)
        self.conflated = Counter("crosstape_bus_conflated", "Entries replaced by a newer one", ["kind"], registry=registry)
        self.dropped = Counter("crosstape_bus_dropped", "Entries that will not be on the tape", ["kind", "cause"], registry=registry)
        for kind in KINDS:
            for cause in LOSSES:
                self.dropped.labels(kind, cause)  # start at 0: no rate shows the first count of a series that appears with it
        self.spooled = Counter("crosstape_bus_spooled", "Entries written to the spool on disk", registry=registry)
        self.spool_bytes = Gauge("crosstape_bus_spool_bytes", "Size of the spool on disk", registry=registry)
        self.spool_entries = Gauge("crosstape_bus_spool_entries", "Entries in the spool that are not on the tape yet", registry=registry)
        self.spool_errors = Counter(
            "crosstape_bus_spool_errors", "Times that the spool could not be written or read, or was found damaged", registry=registry
        )
        self.spools_kept = Counter(
            "crosstape_bus_spools_kept_aside",
            "Times that the spool found at the start was for another tape, and was kept aside",
            registry=registry,
        )
        self.retransmitted = Counter("crosstape_bus_retransmitted", "Entries sent again to a server that had lost them", registry=registry)
        self.reconnects = Counter(
            "crosstape_bus_publisher_reconnects", "Times that the server answered again after an outage", registry=registry
        )
        self.away = Counter("crosstape_bus_publisher_away_seconds", "Seconds in which the server did not answer", registry=registry)


class _ReaderNumbers:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.read = Counter("crosstape_bus_read", "Entries read", registry=registry)
        self.foreign = Counter("crosstape_bus_foreign", "Entries skipped because they are no events of crosstape", registry=registry)
        self.missed = Counter("crosstape_bus_missed", "Entries that are missing by the numbering", registry=registry)
        self.gaps = Counter("crosstape_bus_holes", "Times that entries were found missing", registry=registry)
        self.repeated = Counter("crosstape_bus_repeated", "Entries dropped because they were read before", registry=registry)
        self.reconnects = Counter(
            "crosstape_bus_reader_reconnects", "Times that the server answered again after an outage", registry=registry
        )
        self.away = Counter("crosstape_bus_reader_away_seconds", "Seconds in which the server did not answer", registry=registry)


_publisher_numbers = functools.cache(_PublisherNumbers)
_reader_numbers = functools.cache(_ReaderNumbers)
# A registry takes each name once: all publishers of a process share its numbers, and so do all readers.


class PrometheusPublisherMetrics(PublisherMetrics):
    """The metrics of all publishers of a process together; another `registry` has its own."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._numbers = _publisher_numbers(registry)
        self._pending = 0

    def written(self, entries: int, seconds: float) -> None:
        """See `PublisherMetrics`."""
        self._numbers.written.inc(entries)
        self._numbers.size.observe(entries)
        self._numbers.seconds.observe(seconds)

    def pending(self, entries: int) -> None:
        """See `PublisherMetrics`."""
        self._numbers.pending.inc(entries - self._pending)  # the gauge is the sum over several publishers
        self._pending = entries

    def conflated(self, kind: str, entries: int) -> None:
        """See `PublisherMetrics`."""
        self._numbers.conflated.labels(_kind(kind)).inc(entries)

    def dropped(self, kind: str, entries: int, cause: str) -> None:
        """See `PublisherMetrics`."""
        self._numbers.dropped.labels(_kind(kind), cause).inc(entries)

    def spooled(self, entries: int) -> None:
        """See `PublisherMetrics`."""
        self._numbers.spooled.inc(entries)

    def spool(self, size: int, entries: int) -> None:
        """See `PublisherMetrics`."""
        self._numbers.spool_bytes.set(size)
        self._numbers.spool_entries.set(entries)

    def spool_error(self) -> None:
        """See `PublisherMetrics`."""
        self._numbers.spool_errors.inc()

    def spool_kept_aside(self) -> None:
        """See `PublisherMetrics`."""
        self._numbers.spools_kept.inc()

    def retransmitted(self, entries: int) -> None:
        """See `PublisherMetrics`."""
        self._numbers.retransmitted.inc(entries)

    def reconnected(self, seconds: float) -> None:
        """See `PublisherMetrics`."""
        self._numbers.reconnects.inc()
        self._numbers.away.inc(seconds)


def _kind(feed: str) -> str:
    """Returns the label of a kind of feeds: candles of all timeframes count together."""
    return feed.partition(":")[0]


class PrometheusReaderMetrics(ReaderMetrics):
    """The metrics of all readers of a process together, as `PrometheusPublisherMetrics`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._numbers = _reader_numbers(registry)

    def read(self, entries: int) -> None:
        """See `ReaderMetrics`."""
        self._numbers.read.inc(entries)

    def foreign(self) -> None:
        """See `ReaderMetrics`."""
        self._numbers.foreign.inc()

    def missed(self, entries: int) -> None:
        """See `ReaderMetrics`."""
        self._numbers.gaps.inc()
        self._numbers.missed.inc(entries)

    def repeated(self, entries: int) -> None:
        """See `ReaderMetrics`."""
        self._numbers.repeated.inc(entries)

    def reconnected(self, seconds: float) -> None:
        """See `ReaderMetrics`."""
        self._numbers.reconnects.inc()
        self._numbers.away.inc(seconds)


class ServerMemoryCollector(Collector):
    """Collects the server's memory as it was last known; nothing while it is not known. One for each registry: see `server_memory`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._memory: ServerMemory | None = None
        registry.register(self)

    def update(self, memory: ServerMemory | None) -> None:
        """Set the server's memory; None: not known."""
        self._memory = memory

    def describe(self) -> tuple[GaugeMetricFamily, ...]:
        """The metrics, without values."""
        return (
            GaugeMetricFamily(
                "crosstape_bus_server_memory_bytes", "Memory that the bus's server uses; of a cluster, the sum over its primaries"
            ),
            GaugeMetricFamily(
                "crosstape_bus_server_memory_limit_bytes", "Memory that the bus's server may use (maxmemory); 0: it has no limit"
            ),
            GaugeMetricFamily(
                "crosstape_bus_server_evicts",
                "1: the bus's server evicts keys of the tape at its limit (maxmemory-policy is not noeviction); 0: it does not",
            ),
        )

    def collect(self) -> Iterator[Metric]:
        """The metrics, with the last values."""
        if self._memory is not None:
            for family, value in zip(self.describe(), self._memory, strict=True):
                family.add_metric((), value)
                yield family


server_memory = functools.cache(ServerMemoryCollector)
"""The one collector of a registry, which every `watch_memory` updates."""
