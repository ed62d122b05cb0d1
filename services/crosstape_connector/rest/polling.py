"""Polls trades and quotes by REST while a venue's WebSocket is away, as often as the venue's limits allow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final

import structlog

from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.rest import polling_rules
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.polling_rules import Absence, PollSchedule
from crosstape_connector.rest.worker import RequestWorker, RestRequest

LOOK_S: Final = 0.1
"""Interval of checks, while polling, whether the WebSocket is connected again."""

CATCH_UP_S: Final = 60.0
"""Polling fetches trades that were missed for at most this time. After a longer absence it starts with the newest, and a gap remains."""

LAG_NS: Final = 1_000_000_000
"""How far an answer of REST may be behind the stream."""

log = structlog.get_logger(__name__)

Poll = Callable[[Sequence[str], str], Awaitable[None]]
"""Polls these instruments; the text becomes the reason in their feeds' status."""


class PolledKind:
    """The feeds of one kind, which are polled while their endpoint is away."""

    def __init__(self, kind: str, endpoint: str, *, absence: Absence, schedule: PollSchedule, poll: Poll) -> None:
        self.kind = kind
        self.endpoint = endpoint
        self.absence = absence
        self.schedule = schedule
        self.poll = poll
        self.polled: set[str] = set()
        """The instruments whose feeds are polled now."""


class Polling:
    """Polls one venue. One request of a kind at a time."""

    def __init__(self, context: RestContext, *, answered: Callable[[str], bool], after_s: float, catch_up_s: float) -> None:
        """`answered`: returns whether the venue has answered a subscription on an open connection to this endpoint.

        `after_s`: how long a WebSocket may be away before its feeds are polled; 0: they never are. `catch_up_s`: replaces `CATCH_UP_S`
        if it is more.
        """
        self._context = context
        self._answered = answered
        self._after_s = after_s
        self._catch_up_ns = round(max(catch_up_s, CATCH_UP_S) * 1e9)
        trades, quotes = context.sources.trades, context.sources.quotes
        self._kinds: dict[str, PolledKind] = {}
        if trades is not None and after_s:
            self._add("trade", PollSchedule(per_minute=trades.per_minute, batch=1), self._poll_trades)
        if quotes is not None and after_s:
            self._add("quote", PollSchedule(per_minute=quotes.per_minute, batch=quotes.batch), self._poll_quotes)
        self._workers = {name: RequestWorker(partial(self._next_request, kind)) for name, kind in self._kinds.items()}

    def _add(self, kind: str, schedule: PollSchedule, poll: Poll) -> None:
        if kind in self._context.feeds.kinds:
            endpoint = next((one.name for one in self._context.feeds.venue.endpoints if kind in one.channels), "")
            self._kinds[kind] = PolledKind(kind, endpoint, absence=Absence(self._after_s), schedule=schedule, poll=poll)

    def polled_feeds(self) -> dict[str, int]:
        """Return how many feeds are polled now, by kind."""
        return {kind: len(self._kinds[kind].polled) if kind in self._kinds else 0 for kind in ("trade", "quote")}

    def wake(self) -> None:
        """Check now whether a connection is lost."""
        for worker in self._workers.values():
            worker.wake()

    async def run(self) -> None:
        """Work until cancelled. Returns at once where there is nothing to poll."""
        try:
            async with asyncio.TaskGroup() as group:
                for name, worker in self._workers.items():
                    group.create_task(worker.run(), name=f"poll.{name}")
        finally:
            for kind in self._kinds.values():
                self._end(kind, kind.polled, "stopped")

    def _next_request(self, kind: PolledKind) -> RestRequest | float:
        now = time.monotonic()
        names = [feed.instrument for feed in self._context.feeds.records if feed.kind == kind.kind]
        is_away = kind.absence.is_too_long(now, connected=not names or self._answered(kind.endpoint))
        is_polling = is_away and self._context.active()
        if not is_polling and kind.polled:
            log.info("feeds.polling_ended", venue=self._context.feeds.venue.id, kind=kind.kind)
            self._end(kind, kind.polled, "no connection")
        kind.polled.intersection_update(names)
        turn = kind.schedule.next_names(names if is_polling else (), now)
        if turn:
            return partial(self._request, kind, turn, len(names))
        return min(kind.schedule.due_in(now), LOOK_S) if is_polling else kind.absence.due_in(now)

    async def _request(self, kind: PolledKind, turn: Sequence[str], count: int) -> None:
        """Poll the instruments of this turn, out of `count`."""
        failures = self._workers[kind.kind].failures
        if not kind.polled and not failures:
            log.warning("feeds.polling", venue=self._context.feeds.venue.id, kind=kind.kind, feeds=count)
        self._context.counters.polls[kind.kind] += 1
        try:
            await kind.poll(turn, polling_rules.reason(kind.schedule.interval_s(count)))
        except RestFailed as exc:
            log.warning("feeds.poll_failed", venue=self._context.feeds.venue.id, kind=kind.kind, error=str(exc), failures=failures + 1)
            self._end(kind, turn, "no connection, and REST fails")
            raise

    def _end(self, kind: PolledKind, names: Collection[str], why: str) -> None:
        """Stop polling these feeds, and publish their new state. Feeds that are not polled stay as they are."""
        now = time.time_ns()
        for name in kind.polled.intersection(names):
            self._context.sink.publish(self._context.feeds.end_polling(FeedKey(kind.kind, name), now, why))
        kind.polled.difference_update(list(names))

    async def _poll_trades(self, names: Sequence[str], why: str) -> None:
        for sequence in [self._context.feeds.trades.sequences[name] for name in names]:
            is_known = sequence.next_id >= 0 and time.time_ns() - (sequence.gap_from or sequence.received_ts) <= self._catch_up_ns
            first_id = sequence.next_id if is_known else None
            asked_ts = time.time_ns()
            page = await self._context.sources.fetch_trades(sequence, first_id, sequence.venue_ts or sequence.gap_from)
            is_all = page.rows < self._context.sources.page_size
            self._kinds["trade"].polled.add(sequence.instrument)
            self._context.sink.publish(self._context.feeds.trades.apply_poll(page, why, asked_ts - LAG_NS if is_all or not is_known else 0))

    async def _poll_quotes(self, names: Sequence[str], why: str) -> None:
        feeds = self._context.feeds.records
        records = {name: feeds[FeedKey("quote", name)] for name in names}
        asked_ts = time.time_ns()
        for quote in await self._context.sources.fetch_quotes({record.symbol: name for name, record in records.items()}):
            record = records.get(quote.instrument)
            if record is not None and feeds.get(FeedKey("quote", quote.instrument)) is record:  # it was not removed meanwhile
                self._kinds["quote"].polled.add(quote.instrument)
                self._context.sink.publish(self._context.feeds.apply_polled_quote(quote, asked_ts, why))
