"""Asks a venue by REST while its streams are connected: does an instrument trade, what are its best prices, what was its last trade?

A stream can stop without a message, and a pair can be halted without one. Both look like a quiet market. So a silent instrument is probed,
whatever interval the watchdog has learned for it. Instruments whose streams bring data are probed rarely.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from crosstape_connector.errors import RestFailed
from crosstape_connector.rest import worker
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.probe_schedule import ProbeSchedule
from crosstape_connector.rest.worker import RequestWorker, RestRequest
from crosstape_connector.venues.spec import NOT_LISTED

LOOK_S: Final = 0.25
"""Interval of checks for silent instruments, while one will soon have been silent for long enough."""

URGENT_S: Final = 5.0
"""How often to ask whether an instrument trades that the watchdog doubts, or that did not trade at the last answer."""

SILENT_S: Final = 10.0
"""How often to ask whether an instrument trades that has been silent for a while."""

ROUTINE_S: Final = 60.0
"""How often to ask whether any other instrument trades: in some halts orders are still cancelled, so that the stream goes on."""

BEST_S: Final = 5.0
"""How often to ask for the best prices of a silent instrument."""

TRADES_S: Final = 30.0
"""How often to ask for the newest trades of an instrument whose trades are silent."""

TRADES_SILENT_S: Final = 10.0
"""A shorter silence of trades leads to no probe: a market may have no trades for a while."""

PROBE_SHARE: Final = 0.25
"""The share of the requests for trades that probes may use: the others fill gaps."""

ASK_AGAIN_S: Final = 1.0
"""When to ask again after an answer that differs from the stream: the stream may only be late."""

log = structlog.get_logger(__name__)


class Probes:
    """Probes one venue. One request of a kind at a time."""

    def __init__(self, context: RestContext, *, silent_s: float) -> None:
        """`silent_s`: a shorter silence leads to no probe."""
        self._context = context
        self._silent_s = silent_s
        self._trading = ProbeSchedule(urgent_s=URGENT_S, silent_s=SILENT_S, routine_s=ROUTINE_S)
        self._prices = ProbeSchedule(urgent_s=ASK_AGAIN_S, silent_s=BEST_S)
        self._trades = ProbeSchedule(urgent_s=ASK_AGAIN_S, silent_s=TRADES_S)
        self._trades_from = -math.inf  # no probe of trades before this time
        self._groups: deque[Sequence[str]] = deque()  # instruments to ask about next, one group per request
        self._unlisted: set[str] = set()  # instruments that are not listed any more: asked about alone
        self._trading_worker = RequestWorker(self._next_trading)
        self._prices_worker = RequestWorker(self._next_prices)
        self._trades_worker = RequestWorker(self._next_trades)

    def request(self, instrument: str) -> None:
        """Ask soon whether this instrument trades: its silence is in doubt."""
        self._trading.request(instrument)
        self._trading_worker.wake()

    async def run(self) -> None:
        """Work until cancelled. Returns at once where there is nothing to ask."""
        sources, kinds = self._context.sources, self._context.feeds.kinds
        async with asyncio.TaskGroup() as group:
            if sources.trading is not None:
                group.create_task(self._trading_worker.run(), name="probe.trading")
            if sources.quotes is not None and kinds & {"quote", "book", "delta"}:
                group.create_task(self._prices_worker.run(), name="probe.prices")
            if sources.trades is not None and "trade" in kinds:
                group.create_task(self._trades_worker.run(), name="probe.trades")

    def _next_trading(self) -> RestRequest | float:
        source = self._context.sources.trading
        if source is None or not self._context.active():
            return math.inf
        now, wait_s = time.monotonic(), math.inf
        if not self._groups:
            names = list(dict.fromkeys(feed.instrument for feed in self._context.feeds.records))
            silent, wait_s = _silent(self._context.feeds.silent_prices, self._silent_s)
            turn = self._trading.next_names(names, now=now, urgent=self._context.feeds.halts, silent=silent, count=source.batch)
            listed = [name for name in turn if name not in self._unlisted]
            self._groups += ([listed] if listed else []) + [[name] for name in turn if name in self._unlisted]
        if not self._groups:
            return min(wait_s, self._trading.due_in(now))
        return partial(self._ask_trading, self._groups.popleft())

    async def _ask_trading(self, names: Sequence[str]) -> None:
        source, symbols = self._context.sources.trading, self._symbols(names)
        if source is None or not symbols:
            return  # they were removed meanwhile
        self._context.counters.questions["trading"] += 1
        try:
            reasons = await self._context.sources.fetch_trading(list(symbols))
        except RestFailed as exc:
            if not source.unknown(str(exc)):
                self._failed("trading.not_known", self._trading_worker, exc, instruments=len(names))
                for name in names:
                    self._trading.request(name)
                raise
            if len(symbols) > 1:  # one of them is not listed any more: halve the group until that symbol is alone
                half, listed = len(symbols) // 2, list(symbols.values())
                self._groups += listed[:half], listed[half:]
                return
            reasons = dict.fromkeys(symbols, NOT_LISTED)
        for symbol, reason in reasons.items():
            self._apply_trading(symbols[symbol], reason)

    def _apply_trading(self, instrument: str, reason: str) -> None:
        (self._unlisted.add if reason == NOT_LISTED else self._unlisted.discard)(instrument)
        events = self._context.feeds.set_halt(instrument, reason, time.time_ns())
        if events:
            event = "instrument.halted" if reason else "instrument.trades"
            log.warning(event, venue=self._context.feeds.venue.id, instrument=instrument, reason=reason)
        self._context.sink.publish(events)

    def _next_prices(self) -> RestRequest | float:
        source = self._context.sources.quotes
        if source is None or not self._context.active():
            return math.inf
        now = time.monotonic()
        silent, wait_s = _silent(self._context.feeds.silent_prices, self._silent_s)
        names = self._prices.next_names(silent, now=now, urgent=self._context.feeds.suspects(), silent=silent, count=source.batch)
        return partial(self._ask_prices, names) if names else min(wait_s, self._prices.due_in(now))

    async def _ask_prices(self, names: Sequence[str]) -> None:
        self._context.counters.questions["best"] += 1
        asked_ts = time.time_ns()
        try:
            quotes = await self._context.sources.fetch_quotes(self._symbols(names))
        except RestFailed as exc:
            self._failed("quotes.not_compared", self._prices_worker, exc, instruments=len(names))
            raise
        for quote in quotes:
            self._context.sink.publish(self._context.feeds.compare_best_prices(quote, asked_ts, time.time_ns()))

    def _next_trades(self) -> RestRequest | float:
        if not self._context.active():
            return math.inf
        now = time.monotonic()
        if now < self._trades_from:
            return self._trades_from - now
        silent, wait_s = _silent(self._context.feeds.silent_trades, max(self._silent_s, TRADES_SILENT_S))
        names = self._trades.next_names(silent, now=now, urgent=(), silent=silent, count=1)
        return partial(self._ask_trades, names[0]) if names else min(wait_s, self._trades.due_in(now))

    async def _ask_trades(self, instrument: str) -> None:
        source, sequence = self._context.sources.trades, self._context.feeds.trades.sequences[instrument]
        assert source is not None  # else its worker does not run
        self._context.counters.questions["trades"] += 1
        try:
            page = await self._context.sources.fetch_trades(sequence, None)
        except RestFailed as exc:
            self._failed("trades.not_compared", self._trades_worker, exc, instrument=instrument)
            raise
        self._context.sink.publish(self._context.feeds.check_newest_trades(page))
        if page.trades and int(page.trades[-1].trade_id) >= sequence.next_id >= 0:
            self._trades.request(instrument)  # the stream may only be late
        self._trades_from = time.monotonic() + 60.0 / (PROBE_SHARE * source.per_minute)

    def _symbols(self, names: Sequence[str]) -> dict[str, str]:
        """Return the venue's symbol → our instrument."""
        return {record.symbol: record.instrument for record in self._context.feeds.records.values() if record.instrument in names}

    def _failed(self, event: str, asking: RequestWorker, exc: RestFailed, **fields: object) -> None:
        """Log the first failure in a row."""
        if not asking.failures:
            log.warning(event, venue=self._context.feeds.venue.id, error=str(exc), **fields)


def _silent(silent_since: Callable[[int], list[str]], silent_s: float) -> tuple[list[str], float]:
    """Return the instruments that have been silent for `silent_s`, and the seconds until it is worth looking for more.

    `silent_since`: returns the instruments that have been silent since a time (ns since the epoch).
    """
    before_ts = time.time_ns() - round(silent_s * 1e9)
    silent = silent_since(before_ts)
    is_growing = len(silent_since(before_ts + round(worker.LOOK_S * 1e9))) > len(silent)
    return silent, LOOK_S if is_growing else math.inf
