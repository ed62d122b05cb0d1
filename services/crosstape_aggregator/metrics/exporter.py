"""The metrics of the aggregator. The engine counts plain numbers; they are copied here once a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import prometheus_client as prometheus

from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import EdgeChange, Exclusion, FeedState

EVENTS: Final = prometheus.Counter("crosstape_aggregator_events", "Events from the bus that were applied", ["kind"])
PUBLISHED: Final = prometheus.Counter("crosstape_aggregator_published", "Consolidated quotes published")
DEPTHS: Final = prometheus.Counter("crosstape_aggregator_depth_events", "Consolidated books published")
EDGES: Final = prometheus.Counter(
    "crosstape_aggregator_edge_events", "Events of edges published: an edge opens, changes, closes", ["change"]
)
for _change in EdgeChange:
    EDGES.labels(_change)
OPEN_EDGES: Final = prometheus.Gauge("crosstape_aggregator_open_edges", "Pairs of venues whose prices cross after fees now")
CONFLATED: Final = prometheus.Counter(
    "crosstape_aggregator_conflated", "Changes published together with an earlier one of the same instrument"
)
LATE: Final = prometheus.Counter(
    "crosstape_aggregator_late_trades", "Trades received after their second and the next one were over", ["venue"]
)
OUTDATED: Final = prometheus.Counter(
    "crosstape_aggregator_outdated_events", "Quotes and states of an earlier start of the connector, ignored", ["venue"]
)
UNUSABLE: Final = prometheus.Counter(
    "crosstape_aggregator_unusable_trades",
    "Trades whose price or size cannot be computed with: they count in no window, and windows are not complete",
    ["venue"],
)
BARS_REVISED: Final = prometheus.Counter(
    "crosstape_aggregator_bar_revisions",
    "Closed bars published again, because trades came late or a gap was found or repaired",
    ["timeframe"],
)
BARS_LATE: Final = prometheus.Counter(
    "crosstape_aggregator_bar_late_trades",
    "Trades that count in no bar of the timeframe, because it closed longer ago than aggregator.bar_history_s",
    ["timeframe"],
)
MISSED: Final = prometheus.Counter(
    "crosstape_aggregator_missed_events", "Events that were trimmed or lost on the bus before they were read", ["kind"]
)
for _kind in ("trade", "quote", "book", "status", "gap", "venue", "cbbo", "depth"):
    MISSED.labels(_kind)  # create each series at 0: a rate misses the first count of a new series
FOREIGN: Final = prometheus.Counter("crosstape_aggregator_foreign_entries", "Foreign entries on a stream, skipped")
INSTRUMENTS: Final = prometheus.Gauge("crosstape_aggregator_instruments", "Instruments known to this instance")
CATCHING_UP: Final = prometheus.Gauge("crosstape_aggregator_catching_up", "Instruments whose past trades are still being read")
LEGS: Final = prometheus.Gauge("crosstape_aggregator_legs", "Legs by venue and state of their feed", ["venue", "state"])
EXCLUDED: Final = prometheus.Gauge("crosstape_aggregator_excluded_legs", "Legs that do not count, by reason", ["venue", "reason"])
SIGNS_OF_LIFE: Final = prometheus.Counter(
    "crosstape_aggregator_signs_of_life",
    "Signs of life published: one each aggregator.status_interval_s for each shard held, while quotes are published",
)
CLOCK_OFFSET: Final = prometheus.Gauge(
    "crosstape_aggregator_venue_clock_offset_seconds",
    "Our clock less the venue's, including the shortest way of a message. Beyond aggregator.clock_tolerance_s windows are not complete",
    ["venue"],
)
INCOMPLETE: Final = prometheus.Gauge(
    "crosstape_aggregator_incomplete_instruments",
    "Instruments whose windows cannot be complete now: their streams are not read up to now, or a venue's connector or feed of trades is "
    "down, or its clock is wrong",
)
LAG: Final = prometheus.Histogram(
    "crosstape_aggregator_lag_seconds",
    "From the receipt of an event by its connector until it is read here, and until the consolidated quote with it is published. "
    "Negative values mean that the clocks of two hosts differ",
    ["hop"],
    buckets=(0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LEASES: Final = prometheus.Gauge("crosstape_aggregator_leases", "Shards that this instance holds and may publish for")
SHARES: Final = prometheus.Gauge("crosstape_aggregator_shares", "Shards that the instruments are divided into (aggregator.shares)")
LEASES_LOST: Final = prometheus.Counter("crosstape_aggregator_leases_lost", "Shards that this instance lost without releasing them")
CHECKPOINT_S: Final = prometheus.Histogram(
    "crosstape_aggregator_checkpoint_seconds",
    "Time to write a checkpoint of one shard: what has changed since the last one",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
CHECKPOINT_BYTES: Final = prometheus.Gauge("crosstape_aggregator_checkpoint_bytes", "Size of the checkpoints of the shards held")
_FAILED: Final = prometheus.Counter(
    "crosstape_aggregator_checkpoints_failed",
    "Writes of checkpoints that the server refused, and instruments that could not be restored: another version, or damage",
    ["step"],
)
FAILED_READS: Final = _FAILED.labels(step="read")
FAILED_WRITES: Final = _FAILED.labels(step="write")
READ_LAG: Final = LAG.labels(hop="received_to_read")
PUBLISHED_LAG: Final = LAG.labels(hop="received_to_published")


class Exporter:
    """Copies the counts of one engine into the metrics. If a process has several engines, the metrics are their sums."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._before: dict[prometheus.Counter, Counter[str]] = {}
        self._levels: Counter[prometheus.Gauge] = Counter()
        self._published = 0
        self._depths = 0
        self._merged = 0
        self.counting = 0
        """Number of instruments with at least one leg that counts."""

    def export(self, catching_up: int) -> None:
        """Update the metrics. O(legs)."""
        counts = self._engine.counts
        self._add(EVENTS, counts.applied)
        self._add(LATE, counts.late)
        self._add(OUTDATED, counts.outdated)
        self._add(UNUSABLE, counts.unusable)
        self._add(BARS_REVISED, counts.bars.revised)
        self._add(BARS_LATE, counts.bars.late)
        PUBLISHED.inc(counts.published - self._published)
        CONFLATED.inc(counts.merged - self._merged)
        self._published, self._merged = counts.published, counts.merged
        self._add(EDGES, counts.edges)
        DEPTHS.inc(counts.depths - self._depths)
        self._depths = counts.depths
        self._level(OPEN_EDGES, counts.open_edges)
        self._level(INSTRUMENTS, len(self._engine.instruments))
        self._level(CATCHING_UP, catching_up)
        self._level(INCOMPLETE, sum(not one.windows.trusted for one in self._engine.instruments.values()))
        for venue, offset_ns in self._engine.clock_offsets_ns().items():
            CLOCK_OFFSET.labels(venue).set(offset_ns / SECOND)
        self._export_legs()

    def close(self) -> None:
        """Remove the engine's values from the gauges, because the engine has ended."""
        for gauge in self._levels:
            self._level(gauge, 0)

    def _level(self, gauge: prometheus.Gauge, value: int) -> None:
        gauge.inc(value - self._levels[gauge])
        self._levels[gauge] = value

    def _add(self, counter: prometheus.Counter, counts: Mapping[str, int]) -> None:
        before = self._before.setdefault(counter, Counter())
        for label, count in counts.items():
            if count > before[label]:
                counter.labels(label).inc(count - before[label])
                before[label] = count

    def _export_legs(self) -> None:
        states: Counter[tuple[str, FeedState]] = Counter()
        reasons: Counter[tuple[str, Exclusion | None]] = Counter()
        self.counting = 0
        for instrument in self._engine.instruments.values():
            counts = False
            for leg in instrument.legs:
                states[leg.venue, leg.state] += 1
                reasons[leg.venue, leg.excluded] += 1
                counts = counts or leg.excluded is None
            self.counting += counts
        for venue in {venue for venue, _ in states}:
            for state in FeedState:
                self._level(LEGS.labels(venue, state), states[venue, state])
            for reason in Exclusion:
                self._level(EXCLUDED.labels(venue, reason), reasons[venue, reason])
