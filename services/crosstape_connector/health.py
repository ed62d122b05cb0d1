"""The health of one venue's connector: readiness, the venue-wide status, gauges. Everything is read when asked for; nothing is kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from crosstape_connector.capture.writer import Capture
from crosstape_connector.connection.supervisor import Supervisor
from crosstape_connector.connection.timekeeping import Timekeeping
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.metrics.collector import Readings
from crosstape_connector.publishing.writer import Writer
from crosstape_connector.rest import instruments
from crosstape_connector.rest.requests import RestRequests
from crosstape_connector.universe import Universe
from crosstape_connector.venues.offers import polled_kinds
from crosstape_schemas import CANDLE, VENUE_WIDE, FeedState, Status

UNTRADED: Final = (FeedState.CONNECTING, FeedState.RECOVERING)
"""A confirmed feed of trades or candles in one of these states counts as live: no trade was made since it was subscribed."""

STATELESS: Final = frozenset({"status"})
"""Kinds of events that are no feeds."""

SHOWN: Final = 20
"""The most feeds that `/readyz` names because they are not live."""


class Health:
    """Reads the state of one connector from its parts."""

    def __init__(
        self,
        *,
        feeds: FeedHandler,
        supervisor: Supervisor,
        universe: Universe,
        writer: Writer,
        rest: RestRequests,
        time: Timekeeping,
        capture: Capture | None,
        started_ts: int,
    ) -> None:
        """`started_ts`: ns since the epoch."""
        self._feeds = feeds
        self._supervisor = supervisor
        self._universe = universe
        self._writer = writer
        self._rest = rest
        self._time = time
        self._capture = capture
        self._started_ts = started_ts

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether we are ready (the bus accepts our events, each feed is live or refused by the venue for a reason), and details."""
        refused = {
            f"{topic.channel} {topic.symbol}": reason
            for session in self._supervisor.sessions
            for topic, reason in session.subscriptions.reasons.items()
        }
        waiting = self._waiting()
        bus = self._writer.healthy
        state, reason = self._venue_state()
        details = {
            "venue": self._feeds.venue.id,
            "state": state.value,
            "reason": reason,
            "bus": bus,
            "pending": self._writer.pending,
            "connections": self.connections(),
            "clock_offset_s": self._time.offset_s,
            "feeds": Counter(record.state.value for record in self._feeds.records.values()),
            "polled": self._rest.polling.polled_feeds(),
            "waiting": [f"{record.kind} {record.instrument}: {record.state.value} {record.reason}".rstrip() for record in waiting[:SHOWN]],
            "refused": {**self._universe.selection.refused, **self._feeds.halts, **refused},
            **self._writer.details(),
        }
        return bus and self._is_healthy(waiting), details

    def is_healthy(self) -> bool:
        """Whether every feed that should be live is live."""
        return self._is_healthy(self._waiting())

    def connections(self) -> int:
        """Count the open connections to the venue."""
        return sum(session.open for session in self._supervisor.sessions)

    def statuses(self) -> Iterator[Status]:
        """Yield the statuses that belong to no feed: the venue-wide status, and those of instruments that the venue does not list."""
        yield self.venue_status()
        yield from self._universe.refusals()

    def venue_status(self) -> Status:
        """Return the venue-wide status. It is never better than the state that the venue reports itself."""
        return self.status(*self._venue_state())

    def status(self, state: FeedState, reason: str) -> Status:
        """Return a venue-wide status."""
        now, offset_ns = time.time_ns(), self._time.offset_ns
        return Status(self._feeds.venue.id, VENUE_WIDE, None, now, kind=VENUE_WIDE, state=state, reason=reason, clock_offset_ns=offset_ns)

    def readings(self) -> Readings:
        """Return the gauges for `/metrics`."""
        universe = self._universe
        return Readings(
            feeds=self._feeds_by_state,
            waiting_s=self._waiting_s,
            subscriptions=self._subscriptions,
            ignored=lambda: {**self._feeds.counts, "duplicate": self._feeds.duplicate_trades()},
            backfilling=lambda: self._rest.backfill.queued,
            polled_feeds=self._rest.polling.polled_feeds,
            instruments=lambda: instruments.counts(universe.selection),
            instruments_age_s=lambda: None if universe.listing is None else universe.listing.age_s(time.time_ns()),
            clock_offset_s=lambda: self._time.offset_s,
            capture_dropped=lambda: None if self._capture is None else self._capture.dropped,
            replica=self._writer.reading,
        )

    def _is_healthy(self, waiting: Sequence[FeedRecord]) -> bool:
        return bool(self._feeds.records) and self._supervisor.up and not waiting

    def _waiting(self) -> list[FeedRecord]:
        """Return the feeds that should be live but are not.

        Left out are feeds that the venue refuses, feeds of trades and candles without a trade yet, and what a standby does not poll.
        """
        refused = {(topic.channel, topic.symbol) for session in self._supervisor.sessions for topic in session.subscriptions.reasons}
        polled = polled_kinds(self._feeds.venue)
        channels = {kind: name for endpoint in reversed(self._feeds.venue.endpoints) for kind, name in endpoint.channels.items()}
        return [
            record
            for record in self._feeds.records.values()
            if record.state is not FeedState.LIVE
            and (channels.get(record.kind), record.symbol) not in refused
            and not self._feeds.is_halted(record.instrument)
            and not (record.confirmed and record.state in UNTRADED and (record.kind == "trade" or record.kind.startswith(CANDLE)))
            and (self._writer.active or record.kind not in polled)
        ]

    def _waiting_s(self) -> Mapping[str, float]:
        """Kind → the seconds for which the feed that has waited longest has not been live; 0 where none waits."""
        now = time.time_ns()
        longest = dict.fromkeys(self._feeds.kinds - STATELESS, 0.0)
        for record in self._waiting():
            since_ts = record.waiting_ts or record.opened_ts or self._started_ts
            longest[record.kind] = max(longest.get(record.kind, 0.0), (now - since_ts) / 1e9)
        return longest

    def _feeds_by_state(self) -> Mapping[tuple[str, str], int]:
        """(kind, state) → feeds; 0 where there is none, since a missing series cannot be compared with 0."""
        none = dict.fromkeys(((kind, state.value) for kind in self._feeds.kinds - STATELESS for state in FeedState), 0)
        return {**none, **Counter((record.kind, record.state.value) for record in self._feeds.records.values())}

    def _subscriptions(self) -> Mapping[str, int]:
        total: Counter[str] = Counter()
        for session in self._supervisor.sessions:
            total.update(session.subscriptions.counts())
        return total

    def _venue_state(self) -> tuple[FeedState, str]:
        supervisor, universe = self._supervisor, self._universe
        if supervisor.up:
            return self._feeds.venue_state, self._feeds.venue_reason
        if not universe.taken:
            if universe.listing is not None and not universe.selection.listed:
                return FeedState.DOWN, "none of the wanted instruments can be taken"
            return (FeedState.DOWN if universe.trouble else FeedState.CONNECTING), universe.trouble
        return (FeedState.DOWN if supervisor.reason else FeedState.CONNECTING), supervisor.reason
