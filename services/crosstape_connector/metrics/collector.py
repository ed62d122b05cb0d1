"""Exports a connector's counters and gauges in the form that Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from crosstape_connector.metrics.counters import Counters, EndpointCounters, Histogram
from crosstape_connector.metrics.families import FAMILIES, OLD_NAMES
from crosstape_schemas import KIND_OF

PREFIX: Final = "crosstape_connector_"


class ReplicaReading(NamedTuple):
    """The state of one replica."""

    name: str
    active: bool
    covered: bool
    held: int
    takeovers: int
    discarded: int


class Readings(NamedTuple):
    """The gauges: each is read when Prometheus asks."""

    feeds: Callable[[], Mapping[tuple[str, str], int]]
    """(kind, state) → feeds."""
    waiting_s: Callable[[], Mapping[str, float]]
    """Kind → seconds."""
    subscriptions: Callable[[], Mapping[str, int]]
    ignored: Callable[[], Mapping[str, int]]
    backfilling: Callable[[], int]
    polled_feeds: Callable[[], Mapping[str, int]]
    """By kind."""
    instruments: Callable[[], Mapping[str, int]]
    instruments_age_s: Callable[[], float | None]
    clock_offset_s: Callable[[], float | None]
    """Our clock minus the venue's."""
    capture_dropped: Callable[[], int | None]
    replica: Callable[[], ReplicaReading | None]


class ConnectorCollector(Collector):
    """Exports the counters and gauges of one venue. Register it for as long as the venue runs."""

    def __init__(self, venue: str, counters: Counters, readings: Readings) -> None:
        self._venue = venue
        self._counters = counters
        self._readings = readings

    def describe(self) -> Iterable[Metric]:
        """Yield the names without values: a registry asks for them before there is anything to read."""
        return (_family(name) for name in FAMILIES)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its value now."""
        samples = self._samples()
        for name in FAMILIES:
            family = _family(name)
            for labels, value in samples[OLD_NAMES.get(name, name).removeprefix(PREFIX)]:
                values = [self._venue, *labels]
                if isinstance(family, HistogramMetricFamily):
                    assert isinstance(value, Histogram)
                    buckets, total = value.cumulative()
                    family.add_metric(values, buckets, total)
                else:
                    assert isinstance(value, int | float)
                    family.add_metric(values, value)
            yield family

    def _samples(self) -> dict[str, list[tuple[tuple[str, ...], float | Histogram]]]:
        counters, readings = self._counters, self._readings
        endpoints = sorted(counters.endpoints.items())
        age_s = readings.instruments_age_s()
        dropped = readings.capture_dropped()
        replica = readings.replica()
        offset_s = readings.clock_offset_s()
        return {
            **{field: [((name,), getattr(endpoint, field)) for name, endpoint in endpoints] for field in EndpointCounters.__slots__},
            "bad_frames": _by_label(counters.bad_frames),
            "odd": _by_label(counters.odd),
            "events": _by_label({KIND_OF[cls]: count for cls, count in counters.events.items()}),
            "gaps": _by_label(counters.gaps),
            "ignored": _by_label(readings.ignored()),
            "lag_seconds": [((), counters.lag)],
            "publish_seconds": [((), counters.publishing)],
            "subscriptions": _by_label(readings.subscriptions()),
            "feeds": [(labels, count) for labels, count in sorted(readings.feeds().items())],
            "waiting_seconds": _by_label(readings.waiting_s()),
            "stalls": _by_label(counters.stalls),
            "resyncs": _by_label(counters.resyncs),
            "recovery_seconds": [((), counters.recovery)],
            "backfills": _by_label(counters.backfills),
            "backfilled_trades": [((), counters.backfilled)],
            "nonexistent_trades": [((), counters.nonexistent)],
            "backfilling": [((), readings.backfilling())],
            "polls": _by_label(counters.polls),
            "questions": _by_label(counters.questions),
            "polled_feeds": _by_label(readings.polled_feeds()),
            "rest_calls": _by_label(counters.rest_calls),
            "instruments": _by_label(readings.instruments()),
            "instruments_age_seconds": [] if age_s is None else [((), age_s)],
            "clock_offset_seconds": [] if offset_s is None else [((), offset_s)],
            "capture_dropped": [] if dropped is None else [((), dropped)],
            **{
                f"replica_{field}": [] if replica is None else [((replica.name,), getattr(replica, field))]
                for field in ReplicaReading._fields[1:]
            },
        }


def _by_label(counts: Mapping[str, int] | Mapping[str, float]) -> list[tuple[tuple[str, ...], float | Histogram]]:
    return [((label,), count) for label, count in sorted(counts.items())]


def _family(name: str) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    family = FAMILIES[name]
    labels = ["venue", *family.labels]
    match family.type:
        case "counter":
            return CounterMetricFamily(name, family.help, labels=labels)
        case "gauge":
            return GaugeMetricFamily(name, family.help, labels=labels)
        case "histogram":
            return HistogramMetricFamily(name, family.help, labels=labels)
