"""A simulated venue with a deep past, the fetcher of its past, and the truth: for tests of backfills."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import aiohttp

from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rest.client import RestClient
from crosstape_connector.rest.past.fetcher import PastFetcher
from crosstape_connector.rest.past.limiter import PastLimiter
from crosstape_connector.rest.past.paging import Brought
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Candle, Side, Trade
from crosstape_simulator.market.grid import grid
from crosstape_simulator.market.market import Pair
from crosstape_simulator.market.past import Chained, bars_between
from crosstape_simulator.service import Simulator, simulator
from tests.connector.venues.cases import trade_cases
from tests.end_to_end.venues import ALL, pair
from tests.simulator.client import START_TS, still

HOUR: Final = 3_600 * 10**9
MINUTE: Final = 60 * 10**9
NOW: Final = START_TS + 10 * 10**9
"""The clock of all fetchers here."""
WITH_TRADES: Final = tuple(venue for venue in ALL if not isinstance(VENUES[venue].past_trades, str))
WITH_CANDLES: Final = tuple(venue for venue in ALL if VENUES[venue].past_candles is not None)


class NoLimit(PastLimiter):
    """Does not wait: these venues are asked as often as one likes."""

    async def wait(self, path: str) -> None:
        """Returns at once."""


class PastVenue:
    """One simulated venue, and the fetcher of its past."""

    def __init__(self, made: Simulator, venue: str, fetcher: PastFetcher) -> None:
        assert made.market is not None
        self.made = made
        self.venue = venue
        self.fetcher = fetcher
        listing = pair(venue)[0]
        self.name = listing.instrument
        self.pair: Pair = made.market.market.pairs[venue, listing.symbol]
        case = trade_cases().get(venue)
        self.unit_ns = case.unit_ns if case is not None else 1

    @property
    def rows(self) -> Chained:
        """All trades, oldest first."""
        assert self.pair.before is not None
        return Chained(self.pair.before, list(self.pair.past))

    def true_trades(self, from_ts: int, to_ts: int) -> list[tuple[str, Decimal, Decimal, Side, int]]:
        """The trades of a range, as they must be in the history."""
        listing = self.pair.listing
        found = []
        for ts, fill in self.rows:
            moment = ts // self.unit_ns * self.unit_ns
            if from_ts <= moment < to_ts:
                price, size = Decimal(fill.price).scaleb(-listing.price_decimals), listing.base_size(fill.size, fill.price)
                found.append((str(fill.trade_id), price, size, Side.BUY if fill.buyer_takes else Side.SELL, moment))
        return found

    def true_candles(self, timeframe: str, from_ts: int, to_ts: int) -> dict[int, tuple[Decimal, ...]]:
        """The candles of a range that hold a trade: `open_ts` → open, high, low, close.

        Where a venue opens a candle at the close before it, that is the true open, and may be the highest or lowest price.
        """
        listing = self.pair.listing
        last_ts = grid(timeframe).before(grid(timeframe).interval(to_ts - 1).close_ts).open_ts
        rules = VENUES[listing.venue].candles
        carries = rules is not None and rules.open == "previous close"
        since = grid(timeframe).before(from_ts).open_ts if carries else from_ts
        bars = bars_between(self.rows, grid(timeframe), since, last_ts, flat=carries, by_price=listing.inverse, now=NOW)
        found, close = {}, None
        for bar in bars:
            prices = bar.open, bar.high, bar.low, bar.close
            if carries and close is not None:
                prices = close, max(bar.high, close), min(bar.low, close), bar.close
            close = bar.close
            if bar.trades and bar.open_ts >= from_ts and bar.close_ts <= NOW:
                found[bar.open_ts] = tuple(Decimal(price).scaleb(-listing.price_decimals) for price in prices)
        return found

    async def fetch(self, timeframe: str | None, from_ts: int, to_ts: int) -> list[Brought]:
        """All that the fetcher yields."""
        return [one async for one in self.fetcher.fetch(self.name, timeframe, from_ts, to_ts)]


@asynccontextmanager
async def past_venue(venue: str, *, hours: int = 30, per_hour: int = 200, **changes: Any) -> AsyncIterator[PastVenue]:
    """Runs a venue with a deep past; its market stands still."""
    found = VENUES[venue]
    spec = still(venues=(venue,), past_hours=hours, past_per_hour=per_hour, **changes)
    async with simulator(spec) as made, aiohttp.ClientSession() as http:
        limiter = NoLimit(found, None, 0.5)
        url = f"http://{made.servers[venue].base}"
        urls = dict.fromkeys(found.rest_urls, url)
        rest = RestClient(http, found, urls, timeout_s=20.0, capture=None, counters=Counters(), spender=limiter)
        yield PastVenue(made, venue, PastFetcher(found, rest, limiter, None, clock=lambda: NOW))


def trade_rows(pages: Sequence[Brought]) -> list[tuple[str, Decimal, Decimal, Side | None, int | None]]:
    """All trades of some pages, in order, with all but the time of their receipt."""
    trades = [row for page in pages for row in page.rows]
    assert all(isinstance(one, Trade) and one.backfilled for one in trades)
    return [(one.trade_id, one.price, one.size, one.taker, one.venue_ts) for one in trades if isinstance(one, Trade)]


def candle_rows(pages: Sequence[Brought]) -> list[Candle]:
    """All candles of some pages, in order."""
    return [row for page in pages for row in page.rows if isinstance(row, Candle)]
