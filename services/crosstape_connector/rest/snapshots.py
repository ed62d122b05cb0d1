"""Doing what `FeedHandler` asks for: a book's snapshot by REST, or its topic subscribed anew, each within the venue's limits."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

import structlog

from crosstape_connector.backoff import pause_s
from crosstape_connector.connection.session import Session
from crosstape_connector.errors import FRAME_ERRORS, RestFailed
from crosstape_connector.feeds.books.order_book import PROBE
from crosstape_connector.feeds.effects import SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.rest.client import RestClient
from crosstape_connector.venues.messages import BookSnapshot
from crosstape_connector.venues.spec import SnapshotSource, Venue

AT_ONCE: Final = 2
"""Snapshots in flight: one that hangs must not hold up all others."""

log = structlog.get_logger(__name__)


class SnapshotRecovery:
    """A venue's queue of books to begin anew: ordered by when they are due, one per book, so bounded by their number."""

    def __init__(
        self,
        venue: Venue,
        *,
        feeds: FeedHandler,
        sink: Sink,
        counters: Counters,
        rest: RestClient,
        sessions: Callable[[], Iterable[Session]],
    ) -> None:
        self._venue = venue
        self._feeds = feeds
        self._sink = sink
        self._counters = counters
        self._rest = rest
        self._sessions = sessions
        self._early: deque[SnapshotRequest] = deque()  # made while no `run` is there to do them: at most a few per book
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._seats = asyncio.Semaphore(AT_ONCE)
        self._questions = asyncio.Semaphore(1)  # one doubt at a time is in the queue for a seat: a broken book waits for no more
        source = venue.snapshots
        self._rate_limit = None if source is None else RateLimit.per_minute(source.per_minute)

    async def run(self) -> None:
        """Own the tasks, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                while self._early:
                    self.request(self._early.popleft())
                await asyncio.Event().wait()  # for ever: tasks come and go
            finally:
                self._group = None  # a session that is still reading may ask, and an ending group takes no more

    def request(self, request: SnapshotRequest) -> None:
        """Take up one request, now or when `run` begins. Never waits."""
        if self._group is None:
            self._early.append(request)
            return
        if request.instrument in self._under_way:
            return  # it will be answered by what is under way, or asked for again after it
        self._counters.resyncs["question" if request.cause == PROBE else request.how] += 1
        log.info("book.resync", venue=self._venue.id, instrument=request.instrument, how=request.how, cause=request.cause)
        task = self._group.create_task(self._do(request), name=f"resync.{request.instrument}")
        self._under_way[request.instrument] = task

    async def _do(self, request: SnapshotRequest) -> None:
        snapshot = None
        try:
            if (pause := pause_s(request.attempt - 1)) > 0:
                await asyncio.sleep(pause)
            if request.how == "rest" and self._venue.snapshots is not None:
                snapshot = await self._fetch(request, self._venue.snapshots)
            elif request.topic is not None:
                # None of them does it if the connection is going, or is subscribing it right now: then a snapshot comes by itself.
                any(session.resubscribe(request.topic) for session in self._sessions())
        finally:
            del self._under_way[request.instrument]
        if snapshot is not None:
            self._sink.publish(self._feeds.apply(snapshot))

    async def _fetch(self, request: SnapshotRequest, source: SnapshotSource) -> BookSnapshot | None:
        """Tried until there is one; None if no connection has the book any more: the next one asks anew."""
        for failures in itertools.count(1):
            if not self._wanted(request):
                return None
            try:
                async with self._turn(request), self._seats:
                    body, received_ts = await self._rest.get(source.rest, source.path(request.symbol), rate_limit=self._rate_limit)
                snapshot = source.parse(body, request.instrument, received_ts)
                return snapshot if self._wanted(request) else None  # a book that nothing can follow must not be called live
            except RestFailed as exc:
                error, wait_s = str(exc), max(pause_s(failures), exc.retry_after_s or 0.0)
            except FRAME_ERRORS as exc:
                error, wait_s = f"not a snapshot: {exc}", pause_s(failures)
            log.warning("book.snapshot_failed", venue=self._venue.id, instrument=request.instrument, error=error, retry_in_s=wait_s)
            await asyncio.sleep(wait_s)
        return None

    def _turn(self, request: SnapshotRequest) -> AbstractAsyncContextManager[None]:
        """What has to be waited for before a seat."""
        return self._questions if request.cause == PROBE else nullcontext()

    def _wanted(self, request: SnapshotRequest) -> bool:
        kinds = ("book", "delta", "quote") if self._venue.quote_from_book else ("book", "delta")
        records = (self._feeds.records.get(FeedKey(kind, request.instrument)) for kind in kinds)
        return any(record is not None and record.sessions for record in records)
