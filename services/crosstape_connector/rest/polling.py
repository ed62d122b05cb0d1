"""Polling over REST while a venue's WebSocket cannot be had: trades and quotes, as often as the venue's budget has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final

import structlog

from crosstape_connector.backoff import pause_s
from crosstape_connector.connection.session import Session
from crosstape_connector.connection.subscriptions import TopicState
from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rest import polling_rules
from crosstape_connector.rest.polling_rules import Absence, Turns
from crosstape_connector.rest.sources import RestSources

LOOK_S: Final = 0.1
"""How often it is looked whether the WebSocket is there, and who is due."""

CATCH_UP_S: Final = 60.0
"""Trades that were missed for so long are fetched by polling; after a longer absence it begins with the newest, and a gap is told."""

LAG_NS: Final = 1_000_000_000
"""So far an answer of REST may be behind the stream."""

ANSWERED: Final = (TopicState.CONFIRMED, TopicState.REJECTED)

log = structlog.get_logger(__name__)

Poll = Callable[[Sequence[str], str], Awaitable[None]]
"""Asks for these instruments; the reason is what to say of their feeds."""


class Polling:
    """Of one venue. One request of a kind at a time."""

    def __init__(
        self,
        sources: RestSources,
        *,
        feeds: FeedHandler,
        sink: Sink,
        counters: Counters,
        sessions: Callable[[], Iterable[Session]],
        active: Callable[[], bool],
        after_s: float,
        catch_up_s: float,
    ) -> None:
        """`active`: whether it is we who publish.

        `after_s`: so long the WebSocket may be away; 0: for ever. `catch_up_s`: see `CATCH_UP_S`, if it is more.
        """
        self._sources = sources
        self._feeds = feeds
        self._sink = sink
        self._counters = counters
        self._sessions = sessions
        self._active = active
        self._after_s = after_s
        self._catch_up_ns = round(max(catch_up_s, CATCH_UP_S) * 1e9)
        self._polled: dict[str, set[str]] = {"trade": set(), "quote": set()}

    def polled_feeds(self) -> dict[str, int]:
        """Kind → how many feeds are polled now."""
        return {kind: len(names) for kind, names in self._polled.items()}

    async def run(self) -> None:
        """Until cancelled; at once where there is nothing to poll."""
        if not self._after_s:
            return
        trades, quotes = self._sources.trade_source, self._sources.quote_source
        try:
            async with asyncio.TaskGroup() as group:
                if trades is not None and "trade" in self._feeds.kinds:
                    turns = Turns(per_minute=trades.per_minute, batch=1)
                    group.create_task(self._follow("trade", turns, self._poll_trades), name="poll.trade")
                if quotes is not None and "quote" in self._feeds.kinds:
                    turns = Turns(per_minute=quotes.per_minute, batch=quotes.batch)
                    group.create_task(self._follow("quote", turns, self._poll_quotes), name="poll.quote")
        finally:
            for kind, names in self._polled.items():
                self._end(kind, names, "stopped")

    async def _follow(self, kind: str, turns: Turns, poll: Poll) -> None:
        endpoint = next((one.name for one in self._feeds.venue.endpoints if kind in one.channels), "")
        absence = Absence(self._after_s, time.monotonic())
        failures = 0
        while True:
            names = [feed.instrument for feed in self._feeds.records if feed.kind == kind]
            away = absence.look(time.monotonic(), there=not names or self._is_there(endpoint)) and self._active()
            if not away and self._polled[kind]:
                log.info("feeds.polling_ended", venue=self._feeds.venue.id, kind=kind)
                self._end(kind, self._polled[kind], "no connection")
            self._polled[kind].intersection_update(names)
            turn = turns.next(names if away else (), time.monotonic())
            if not turn:
                await asyncio.sleep(LOOK_S)
                continue
            if not self._polled[kind] and not failures:
                log.warning("feeds.polling", venue=self._feeds.venue.id, kind=kind, feeds=len(names))
            self._counters.polls[kind] += 1
            try:
                await poll(turn, polling_rules.reason(turns.interval_s(len(names))))
                failures = 0
            except RestFailed as exc:
                failures += 1
                log.warning("feeds.poll_failed", venue=self._feeds.venue.id, kind=kind, error=str(exc), failures=failures)
                self._end(kind, turn, "no connection, and REST fails")
                await asyncio.sleep(max(pause_s(failures), exc.retry_after_s or 0.0))

    def _is_there(self, endpoint: str) -> bool:
        """Whether a connection of it is open, and the venue has answered on it: one that says nothing is of no use."""
        return any(
            session.open and any(state in ANSWERED for state in session.subscriptions.states.values())
            for session in self._sessions()
            if session.connection.endpoint.name == endpoint
        )

    def _end(self, kind: str, names: Collection[str], why: str) -> None:
        now = time.time_ns()
        for name in list(names):
            if name in self._polled[kind]:
                self._sink.publish(self._feeds.end_polling(FeedKey(kind, name), now, why))
            self._polled[kind].discard(name)

    async def _poll_trades(self, names: Sequence[str], why: str) -> None:
        for line in [self._feeds.trades.sequences[name] for name in names]:
            is_known = line.next_id >= 0 and time.time_ns() - (line.gap_from or line.received_ts) <= self._catch_up_ns
            asked_ts = time.time_ns()
            page = await self._sources.fetch_trades(line, line.next_id if is_known else None, line.venue_ts or line.gap_from)
            is_all = page.rows < self._sources.page_size
            self._polled["trade"].add(line.instrument)
            self._sink.publish(self._feeds.trades.apply_poll(page, why, asked_ts - LAG_NS if is_all or not is_known else 0))

    async def _poll_quotes(self, names: Sequence[str], why: str) -> None:
        records = {name: self._feeds.records[FeedKey("quote", name)] for name in names}
        asked_ts = time.time_ns()
        for quote in await self._sources.fetch_quotes({record.symbol: name for name, record in records.items()}):
            record = records.get(quote.instrument)
            if record is not None and self._feeds.records.get(FeedKey("quote", quote.instrument)) is record:  # it was not removed meanwhile
                self._polled["quote"].add(quote.instrument)
                self._sink.publish(self._feeds.apply_polled_quote(quote, asked_ts, why))
