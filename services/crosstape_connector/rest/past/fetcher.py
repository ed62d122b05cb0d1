"""Fetches ranges of the past of one venue: asks what the pagers say, within the limits, and tries again where that may help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

import structlog

from crosstape_connector.backoff import delays
from crosstape_connector.errors import FRAME_ERRORS, PastFailed, RestFailed
from crosstape_connector.rest import instruments
from crosstape_connector.rest.client import BUSY, RestClient
from crosstape_connector.rest.instruments import InstrumentCache, nearest
from crosstape_connector.rest.past.candles import SETTLE_NS, CandlePager
from crosstape_connector.rest.past.limiter import PastLimiter
from crosstape_connector.rest.past.paging import Brought, Pager, Range
from crosstape_connector.rest.past.reach import refusal
from crosstape_connector.rest.past.trades_by_id import ByIdPager
from crosstape_connector.rest.past.trades_by_time import ByTimePager, OfSpanPager
from crosstape_connector.venues.messages import CandleSnapshot, TradeSnapshot
from crosstape_connector.venues.past import PastCandles, TradesById, TradesByTime
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Instrument

TRIES: Final = 8
"""How often one page is asked for, with growing pauses: about two minutes in all."""

REFUSED_TRIES: Final = 2
"""The same for a request that the venue refuses as wrong (HTTP 4xx)."""

PATIENCE_S: Final = 3_600.0
"""A venue that asks to wait longer, as after a ban, ends the fetching."""

PAUSE_MIN_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
FIRST_OF_5XX: Final = 500
T = TypeVar("T", TradeSnapshot, CandleSnapshot)

log = structlog.get_logger(__name__)


class PastFetcher:
    """One venue's past. Ranges may be fetched one after another; each waits for the limits that all share."""

    def __init__(
        self,
        venue: Venue,
        rest: RestClient,
        limiter: PastLimiter,
        cache: InstrumentCache | None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`rest`: with `limiter` as its spender. `cache`: of the venue's list of instruments."""
        self.venue = venue
        self._rest = rest
        self._limiter = limiter
        self._cache = cache
        self._clock = clock
        self._listed: dict[str, Instrument] | None = None
        self.requests = 0
        """Requests that were made, those that failed included."""
        self.waited_s = 0.0
        """How long we have waited because of limits and failures."""

    def reach(self, timeframe: str | None, from_ts: int) -> str:
        """See `reach.refusal`."""
        return refusal(self.venue, timeframe, from_ts, self._clock())

    async def instrument(self, name: str) -> Instrument:
        """Return the instrument as the venue lists it, also one that does not trade now. Raises `PastFailed`."""
        if self._listed is None:
            for path in self.venue.instruments.paths:
                await self._limiter.wait(path)
                self.requests += 1
            try:
                listing = await instruments.load(self._rest, self.venue, self._cache)
            except RestFailed as exc:
                raise PastFailed(f"{self.venue.id}: the list of instruments cannot be fetched: {exc}") from exc
            listed: dict[str, Instrument] = {}
            for one in listing.instruments:
                if one.name not in listed or one.active:
                    listed[one.name] = one
            self._listed = listed
        found = self._listed.get(name)
        if found is None:
            near = ", ".join(nearest([name.upper()], self._listed))
            raise PastFailed(f"{self.venue.id}: {name} is not listed" + (f"; near: {near}" if near else ""))
        return found

    async def fetch(self, name: str, timeframe: str | None, from_ts: int, to_ts: int) -> AsyncIterator[Brought]:
        """Yields what each request brought of the trades (`timeframe` None) or candles in `[from_ts, to_ts)`, in order of time.

        The last few seconds before now are left out: what the venue shows of them may not be all. Raises `PastFailed`.
        """
        if reason := self.reach(timeframe, from_ts):
            raise PastFailed(reason)
        found = await self.instrument(name)
        wanted = Range(from_ts, min(to_ts, self._clock() - SETTLE_NS))
        if wanted.from_ts >= wanted.to_ts:
            return
        if timeframe is None:
            trades = self.venue.past_trades
            assert not isinstance(trades, str)
            pager: Pager[TradeSnapshot]
            match trades:
                case TradesById():
                    pager = ByIdPager(trades, found.symbol, wanted)
                case TradesByTime():
                    pager = ByTimePager(trades, found.symbol, wanted)
                case _:
                    pager = OfSpanPager(trades, found.symbol, wanted, self._clock())
            parse = trades.parse
            async for brought in self._page(pager, trades.rest, lambda body, ts: parse(body, found, ts), "trades"):
                yield brought
        else:
            candles = self.venue.past_candles
            assert isinstance(candles, PastCandles)
            read, frame = candles.parse, timeframe
            by_range = CandlePager(candles, found.symbol, timeframe, wanted)
            async for brought in self._page(by_range, candles.rest, lambda body, ts: read(body, found, frame, ts), "candles"):
                yield brought

    async def _page(self, pager: Pager[T], rest: str, parse: Callable[[bytes, int], T], what: str) -> AsyncIterator[Brought]:
        """Follow a pager to its end."""
        crowded = 0
        while (path := pager.path) is not None:
            answer, asked_ts = await self._ask(rest, path, parse, what)
            self._rest.odd_rows.report(what, answer.odd)
            brought = pager.accept(answer, asked_ts)
            if pager.crowded > crowded:
                crowded = pager.crowded
                log.warning("past.crowded", venue=self.venue.id, path=path, reason="more trades of one moment than an answer holds")
            yield brought

    async def _ask(self, rest: str, path: str, parse: Callable[[bytes, int], T], what: str) -> tuple[T, int]:
        """Return an answer, and our clock before it was asked for. Raises `PastFailed` after `TRIES`."""
        pauses = delays(PAUSE_MIN_S, PAUSE_MAX_S)
        failures = 0
        while True:
            began = time.monotonic()
            await self._limiter.wait(path)
            self.waited_s += time.monotonic() - began
            asked_ts = self._clock()
            self.requests += 1
            try:
                body, received_ts = await self._rest.get(rest, path, captured=False)
                return parse(body, received_ts), asked_ts
            except RestFailed as exc:
                failures += 1
                pause = max(next(pauses), exc.retry_after_s or 0.0)
                refused = 400 <= exc.status < FIRST_OF_5XX and exc.status not in BUSY
                if pause > PATIENCE_S:
                    raise PastFailed(f"{self.venue.id}: {exc}: the venue asks to wait {pause / 3_600:.1f} hours") from exc
                if failures >= (REFUSED_TRIES if refused else TRIES):
                    raise PastFailed(f"{self.venue.id}: gave up after {failures} attempts: {exc}") from exc
                error = str(exc)
            except FRAME_ERRORS as exc:
                failures += 1
                pause = next(pauses)
                if failures >= REFUSED_TRIES:
                    raise PastFailed(f"{self.venue.id}: {path}: not {what}: {exc}") from exc
                error = str(exc)
            log.warning("past.retry", venue=self.venue.id, path=path, failures=failures, retry_in_s=round(pause, 1), error=error)
            self.waited_s += pause
            await asyncio.sleep(pause)
