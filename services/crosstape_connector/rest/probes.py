"""What a venue is asked by REST while its streams live: do its instruments trade, has it our best prices, and what was its last trade?

A stream can stop without a word, and a pair can be halted without one. Both look like a quiet market, so silence raises these questions,
whatever the pace that the watchdog has learned; it is no load for a venue whose streams speak.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from crosstape_connector.backoff import pause_s
from crosstape_connector.errors import FRAME_ERRORS, RestFailed
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.rest.client import RestClient
from crosstape_connector.rest.probe_schedule import ProbeSchedule
from crosstape_connector.rest.sources import RestSources
from crosstape_connector.venues.spec import NOT_LISTED, TradingSource

LOOK_S: Final = 0.25
"""How often it is looked whom to ask about."""
URGENT_S: Final = 5.0
"""So often it is asked whether an instrument trades that the watchdog questions, or that did not trade when last asked about."""
SILENT_S: Final = 10.0
"""So often, one that has been silent for a while."""
ROUTINE_S: Final = 60.0
"""So often, all others: in some halts orders are still cancelled, so that the stream goes on."""
BEST_S: Final = 5.0
"""So often a silent instrument's best prices are asked for."""
TRADES_S: Final = 30.0
"""So often the newest trades of an instrument are asked for whose trades are silent."""
TRADES_SILENT_S: Final = 10.0
"""A shorter silence of trades raises no question: nobody need trade."""
SHARE: Final = 0.25
"""Of the requests for trades that the venue allows, so many at most are questions: the others repair gaps."""
CONFIRM_S: Final = 1.0
"""An answer that differs from the stream is asked for again after so long: the stream may only be late."""

log = structlog.get_logger(__name__)


