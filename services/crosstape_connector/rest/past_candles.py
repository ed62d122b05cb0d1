"""Fetches past candles by REST, where a candle feed wants them: at its start, and when candles may have been missed."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Final

import structlog

from crosstape_connector.backoff import pause_s
from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds.candles.sequence import KEPT, CandleSequence
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.worker import RequestWorker, RestRequest
from crosstape_schemas.timeframes import open_of

STREAM_SETTLE_S: Final = 2.0
"""The wait before a page is requested for a feed that holds nothing: its stream may show by itself that nothing was missed."""

AGAIN_S: Final = 1.0
"""The wait after a page that ends before the stream's candle began: REST may be behind the stream."""

FAILURES: Final = 4
"""A feed that holds candles goes on without a page after this many answers in a row that failed or brought nothing."""

PAGES: Final = 5
"""The most pages fetched for one feed in a row. What was missed before them is a gap."""

log = structlog.get_logger(__name__)


class _Job:
    """One feed that wants a page."""

    __slots__ = ("due", "failures", "pages")

    def __init__(self, due: float) -> None:
        self.due = due
        self.failures = 0
        self.pages = 0


class PastCandles:
    """Fetches the past candles of one venue. Makes one request at a time, those for missed candles first; each feed waits by itself."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._jobs: dict[FeedKey, _Job] = {}
        self._worker = RequestWorker(self._next_request)
        self.wake = self._worker.wake
        """Look for feeds that want a page now."""

    async def run(self) -> None:
        """Work until cancelled. Returns at once where the venue has no source of past candles."""
        if self._context.sources.candles is not None:
            await self._worker.run()

    def _next_request(self) -> RestRequest | float:
        if not self._context.active():
            return math.inf
        now = time.monotonic()
        wanted = {feed: one for feed, one in self._context.feeds.candles.sequences.items() if one.wants_page}
        self._jobs = {
            feed: self._jobs.get(feed) or _Job(now + (0.0 if sequence.awaits_page else STREAM_SETTLE_S))
            for feed, sequence in wanted.items()
        }
        due = [feed for feed, job in self._jobs.items() if job.due <= now]
        if not due:
            return min((job.due - now for job in self._jobs.values()), default=math.inf)
        feed = min(due, key=lambda one: (wanted[one].known_from is None, not wanted[one].awaits_page, self._jobs[one].due))
        return partial(self._fetch, wanted[feed], self._jobs[feed])

    async def _fetch(self, sequence: CandleSequence, job: _Job) -> None:
        """Fetch one page and publish what it brings. After a failure the feed waits, the others go on."""
        sources, feeds, sink = self._context.sources, self._context.feeds, self._context.sink
        since_ts = sequence.known_from
        if since_ts is None:
            since_ts = _earlier(sequence.timeframe, time.time_ns(), KEPT)
        try:
            page = await sources.fetch_candles(sequence, since_ts)
        except RestFailed as exc:
            log.warning("candles.page_failed", venue=sequence.venue, feed=sequence.kind, instrument=sequence.instrument, error=str(exc))
            self._failed(sequence, job, exc.retry_after_s or 0.0)
            return
        is_full = bool(page.candles) and len(page.candles) + len(page.odd) >= sources.candles_page
        complete_from = max(since_ts, page.candles[0].open_ts) if is_full else since_ts
        more = is_full and page.received_ts >= page.candles[-1].close_ts and page.candles[-1].open_ts > since_ts
        sink.publish(feeds.candles.apply_page(page, complete_from, more=more))
        job.pages += 1
        if not sequence.awaits_page:
            return
        if sequence.known_from == since_ts or job.pages >= PAGES:
            self._failed(sequence, job, 0.0)
        else:
            job.failures, job.due = 0, time.monotonic() + (0.0 if more else AGAIN_S)

    def _failed(self, sequence: CandleSequence, job: _Job, retry_after_s: float) -> None:
        """Let the feed wait, or go on without a page."""
        job.failures += 1
        job.due = time.monotonic() + max(pause_s(job.failures), retry_after_s)
        if sequence.awaits_page and (job.failures >= FAILURES or job.pages >= PAGES):
            self._context.sink.publish(sequence.end_waiting(time.time_ns()))


def _earlier(timeframe: str, ts: int, intervals: int) -> int:
    """Return when the interval began that is this many before the one that contains `ts`."""
    open_ts = open_of(timeframe, ts)
    for _ in range(intervals):
        open_ts = open_of(timeframe, open_ts - 1)
    return open_ts
