"""Gets the book snapshots that `FeedHandler` requests: fetches them by REST, or subscribes the topic again, within the venue's limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds.effects import SnapshotRequest
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.snapshot_queue import SnapshotJob, SnapshotQueue
from crosstape_connector.rest.worker import RequestWorker, RestRequest

AT_ONCE: Final = 2
"""Snapshots in flight: one that hangs must not delay all others."""

log = structlog.get_logger(__name__)


class SnapshotRecovery:
    """Gets new snapshots for one venue's books: those that are broken, near the edge of the last one, or silent (a probe)."""

    def __init__(self, context: RestContext, *, resubscribe: Callable[[Topic], object]) -> None:
        """`resubscribe`: unsubscribes a topic and subscribes it again, if a connection has it."""
        self._context = context
        self._resubscribe = resubscribe
        self._queue = SnapshotQueue(context.feeds.has_live_book)
        self._workers = [RequestWorker(self._next_request) for _ in range(AT_ONCE)]

    @property
    def queued(self) -> int:
        """How many books have a request that waits or is under way."""
        return len(self._queue)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number, worker in enumerate(self._workers):
                group.create_task(worker.run(), name=f"snapshots.{number}")

    def request(self, request: SnapshotRequest) -> None:
        """Queue one request. Never waits."""
        job = self._queue.add(request, time.monotonic())
        if job is not None:
            self._context.counters.resyncs["question" if job.is_probe else request.how] += 1
            log.info("book.resync", venue=self._context.feeds.venue.id, instrument=request.instrument, how=request.how, cause=request.cause)
        self._wake()

    def _wake(self) -> None:
        for worker in self._workers:
            worker.wake()

    def _next_request(self) -> RestRequest | float:
        now = time.monotonic()
        job = self._queue.next_job(now)
        return self._queue.due_in(now) if job is None else partial(self._attempt, job)

    async def _attempt(self, job: SnapshotJob) -> None:
        """Do what the job requests. After a failure the job waits in the queue, and this worker goes on with others."""
        request, snapshot = job.request, None
        if request.how == "rest" and self._context.sources.snapshots is not None:
            try:
                if self._is_followed(request):
                    snapshot = await self._context.sources.fetch_snapshot(request.symbol, request.instrument, request.levels)
            except RestFailed as exc:
                self._retry(job, exc)
                return
        elif request.topic is not None:
            # No connection subscribes it if its connection is closing, or is subscribing it already: then a snapshot comes anyway.
            self._resubscribe(request.topic)
        self._queue.remove(job, time.monotonic())
        if snapshot is not None and self._is_followed(request):
            self._context.sink.publish(self._context.feeds.apply(snapshot))
        self._wake()  # the other worker may start a probe now

    def _retry(self, job: SnapshotJob, exc: RestFailed) -> None:
        wait_s = self._queue.retry(job, exc.retry_after_s or 0.0, time.monotonic())
        log.warning(
            "book.snapshot_failed", venue=self._context.feeds.venue.id, instrument=job.request.instrument, error=str(exc), retry_in_s=wait_s
        )
        self._wake()

    def _is_followed(self, request: SnapshotRequest) -> bool:
        """Return whether a connection has the book. Without one, no updates would follow; the next connection requests again."""
        kinds = ("book", "delta", "quote") if self._context.feeds.venue.quote_from_book else ("book", "delta")
        records = (self._context.feeds.records.get(FeedKey(kind, request.instrument)) for kind in kinds)
        return any(record is not None and record.sessions for record in records)
