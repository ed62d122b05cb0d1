"""The sink: every event of a connector is counted and published here, and nowhere else."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import structlog

from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.venues.messages import Odd
from crosstape_schemas import Event, FeedState, Gap, Status, Trade

_RARE: Final = frozenset({Status, Gap, SnapshotRequest, Odd})
"""Classes that need more than to be counted and published."""

log = structlog.get_logger(__name__)


class Sink:
    """Counts events and passes them to the publisher; on a standby, to its buffer. Snapshot requests leave here, too. Never waits.

    Belongs to a `Writer`, and only the writer sets where events go: to a function that gets many at once.
    """

    __slots__ = (
        "_before_down", "_counters", "_events", "_holding", "_listeners", "_odd_kinds", "_pending", "_publish_all", "_request",
        "_sampled_ts", "_unacknowledged",
    )  # fmt: skip

    def __init__(self, counters: Counters, *, before_down: Callable[[Status], None] = lambda status: None) -> None:
        """`before_down`: called with each `down` status before it is published; the writer may become a standby then.

        Nothing can be published before `pass_to` or `hold_in`.
        """
        self._publish_all: Callable[[Sequence[Event]], None] = _nowhere
        self._counters = counters
        self._events = counters.events
        self._pending: Callable[[], int] = lambda: 0
        self._before_down = before_down
        self._listeners: list[Callable[[Status | Gap], None]] = []
        self._request: Callable[[SnapshotRequest], None] = lambda _: None
        self._holding = False
        self._odd_kinds: set[str] = set()
        self._sampled_ts = 0
        self._unacknowledged = 0

    def publish(self, effects: Iterable[Effect]) -> None:
        """Publish the events, in order; snapshot requests go to their router (see `route_requests`).

        Raises the first error of a listener, the router or the publisher, after all other events are published.
        """
        events: Sequence[Any] = effects if isinstance(effects, (list, tuple)) else list(effects)
        if not events:
            return
        cls = events[0].__class__
        for event in events:
            if event.__class__ is not cls or (cls is Trade and event.backfilled):
                self._publish_mixed(events)
                return
        if cls in _RARE:
            self._publish_mixed(events)
            return
        self._events[cls] += len(events)
        self._publish_all(events)

    def route_requests(self, request: Callable[[SnapshotRequest], None]) -> None:
        """Call `request` with each snapshot request from now on; before, they are dropped. It must not wait."""
        self._request = request

    def listen(self, listener: Callable[[Status | Gap], None]) -> None:
        """Call `listener` with each status and gap before it is published. It is called on a standby, too."""
        self._listeners.append(listener)

    def sample(self, event: Effect) -> None:
        """Measure two delays with `event`, the newest published: from the venue to us, and from now to the bus's acknowledgement."""
        if isinstance(event, SnapshotRequest | Odd):
            return
        if event.venue_ts is not None:
            self._counters.lag.observe((event.received_ts - event.venue_ts) / 1e9)
        if not self._sampled_ts:
            self._unacknowledged = self._pending()
            self._sampled_ts = event.received_ts

    def acknowledged(self, entries: int) -> None:
        """Note that the server has acknowledged this many more entries: the `on_acknowledged` of a `Publisher`."""
        self._unacknowledged -= entries
        if self._sampled_ts and self._unacknowledged <= 0:
            self._counters.publishing.observe((time.time_ns() - self._sampled_ts) / 1e9)
            self._sampled_ts = 0

    def pass_to(self, publish_all: Callable[[Sequence[Event]], None], pending: Callable[[], int] = lambda: 0) -> None:
        """Publish with `publish_all` from now on; `pending` returns how many entries are not acknowledged. Only for the writer."""
        self._publish_all, self._pending, self._events, self._holding = publish_all, pending, self._counters.events, False
        self._sampled_ts = 0

    def hold_in(self, hold_all: Callable[[Sequence[Event]], None]) -> None:
        """Pass events to the buffer `hold_all` from now on, without counting them as published. Only for the writer."""
        self._publish_all, self._pending, self._events, self._holding = hold_all, lambda: 0, defaultdict(int), True
        self._sampled_ts = 0

    def _publish_mixed(self, effects: Sequence[Any]) -> None:
        """Publish effects that are not all alike. A rare one comes between those before it and those behind it, which it may redirect."""
        failures: list[Exception] = []

        def attempt(do: Callable[[Any], None], what: object) -> None:
            try:
                do(what)
            except Exception as exc:
                failures.append(exc)

        alike: list[Event] = []
        for effect in effects:
            cls = effect.__class__
            if cls in _RARE:
                attempt(self._publish_all, alike)
                alike = []
                attempt(self._publish_rare, effect)
                continue
            if cls is Trade and effect.backfilled and not self._holding:
                self._counters.backfilled += 1
            self._events[cls] += 1
            alike.append(effect)
        attempt(self._publish_all, alike)
        if failures:
            raise failures[0]

    def _publish_rare(self, effect: Status | Gap | SnapshotRequest | Odd) -> None:
        if isinstance(effect, SnapshotRequest):
            self._request(effect)
        elif isinstance(effect, Odd):
            self._report_odd(effect)
        else:
            self._note(effect)
            self._events[type(effect)] += 1
            self._publish_all((effect,))

    def _report_odd(self, odd: Odd) -> None:
        """Count data that cannot be right, and log the first of each kind."""
        self._counters.odd[odd.kind] += 1
        if odd.kind not in self._odd_kinds:
            self._odd_kinds.add(odd.kind)
            log.warning("value.odd", kind=odd.kind, reason=odd.reason)

    def _note(self, event: Status | Gap) -> None:
        if isinstance(event, Status) and event.state is FeedState.DOWN:
            self._before_down(event)
        for listener in self._listeners:
            listener(event)
        if not self._holding or isinstance(event, Status):
            self._counters.note(event)


def _nowhere(events: Sequence[Event]) -> None:
    raise AssertionError(f"published before the writer has set a target: {events[0]}")
