"""The one way to the tape: every event of a connector passes here, is counted and published."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

from crosstape.bus.metrics.prometheus import PrometheusPublisherMetrics
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.metrics.counters import Counters
from crosstape_schemas import Event, Gap, Status, Trade

_RARE: Final = frozenset({Status, Gap, SnapshotRequest})
"""Classes that need more than to be counted and published: one look-up tells them from quotes, books and deltas."""


class Sink:
    """The way to the tape: what passes is counted and published, or held while another line publishes. Never waits."""

    __slots__ = (
        "_acknowledged", "_counters", "_events", "_holding", "_listeners", "_pending", "_publish", "_request", "_since_ts", "_target",
    )  # fmt: skip

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
        self._listeners: list[Callable[[Status | Gap], None]] = []
        self._request: Callable[[SnapshotRequest], None] = lambda _: None

    def publish(self, effects: Iterable[Effect]) -> None:
        """Publish the events, in order; snapshot requests go to their router (see `route_requests`)."""
        for event in effects:
            cls = event.__class__
            if cls is Trade:
                if event.backfilled and not self._holding:  # type: ignore[union-attr]  # narrowed by class, which mypy does not see
                    self._counters.backfilled += 1
            elif cls in _RARE:
                if isinstance(event, SnapshotRequest):
                    self._request(event)
                    continue
                self._word(event)  # type: ignore[arg-type]
            self._events[cls] += 1  # type: ignore[index]
            self._publish(event)  # type: ignore[arg-type]

    def route_requests(self, request: Callable[[SnapshotRequest], None]) -> None:
        """Call `request` with each snapshot request from now on; before, they are dropped. It must not wait."""
        self._request = request

    def listen(self, listener: Callable[[Status | Gap], None]) -> None:
        """Call `listener`, too, with each status and gap before it is published: it may have been held instead, then."""
        self._listeners.append(listener)

    def divert(self, publish: Callable[[Event], None], *, holding: bool) -> None:
        """From the next event on, publish by this; or `holding`, let it take what is not for the tape, and is not counted as such."""
        self._publish = publish
        self._holding = holding
        self._events = defaultdict(int) if holding else self._counters.events
        self._since_ts = 0

    def _word(self, event: Status | Gap) -> None:
        for listener in self._listeners:
            listener(event)
        if not self._holding or isinstance(event, Status):
            self._counters.note(event)

    def sample(self, event: Effect) -> None:
        """Measure with this event, the newest published: how late it came, and from now on how long it takes to be acknowledged."""
        if isinstance(event, SnapshotRequest):
            return
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
