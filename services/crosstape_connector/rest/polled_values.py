"""Polls figures that a venue has only by REST, all the time. Their feeds are live while answers come."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.polling_rules import PollSchedule
from crosstape_connector.rest.worker import RequestWorker, RestRequest
from crosstape_connector.venues.offers import polled_kinds
from crosstape_connector.venues.spec import PolledSource
from crosstape_schemas import FeedState, feed_kind

DOWN_AFTER: Final = 3
"""A feed is stale after the first request that failed, and down after this many in a row."""

STANDBY: Final = "a standby does not poll"

log = structlog.get_logger(__name__)


class PolledValues:
    """Polls the sources of one venue: one request of a source at a time, each symbol at the source's interval, if its limit allows that."""

    def __init__(self, context: RestContext) -> None:
        polled = polled_kinds(context.feeds.venue) & context.feeds.kinds
        sources = [source for source in context.feeds.venue.polled if polled.intersection(source.kinds)]
        self._pollers = [_Poller(context, source, [kind for kind in source.kinds if kind in polled]) for source in sources]

    async def run(self) -> None:
        """Work until cancelled. Returns at once where there is nothing to poll."""
        async with asyncio.TaskGroup() as group:
            for number, poller in enumerate(self._pollers):
                group.create_task(poller.worker.run(), name=f"polled.{number}")


class _Poller:
    """Polls one source."""

    def __init__(self, context: RestContext, source: PolledSource, kinds: Sequence[str]) -> None:
        """`kinds`: those of its kinds that have no stream and are published."""
        self._context = context
        self._source = source
        self._kinds = kinds
        self._schedule = PollSchedule(per_minute=source.per_minute, batch=source.batch, every_s=source.interval_s)
        self._failures: dict[FeedKey, int] = {}
        self.worker = RequestWorker(self._next_request)

    def _next_request(self) -> RestRequest | float:
        records = {feed: record for feed, record in self._context.feeds.records.items() if feed.kind in self._kinds}
        if not self._context.active():
            self._stand_by(records)
            return math.inf
        self._failures = {feed: count for feed, count in self._failures.items() if feed in records}
        now = time.monotonic()
        names = list(dict.fromkeys(feed.instrument for feed in records))
        turn = self._schedule.next_names(names, now)
        return partial(self._poll, turn) if turn else self._schedule.due_in(now)

    async def _poll(self, names: Sequence[str]) -> None:
        """Poll these instruments once. Raises `RestFailed`."""
        feeds, sink = self._context.feeds, self._context.sink
        wanted = {feed: feeds.records[feed] for name in names for kind in self._kinds if (feed := FeedKey(kind, name)) in feeds.records}
        self._context.counters.polls[self._kinds[0]] += 1
        try:
            symbols = {record.symbol: record.instrument for record in wanted.values()}
            values = await self._context.sources.fetch_values(self._source, symbols)
        except RestFailed as exc:
            if not self.worker.failures:
                log.warning("values.poll_failed", venue=feeds.venue.id, kinds=self._kinds, error=str(exc))
            for feed in wanted:
                self._fail(feed, f"REST fails: {exc}")
            raise
        brought = set[FeedKey]()
        for value in values:
            feed = FeedKey(feed_kind(value), value.instrument)
            if feed in wanted and feeds.records.get(feed) is wanted[feed]:  # it was not removed meanwhile
                brought.add(feed)
                self._failures.pop(feed, None)
                sink.publish(feeds.apply(value))
        for feed in wanted.keys() - brought:
            self._fail(feed, "the answer of REST has no value")

    def _fail(self, feed: FeedKey, reason: str) -> None:
        feeds, now = self._context.feeds, time.time_ns()
        count = self._failures[feed] = self._failures.get(feed, 0) + 1
        if count < DOWN_AFTER:
            self._context.sink.publish(feeds.mark_stale(feed, now, reason))
        else:
            self._context.sink.publish(feeds.interrupt([feed], now, reason))

    def _stand_by(self, records: dict[FeedKey, FeedRecord]) -> None:
        """Set the feeds to down where another replica publishes: what they had is not the newest any more."""
        known = [feed for feed, record in records.items() if record.state is not FeedState.DOWN and (record.count or record.stalled_ts)]
        if known:
            self._context.sink.publish(self._context.feeds.interrupt(known, time.time_ns(), STANDBY))
