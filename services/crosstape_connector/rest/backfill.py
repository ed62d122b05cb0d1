"""Fetches missed trades by REST, page by page, as `BackfillSchedule` plans, and publishes them."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds.trades.open_gaps import OpenGap
from crosstape_connector.rest.backfill_schedule import BackfillJob, BackfillSchedule
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.worker import RequestWorker, RestRequest

log = structlog.get_logger(__name__)


class Backfill:
    """Fills the gaps in one venue's trades. Makes one request at a time: one that hangs delays the other gaps, but no feed."""

    def __init__(self, context: RestContext, *, flow: Callable[[], Awaitable[None]], longest_s: float) -> None:
        """`flow`: returns when the bus is not far behind. `longest_s`: see `BackfillSchedule`."""
        self._context = context
        self._flow = flow
        self._schedule = BackfillSchedule(longest_s=longest_s, page=context.sources.page_size)
        self._worker = RequestWorker(self._next_request)
        self.wake = self._worker.wake
        """Look for new gaps now."""

    @property
    def queued(self) -> int:
        """Number of gaps that are being filled or wait for their turn."""
        return len(self._schedule)

    async def run(self) -> None:
        """Fill gaps until cancelled. Returns at once where the venue has no source of past trades."""
        if self._context.sources.trades is not None:
            await self._worker.run()

    def _next_request(self) -> RestRequest | float:
        if not self._context.active():
            return math.inf
        now = time.monotonic()
        for gap in self._schedule.remove_filled():  # by the stream, or by a page that was fetched for another gap
            self._close(gap, "whole")
        for gap in self._schedule.update(self._context.feeds.trades.sequences.values(), now):
            self._close(gap, "skipped")
        job = self._schedule.next_job(now)
        return self._schedule.due_in(now) if job is None else partial(self._fill, job)

    async def _fill(self, job: BackfillJob) -> None:
        """Fetch the job's next page and publish what it brings. The job itself waits after a failure, the other gaps go on."""
        await self._flow()
        sequence, gap = job.sequence, job.open_gap
        try:
            page = await self._context.sources.fetch_trades(sequence, job.next_id, job.at_ts)
        except RestFailed as exc:
            log.warning("trades.backfill_failed", venue=sequence.venue, instrument=sequence.instrument, error=str(exc))
            job.request_failed(exc.retry_after_s or 0.0, time.monotonic())
        else:
            if gap not in sequence.open_gaps:
                return  # the stream brought the rest meanwhile, or the venue restarted its numbering
            self._context.sink.publish(self._context.feeds.trades.fill_gaps(page))
            if gap in sequence.open_gaps:
                self._context.sink.publish(self._context.feeds.trades.check_nonexistent(gap, page, time.monotonic()))
            ids = [int(trade.trade_id) for trade in page.trades]
            span = range(min(ids), max(ids) + 1) if ids else range(0)
            newest_ts = page.trades[-1].venue_ts if ids else None
            job.page_received(span, newest_ts, last=page.rows < self._context.sources.page_size, now=time.monotonic())
        if not gap.missing:
            self._schedule.remove(job)
            self._close(gap, "whole")
        elif job.is_hopeless(time.monotonic()):
            self._schedule.remove(job)
            self._context.sink.publish(gap.report(time.time_ns()))
            self._close(gap, "part" if gap.missing < gap.end - gap.first else "nothing")

    def _close(self, open_gap: OpenGap, outcome: str) -> None:
        """Count and log the outcome of a gap."""
        gap = open_gap.gap
        self._context.counters.backfills[outcome] += 1
        self._context.counters.nonexistent += open_gap.nonexistent
        log.info(
            "trades.backfill",
            venue=gap.venue,
            instrument=gap.instrument,
            missed=gap.missed,
            left=open_gap.missing,
            nonexistent=open_gap.nonexistent,
            outcome=outcome,
        )
