"""The counters of a connector: plain numbers, cheap on the hot path. `collector` exports them under the names in `families`.

The bus counts what it publishes (batches, pending, acknowledged) itself: see `crosstape.bus.metrics.prometheus`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.metrics.families import BACKFILL_OUTCOMES, DURATION_BOUNDS, LAG_BOUNDS, PUBLISH_BOUNDS
from crosstape_schemas import Event, FeedState, Gap, GapCause, Status

SAMPLE: Final = 64
"""We measure the lag of one frame in this many. A power of two."""


class Histogram:
    """Counts observations by bucket; they are summed up only when exported."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def cumulative(self) -> tuple[list[tuple[str, float]], float]:
        """Return (bound, observations up to this bound) of each bucket, and the sum of all observations."""
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets, self._sum


class EndpointCounters:
    """The counters of one endpoint, written by its sessions and the supervisor."""

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
    """The counters of one venue."""

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
        self._broken_ts: dict[FeedKey, int] = {}

    def start_at_zero(self, endpoints: Iterable[str]) -> None:
        """Export the counters of these endpoints as 0 now: a rate misses the first count of a series that appears with it."""
        for name in endpoints:
            self.endpoints[name] = EndpointCounters()

    def note(self, event: Status | Gap) -> None:
        """Count a status or gap that is published, and the time until a broken feed is live again."""
        if isinstance(event, Gap):
            self.gaps[event.cause.value] += not event.repaired
            return
        feed = FeedKey(event.kind, event.instrument)
        if event.state is FeedState.LIVE:
            broken_ts = self._broken_ts.pop(feed, None)
            if broken_ts is not None:
                self.recovery.observe((event.received_ts - broken_ts) / 1e9)
        elif event.state is not FeedState.CONNECTING:
            self._broken_ts.setdefault(feed, event.received_ts)
