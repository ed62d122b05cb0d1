"""What a connector counts: names once, in `FAMILIES`; plain numbers on the hot path, turned into Prometheus's form when asked for.

What the bus counts of publishing (batches, pending, acknowledged) is in `crosstape.bus.prometheus`; it is passed on from here.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Final, Literal, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from crosstape.bus.prometheus import PrometheusPublisherMetrics
from crosstape_connector.plan import Feed
from crosstape_schemas import KIND_OF, Event, FeedState, Gap, GapCause, Status, Trade

LAG_BOUNDS: Final = (-1.0, -0.1, -0.01, -0.001, 0.0, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds. Clocks differ, so a lag may be negative; it is never clamped."""

DURATION_BOUNDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

PUBLISH_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)

BACKFILL_OUTCOMES: Final = ("whole", "part", "nothing", "skipped")

SAMPLE: Final = 64
"""One frame in so many has its lag measured. A power of two."""


class Family(NamedTuple):
    """One metric."""

    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    """Beyond `venue`, which all have."""


FAMILIES: Final = {
    "crosstape_connector_frames": Family("counter", "Frames read from WebSockets", ("endpoint",)),
    "crosstape_connector_bytes": Family("counter", "Bytes of those frames", ("endpoint",)),
    "crosstape_connector_bad_frames": Family("counter", "Frames that could not be used, and were skipped, by what was wrong", ("kind",)),
    "crosstape_connector_odd": Family("counter", "Values and rows left out of frames, answers and lists that were used", ("kind",)),
    "crosstape_connector_events": Family("counter", "Events handed to the bus", ("kind",)),
    "crosstape_connector_gaps": Family("counter", "Gaps reported on the tape", ("cause",)),
    "crosstape_connector_ignored": Family("counter", "Outputs that were not published: duplicates, and what nobody asked for", ("reason",)),
    "crosstape_connector_lag_seconds": Family("histogram", "Venue's time to ours, one frame in 64; negative where clocks differ"),
    "crosstape_connector_publish_seconds": Family("histogram", "From reading a frame to the bus having acknowledged its events, sampled"),
    "crosstape_connector_connects": Family("counter", "Attempts to connect", ("endpoint",)),
    "crosstape_connector_connect_waits": Family("counter", "Attempts to connect that waited for the venue's limits", ("endpoint",)),
    "crosstape_connector_connect_wait_seconds": Family("counter", "How long they waited", ("endpoint",)),
    "crosstape_connector_rotations": Family("counter", "Connections that were replaced by a younger one without a hole", ("endpoint",)),
    "crosstape_connector_rotations_failed": Family("counter", "Younger connections that could not take over", ("endpoint",)),
    "crosstape_connector_lost": Family("counter", "Connections that ended otherwise than by our own wish", ("endpoint",)),
    "crosstape_connector_connections": Family("gauge", "Connections that are open", ("endpoint",)),
    "crosstape_connector_heartbeats": Family("counter", "Heartbeats of venues", ("endpoint",)),
    "crosstape_connector_subscriptions": Family("gauge", "Subscriptions by what the venue said of them", ("state",)),
    "crosstape_connector_feeds": Family("gauge", "Feeds by state", ("kind", "state")),
    "crosstape_connector_waiting_seconds": Family(
        "gauge",
        "How long the feed that has been waiting for longest has not been live; 0 where none waits. Feeds that the venue refuses do not "
        "wait, nor do confirmed ones in which nobody has traded yet",
        ("kind",),
    ),
    "crosstape_connector_stalls": Family("counter", "Feeds found stale by the watchdog, each attempt", ("kind",)),
    "crosstape_connector_resyncs": Family(
        "counter", "Books that were begun anew, by how; `question`: asked for once more, to see whether they are merely quiet", ("how",)
    ),
    "crosstape_connector_recovery_seconds": Family("histogram", "From a feed's break to its being live again"),
    "crosstape_connector_backfills": Family(
        "counter",
        "Gaps in trades that were to be filled by REST, by what came of it: `whole`: nothing is missing any more, whoever brought it; "
        "`part`, `nothing`: given up; `skipped`: longer than `backfill_s`",
        ("outcome",),
    ),
    "crosstape_connector_backfilled_trades": Family(
        "counter",
        "Trades handed to the bus with `backfilled` true: fetched by REST to fill a gap or in place of a stream, replayed by the venue on "
        "subscribing, or late on the stream after they were reported missing. A standby replica counts what it publishes on taking over",
    ),
    "crosstape_connector_nonexistent_trades": Family(
        "counter", "Trade ids that were reported missing and, as the venue shows by REST, never existed"
    ),
    "crosstape_connector_backfilling": Family("gauge", "Gaps in trades that are being worked at, or wait for it"),
    "crosstape_connector_polls": Family("counter", "Requests made in place of a stream, by kind of feed", ("kind",)),
    "crosstape_connector_questions": Family(
        "counter",
        "Requests by which the venue was asked what silence means: `trading`, whether instruments trade; `best`, their best prices; "
        "`trades`, their newest trades",
        ("kind",),
    ),
    "crosstape_connector_polled_feeds": Family("gauge", "Feeds that are polled over REST now", ("kind",)),
    "crosstape_connector_rest_calls": Family("counter", "REST calls by HTTP status, or `failed` without one", ("status",)),
    "crosstape_connector_instruments": Family("gauge", "Instruments that were asked for, by whether the venue lists them", ("state",)),
    "crosstape_connector_instruments_age_seconds": Family("gauge", "Age of the list of instruments in use"),
    "crosstape_connector_clock_offset_seconds": Family(
        "gauge", "Our clock less the venue's, with the shortest way of a frame; negative: the venue's is ahead. None while it is not known"
    ),
    "crosstape_connector_capture_dropped": Family("counter", "Lines that the capture could not take"),
    "crosstape_connector_line_active": Family(
        "gauge", "1: this line publishes; 0: it stands by for another. None without `connector.line`", ("line",)
    ),
    "crosstape_connector_line_covered": Family("gauge", "1: another line is well and could take this one's place; 0: none is", ("line",)),
    "crosstape_connector_line_held": Family("gauge", "Trades that a line which stands by holds, until they are on the tape", ("line",)),
    "crosstape_connector_line_takeovers": Family("counter", "Times that this line began to publish", ("line",)),
    "crosstape_connector_line_discarded": Family(
        "counter", "Events of this line that were not on the tape yet when another began to publish, which has them from its own", ("line",)
    ),
}
"""All metrics, counters without their `_total`."""


