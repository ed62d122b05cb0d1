"""Fetches missed trades by REST as `BackfillSchedule` plans: page by page, within the venue's limits; and publishes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.trades.gaps import OpenGap
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rest.backfill_schedule import BackfillJob, BackfillSchedule
from crosstape_connector.rest.sources import RestSources

LOOK_S: Final = 0.25
"""How often it is looked for new holes."""

log = structlog.get_logger(__name__)


class Backfill:
    """Of one venue. One request at a time: one that hangs holds up the others for `rest_timeout_s`, and no feed."""

    def __init__(
        self,
        sources: RestSources,
        *,
        feeds: FeedHandler,
        sink: Sink,
        counters: Counters,
        flow: Callable[[], Awaitable[None]],
        active: Callable[[], bool],
        longest_s: float,
    ) -> None:
        """`flow`: waits while the bus is far behind. `active`: whether it is we who publish. `longest_s`: see `venues.VENUE.backfill_s`."""
        self._sources = sources
        self._feeds = feeds
        self._sink = sink
        self._counters = counters
        self._flow = flow
        self._active = active
        self._schedule = BackfillSchedule(longest_s=longest_s, page=sources.page_size)

    @property
    def queued(self) -> int:
        """How many holes are under repair."""
        return len(self._schedule)

    async def run(self) -> None:
        """Until cancelled; at once where the venue has no source of past trades."""
        while self._sources.trade_source is not None:
            job = self._next() if self._active() else None
            if job is None:
                await asyncio.sleep(LOOK_S)
            else:
                await self._flow()
                await self._page(job)

    def _next(self) -> BackfillJob | None:
        for hole in self._schedule.remove_filled():  # the stream brought the rest, or a page that was asked for another hole
            self._done(hole, "whole")
        for hole in self._schedule.update(self._feeds.trades.sequences.values(), time.monotonic()):
            self._done(hole, "skipped")
        return self._schedule.next_job(time.monotonic())

    async def _page(self, job: BackfillJob) -> None:
        line, hole = job.sequence, job.open_gap
        try:
            page = await self._sources.fetch_trades(line, job.next_id, job.at_ts)
        except RestFailed as exc:
            log.warning("trades.backfill_failed", venue=line.venue, instrument=line.instrument, error=str(exc))
            job.request_failed(exc.retry_after_s or 0.0, time.monotonic())
        else:
            if hole not in line.open_gaps:
                return  # the stream brought the rest meanwhile, or the venue began its numbering anew
            self._sink.publish(self._feeds.trades.fill_gaps(page))
            if hole in line.open_gaps:
                self._sink.publish(self._feeds.trades.check_nonexistent(hole, page, time.monotonic()))
            numbers = [int(trade.trade_id) for trade in page.trades]
            spanned = range(min(numbers), max(numbers) + 1) if numbers else range(0)
            newest_ts = page.trades[-1].venue_ts if numbers else None
            job.page_received(spanned, newest_ts, last=page.rows < self._sources.page_size, now=time.monotonic())
        if not hole.missing:
            self._schedule.remove(job)
            self._done(hole, "whole")
        elif job.is_hopeless(time.monotonic()):
            self._schedule.remove(job)
            part = hole.report(time.time_ns())
            self._sink.publish(part)
            self._done(hole, "part" if hole.missing < hole.end - hole.first else "nothing")

    def _done(self, hole: OpenGap, outcome: str) -> None:
        gap = hole.gap
        self._counters.backfills[outcome] += 1
        self._counters.nonexistent += hole.nonexistent
        log.info(
            "trades.backfill",
            venue=gap.venue,
            instrument=gap.instrument,
            missed=gap.missed,
            left=hole.missing,
            nonexistent=hole.nonexistent,
            outcome=outcome,
        )