class Probes:
    """Of one venue. One request of a kind at a time."""

    def __init__(
        self,
        rest: RestClient,
        sources: RestSources,
        *,
        feeds: FeedHandler,
        sink: Sink,
        counters: Counters,
        active: Callable[[], bool],
        silent_s: float,
    ) -> None:
        """`active`: whether it is we who publish. `silent_s`: a shorter silence raises no question."""
        self._rest = rest
        self._sources = sources
        self._feeds = feeds
        self._sink = sink
        self._counters = counters
        self._active = active
        self._silent_ns = round(silent_s * 1e9)
        self._trading = ProbeSchedule(urgent_s=URGENT_S, silent_s=SILENT_S, routine_s=ROUTINE_S)
        self._groups: deque[list[str]] = deque()  # parts of a request that was refused because of one of them
        self._gone: set[str] = set()  # instruments that are not listed any more: asked about alone

    def request(self, instrument: str) -> None:
        """Its silence is questioned: does it trade?"""
        self._trading.want(instrument)

    async def run(self) -> None:
        """Until cancelled; at once where there is nothing to ask."""
        async with asyncio.TaskGroup() as group:
            source = self._feeds.venue.trading
            if source is not None:
                group.create_task(self._follow_trading(source), name="ask.trading")
            if self._sources.quote_source is not None and self._feeds.kinds & {"quote", "book", "delta"}:
                group.create_task(self._follow_best(self._sources.quote_source.batch), name="ask.best")
            if self._sources.trade_source is not None and "trade" in self._feeds.kinds:
                group.create_task(self._follow_trades(60.0 / (SHARE * self._sources.trade_source.per_minute)), name="ask.trades")

    async def _follow_trading(self, source: TradingSource) -> None:
        limit, failures = RateLimit.per_minute(source.per_minute), 0
        while True:
            names = self._next_trading(source.batch) if self._active() else []
            if not names:
                await asyncio.sleep(LOOK_S)
                continue
            try:
                await self._ask_trading(source, names, limit)
                failures = 0
            except RestFailed as exc:
                failures += 1
                if failures == 1:
                    log.warning("trading.not_known", venue=self._feeds.venue.id, error=str(exc), instruments=len(names))
                for name in names:
                    self._trading.want(name)
                await asyncio.sleep(max(pause_s(failures), exc.retry_after_s or 0.0))

    def _next_trading(self, batch: int) -> list[str]:
        if self._groups:
            return self._groups.popleft()
        silent = self._feeds.silent_prices(time.time_ns() - self._silent_ns)
        names = list(dict.fromkeys(feed.instrument for feed in self._feeds.records))
        turn = self._trading.next(names, now=time.monotonic(), often=self._feeds.halts, silent=silent, count=batch)
        self._groups.extend([name] for name in turn if name in self._gone)
        return [name for name in turn if name not in self._gone]

    async def _ask_trading(self, source: TradingSource, names: Sequence[str], limit: RateLimit) -> None:
        symbols = {record.symbol: record.instrument for record in self._feeds.records.values() if record.instrument in names}
        if not symbols:
            return  # removed meanwhile
        self._counters.questions["trading"] += 1
        try:
            body, _ = await self._rest.get(source.rest, source.path(list(symbols)), rate_limit=limit, captured=False)
            reasons = source.parse(body, list(symbols))
        except FRAME_ERRORS as exc:
            raise RestFailed(f"not a list of instruments: {exc}") from exc
        except RestFailed as exc:
            if not source.unknown(str(exc)):
                raise
            if len(symbols) > 1:
                half, listed = len(symbols) // 2, list(symbols.values())
                self._groups += listed[:half], listed[half:]
                return
            reasons = dict.fromkeys(symbols, NOT_LISTED)
        for symbol, reason in reasons.items():
            self._tell(symbols[symbol], reason)

    def _tell(self, instrument: str, reason: str) -> None:
        (self._gone.add if reason == NOT_LISTED else self._gone.discard)(instrument)
        events = self._feeds.set_halt(instrument, reason, time.time_ns())
        if events:
            log.warning(
                "instrument.halted" if reason else "instrument.trades", venue=self._feeds.venue.id, instrument=instrument, reason=reason
            )
        self._sink.publish(events)

    async def _follow_best(self, batch: int) -> None:
        due, failures = ProbeSchedule(urgent_s=CONFIRM_S, silent_s=BEST_S), 0
        while True:
            silent = self._feeds.silent_prices(time.time_ns() - self._silent_ns) if self._active() else []
            names = due.next(silent, now=time.monotonic(), often=self._feeds.suspects(), silent=silent, count=batch)
            if not names:
                await asyncio.sleep(LOOK_S)
                continue
            try:
                await self._ask_best(names)
                failures = 0
            except RestFailed as exc:
                failures += 1
                if failures == 1:
                    log.warning("quotes.not_compared", venue=self._feeds.venue.id, error=str(exc), instruments=len(names))
                await asyncio.sleep(max(pause_s(failures), exc.retry_after_s or 0.0))

    async def _ask_best(self, names: Sequence[str]) -> None:
        symbols = {record.symbol: record.instrument for record in self._feeds.records.values() if record.instrument in names}
        self._counters.questions["best"] += 1
        asked_ts = time.time_ns()
        for quote in await self._sources.fetch_quotes(symbols):
            self._sink.publish(self._feeds.compare_best_prices(quote, asked_ts, time.time_ns()))

    async def _follow_trades(self, spacing_s: float) -> None:
        due, failures = ProbeSchedule(urgent_s=CONFIRM_S, silent_s=TRADES_S), 0
        while True:
            before_ts = time.time_ns() - max(self._silent_ns, round(TRADES_SILENT_S * 1e9))
            silent = self._feeds.silent_trades(before_ts) if self._active() else []
            names = due.next(silent, now=time.monotonic(), often=(), silent=silent, count=1)
            if not names:
                await asyncio.sleep(LOOK_S)
                continue
            line = self._feeds.trades.sequences[names[0]]
            self._counters.questions["trades"] += 1
            try:
                page = await self._sources.fetch_trades(line, None)
                failures = 0
            except RestFailed as exc:
                failures += 1
                if failures == 1:
                    log.warning("trades.not_compared", venue=self._feeds.venue.id, error=str(exc), instrument=line.instrument)
                await asyncio.sleep(max(pause_s(failures), exc.retry_after_s or 0.0))
                continue
            self._sink.publish(self._feeds.check_newest_trades(page))
            if page.trades and int(page.trades[-1].trade_id) >= line.next_id >= 0:
                due.want(line.instrument)  # the stream may only be late
            await asyncio.sleep(spacing_s)