class Histogram:
    """Observations by bucket, in a list; cumulative only when asked for."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def cumulative(self) -> tuple[list[tuple[str, float]], float]:
        """(bound, observations up to it) …, and the sum."""
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets, self._sum


class EndpointCounters:
    """Of one endpoint. Written by its sessions only."""

    __slots__ = (
        "bytes", "connect_wait_seconds", "connect_waits", "connections", "connects", "frames", "heartbeats", "lost", "rotations",
        "rotations_failed",
    )  # fmt: skip

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self.connects = 0
        self.lost = 0
        self.connections = 0
        self.heartbeats = 0
        self.connect_waits = 0
        self.connect_wait_seconds = 0.0
        self.rotations = 0
        self.rotations_failed = 0


class Counters:
    """Of one venue: ints and Counters that grow."""

    def __init__(self) -> None:
        self.endpoints: defaultdict[str, EndpointCounters] = defaultdict(EndpointCounters)
        self.bad_frames: Counter[str] = Counter()
        self.odd: Counter[str] = Counter()
        self.events: defaultdict[type[Event], int] = defaultdict(int)
        self.gaps: Counter[str] = Counter({cause.value: 0 for cause in GapCause})
        self.stalls: Counter[str] = Counter()
        self.resyncs: Counter[str] = Counter()
        self.backfills: Counter[str] = Counter(dict.fromkeys(BACKFILL_OUTCOMES, 0))
        self.backfilled = 0
        self.nonexistent = 0
        self.polls: Counter[str] = Counter()
        self.questions: Counter[str] = Counter()
        self.rest_calls: Counter[str] = Counter()
        self.lag = Histogram(LAG_BOUNDS)
        self.recovery = Histogram(DURATION_BOUNDS)
        self.publishing = Histogram(PUBLISH_BOUNDS)
        self._broken_ts: dict[Feed, int] = {}

    def begin(self, endpoints: Iterable[str]) -> None:
        """Count from 0 what these endpoints will do: of a series that appears with its first count, no rate shows that count."""
        for name in endpoints:
            self.endpoints[name] = EndpointCounters()

    def note(self, event: Status | Gap) -> None:
        """A status or gap that is published: they are rare, so there is time to look at them."""
        if isinstance(event, Gap):
            self.gaps[event.cause.value] += not event.repaired
            return
        feed = Feed(event.kind, event.instrument)
        if event.state is FeedState.LIVE:
            broken_ts = self._broken_ts.pop(feed, None)
            if broken_ts is not None:
                self.recovery.observe((event.received_ts - broken_ts) / 1e9)
        elif event.state is not FeedState.CONNECTING:
            self._broken_ts.setdefault(feed, event.received_ts)


class Outlet:
    """The way to the tape: what passes is counted and published, or held while another line publishes. Never waits."""

    __slots__ = ("_acknowledged", "_counters", "_events", "_holding", "_listener", "_pending", "_publish", "_since_ts", "_target")

    def __init__(
        self,
        publish: Callable[[Event], None],
        counters: Counters,
        *,
        pending: Callable[[], int] = lambda: 0,
        acknowledged: Callable[[], int] = lambda: 0,
    ) -> None:
        """`pending` and `acknowledged`: events, of the publisher; for the time that publishing takes."""
        self._publish = publish
        self._counters = counters
        self._events = counters.events
        self._pending = pending
        self._acknowledged = acknowledged
        self._target = 0
        self._since_ts = 0
        self._holding = False
        self._listener: Callable[[Status | Gap], None] = lambda _: None

    def put(self, events: Iterable[Event]) -> None:
        """Publish these, in order."""
        for event in events:
            cls = event.__class__
            if cls is Trade:
                if event.backfilled and not self._holding:  # type: ignore[attr-defined]  # narrowed by class, which mypy does not see
                    self._counters.backfilled += 1
            elif cls is Status or cls is Gap:
                self._word(event)  # type: ignore[arg-type]
            self._events[cls] += 1
            self._publish(event)

    def listen(self, listener: Callable[[Status | Gap], None]) -> None:
        """Tell of each status and gap before it is published: it may have been held instead, then."""
        self._listener = listener

    def divert(self, publish: Callable[[Event], None], *, holding: bool) -> None:
        """From the next event on, publish by this; or `holding`, let it take what is not for the tape, and is not counted as such."""
        self._publish = publish
        self._holding = holding
        self._events = defaultdict(int) if holding else self._counters.events
        self._since_ts = 0

    def _word(self, event: Status | Gap) -> None:
        self._listener(event)
        if not self._holding or isinstance(event, Status):
            self._counters.note(event)

    def sample(self, event: Event) -> None:
        """Measure with this event, the newest published: how late it came, and from now on how long it takes to be acknowledged."""
        if event.venue_ts is not None:
            self._counters.lag.observe((event.received_ts - event.venue_ts) / 1e9)
        if not self._since_ts:
            self._target = self._acknowledged() + self._pending()
            self._since_ts = event.received_ts

    def acknowledged(self) -> None:
        """The bus has acknowledged something."""
        if self._since_ts and self._acknowledged() >= self._target:
            self._counters.publishing.observe((time.time_ns() - self._since_ts) / 1e9)
            self._since_ts = 0


class BusMetrics(PrometheusPublisherMetrics):
    """The bus's own, which also tells when something was acknowledged."""

    after: Callable[[], None] = staticmethod(lambda: None)

    def pending(self, entries: int) -> None:
        """See `PublisherMetrics`: called after each acknowledgement."""
        super().pending(entries)
        self.after()


@cache
def bus_metrics() -> BusMetrics:
    """The one of this process: a registry takes each name once."""
    return BusMetrics()


class LineReading(NamedTuple):
    """How a redundant line stands."""

    line: str
    active: bool
    covered: bool
    held: int
    takeovers: int
    discarded: int


class Readings(NamedTuple):
    """What is not counted but read off when asked for."""

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
    """Our clock less the venue's."""
    capture_dropped: Callable[[], int | None]
    line: Callable[[], LineReading | None]


class ConnectorCollector(Collector):
    """The counters of one venue in Prometheus's form; register it for as long as the venue runs."""

    def __init__(self, venue: str, counters: Counters, readings: Readings) -> None:
        self._venue = venue
        self._counters = counters
        self._readings = readings

    def describe(self) -> Iterable[Metric]:
        """The names without reading anything: a registry asks for them before there is anything to read."""
        return (_family(name) for name in FAMILIES)

    def collect(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        for name, samples in self._samples().items():
            family = _family(f"crosstape_connector_{name}")
            for labels, value in samples:
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
        line = readings.line()
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
            **{f"line_{field}": [] if line is None else [((line.line,), getattr(line, field))] for field in LineReading._fields[1:]},
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
