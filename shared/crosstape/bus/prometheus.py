"""The bus's metrics for Prometheus. Needs `crosstape[services]`; the rest of the bus does not import it."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from crosstape.bus.metrics import PublisherMetrics, ReaderMetrics

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
SIZES = (1, 4, 16, 64, 128, 256, 512, 1024, 4096)


class PrometheusPublisherMetrics(PublisherMetrics):
    """One a process; with several publishers in it, give each its own `registry`, or share this one: the counts then add up."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._written = Counter("crosstape_bus_written", "Entries acknowledged by the server, those sent again included", registry=registry)
        self._size = Histogram("crosstape_bus_batch_entries", "Entries in one script call", buckets=SIZES, registry=registry)
        self._seconds = Histogram("crosstape_bus_batch_seconds", "From sending a batch to its answer", buckets=SECONDS, registry=registry)
        self._pending = Gauge("crosstape_bus_pending", "Entries waiting or in flight", registry=registry)
        self._conflated = Counter("crosstape_bus_conflated", "Entries replaced by a newer one", ["kind"], registry=registry)
        self._dropped = Counter("crosstape_bus_dropped", "Entries that will not be on the tape", ["kind", "cause"], registry=registry)
        self._retransmitted = Counter("crosstape_bus_retransmitted", "Entries sent again to a server that lost them", registry=registry)
        self._reconnects = Counter("crosstape_bus_publisher_reconnects", "Times the server answered again", registry=registry)
        self._away = Counter("crosstape_bus_publisher_away_seconds", "Time without an answer", registry=registry)

    def written(self, entries: int, seconds: float) -> None:
        """See `PublisherMetrics`."""
        self._written.inc(entries)
        self._size.observe(entries)
        self._seconds.observe(seconds)

    def pending(self, entries: int) -> None:
        """See `PublisherMetrics`."""
        self._pending.set(entries)

    def conflated(self, kind: str, entries: int) -> None:
        """See `PublisherMetrics`."""
        self._conflated.labels(kind).inc(entries)

    def dropped(self, kind: str, entries: int, cause: str) -> None:
        """See `PublisherMetrics`."""
        self._dropped.labels(kind, cause).inc(entries)

    def retransmitted(self, entries: int) -> None:
        """See `PublisherMetrics`."""
        self._retransmitted.inc(entries)

    def reconnected(self, seconds: float) -> None:
        """See `PublisherMetrics`."""
        self._reconnects.inc()
        self._away.inc(seconds)


class PrometheusReaderMetrics(ReaderMetrics):
    """One a process, as `PrometheusPublisherMetrics`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._read = Counter("crosstape_bus_read", "Entries read", registry=registry)
        self._foreign = Counter("crosstape_bus_foreign", "Entries skipped that are none of ours", registry=registry)
        self._missed = Counter("crosstape_bus_missed", "Entries that the numbering says were missed", registry=registry)
        self._holes = Counter("crosstape_bus_holes", "Times that entries were missed", registry=registry)
        self._repeated = Counter("crosstape_bus_repeated", "Entries dropped that were read before", registry=registry)
        self._reconnects = Counter("crosstape_bus_reader_reconnects", "Times the server answered again", registry=registry)
        self._away = Counter("crosstape_bus_reader_away_seconds", "Time without an answer", registry=registry)

    def read(self, entries: int) -> None:
        """See `ReaderMetrics`."""
        self._read.inc(entries)

    def foreign(self) -> None:
        """See `ReaderMetrics`."""
        self._foreign.inc()

    def missed(self, entries: int) -> None:
        """See `ReaderMetrics`."""
        self._holes.inc()
        self._missed.inc(entries)

    def repeated(self, entries: int) -> None:
        """See `ReaderMetrics`."""
        self._repeated.inc(entries)

    def reconnected(self, seconds: float) -> None:
        """See `ReaderMetrics`."""
        self._reconnects.inc()
        self._away.inc(seconds)
