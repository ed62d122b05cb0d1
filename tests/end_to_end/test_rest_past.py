"""The connector's REST requests for past trades and quotes, sent to the simulated venues: the answers equal the true market."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

import aiohttp
import pytest

from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rest.client import RestClient
from crosstape_connector.rest.instruments import parse
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import QuoteSource, TradeSource
from crosstape_schemas import Instrument, Quote, Side, Trade
from crosstape_simulator.market.market import PAST, Fill, Pair
from crosstape_simulator.service import Simulator, simulator
from tests.connector.venues.cases import trade_cases
from tests.end_to_end.venues import ALL
from tests.simulator.client import START_TS, still

each = pytest.mark.parametrize("venue", [venue for venue in ALL if VENUES[venue].trades is not None])


def _pages(trades: TradeSource | None) -> bool:
    """Whether a venue has trades by REST from an id or a time on, or all of an hour at once: some have the newest only."""
    return trades is not None and (trades.page >= PAST or trades.path("X", 1, 1) != trades.newest("X"))


PAGED: Final = tuple(venue for venue in ALL if _pages(VENUES[venue].trades))


class Asking:
    """One simulated venue, and the connector's REST client for it."""

    def __init__(self, made: Simulator, rest: RestClient, venue: str, instruments: list[Instrument]) -> None:
        assert made.market is not None
        trades, quotes = VENUES[venue].trades, VENUES[venue].quotes
        assert quotes is not None
        self.made = made
        self.rest = rest
        self.venue = venue
        self.instruments = instruments
        self._trades = trades
        self.quotes: QuoteSource = quotes
        self.unit_ns = trade_cases()[venue].unit_ns if trades is not None else 1
        self.pairs = {symbol: pair for (_, symbol), pair in made.market.market.pairs.items()}

    @property
    def trades(self) -> TradeSource:
        """The venue's past trades, where it has them."""
        assert self._trades is not None
        return self._trades

    async def page(self, instrument: Instrument, first: int, since_ts: int) -> tuple[Trade, ...]:
        """The page that begins with that trade, or before."""
        body, received_ts = await self.rest.get(self.trades.rest, self.trades.path(instrument.symbol, first, since_ts))
        return self.trades.parse(body, instrument, received_ts).trades

    async def newest(self, instrument: Instrument) -> tuple[Trade, ...]:
        """The newest trades."""
        body, received_ts = await self.rest.get(self.trades.rest, self.trades.newest(instrument.symbol))
        return self.trades.parse(body, instrument, received_ts).trades

    def true(self, instrument: Instrument) -> list[tuple[str, Decimal, Decimal, Side, int]]:
        """Returns all trades of the market."""
        pair = self.pairs[instrument.symbol]
        return [self.written(pair, ts, fill) for ts, fill in pair.past]

    def written(self, pair: Pair, ts: int, fill: Fill) -> tuple[str, Decimal, Decimal, Side, int]:
        """Returns the trade as it must be on the tape."""
        price, size = Decimal(fill.price).scaleb(-pair.listing.price_decimals), pair.listing.base_size(fill.size, fill.price)
        moment = ts // self.unit_ns * self.unit_ns
        return str(fill.trade_id), price, size, Side.BUY if fill.buyer_takes else Side.SELL, moment


def told(trades: tuple[Trade, ...]) -> list[tuple[str, Decimal, Decimal, Side | None, int | None]]:
    """Returns all fields of a trade but the time of its receipt."""
    return [(trade.trade_id, trade.price, trade.size, trade.taker, trade.venue_ts) for trade in trades]


@asynccontextmanager
async def asking(venue: str) -> AsyncIterator[Asking]:
    """Runs a venue, with the instruments that it lists."""
    found = VENUES[venue]
    async with simulator(still(venues=(venue,))) as made, aiohttp.ClientSession() as http:
        url = f"http://{made.servers[venue].base}"
        rest = RestClient(http, found, dict.fromkeys(found.rest_urls, url), timeout_s=20.0, capture=None, counters=Counters())
        lists = [(await rest.get(found.instruments.rest, path))[0] for path in found.instruments.paths]
        yield Asking(made, rest, venue, parse(found, lists, 0).instruments)


@each
async def test_the_newest_trades_are_the_markets(venue: str) -> None:
    """Trades of every instrument that the venue lists, equal in each digit and in the time that the answer has."""
    async with asking(venue) as one:
        one.made.advance(20.0)
        assert len(one.instruments) == len(one.pairs)
        for instrument in one.instruments:
            trades = await one.newest(instrument)
            assert told(trades) == one.true(instrument)[-one.trades.page :]
            assert all(trade.backfilled for trade in trades)


@pytest.mark.parametrize("venue", PAGED)
async def test_what_was_missed_is_had_page_by_page(venue: str) -> None:
    """From the first missing id to the newest, over any number of pages. A page may start before the missing ids, never after."""
    async with asking(venue) as one:
        instrument = one.instruments[0]
        pair = one.pairs[instrument.symbol]
        for number in range(2_500):
            pair.trade_id += 1
            pair.traded(START_TS + number * 1_000_000, Fill(pair.trade_id, 6_400_000 + number, 1_000_000 + number, bool(number % 3)))
        wanted = min(2_345, 9 * one.trades.page + 45)
        missing = [row for row in one.true(instrument) if int(row[0]) > pair.trade_id - wanted]
        first, since_ts = int(missing[0][0]), missing[0][4]
        got: list[tuple[str, Decimal, Decimal, Side | None, int | None]] = []
        pages = 0
        while pages < 10:
            page = await one.page(instrument, first, since_ts)
            assert len(page) <= one.trades.page
            new = [row for row in told(page) if int(row[0]) >= first]
            if not new:
                break
            assert new[0][0] == str(first)
            got += new
            pages += 1
            first, since_ts = int(new[-1][0]) + 1, new[-1][4] or 0
            if len(page) < one.trades.page:
                break
        assert got == missing
        assert pages == math.ceil(len(missing) / one.trades.page)


@each
async def test_many_trades_of_one_moment_are_not_lost_between_pages(venue: str) -> None:
    """A sweep's trades have the same time; the page that begins with one of them has all from it on."""
    async with asking(venue) as one:
        instrument = one.instruments[0]
        pair = one.pairs[instrument.symbol]
        for _ in range(10):
            pair.trade_id += 1
            pair.traded(START_TS + 1_234_567_891, Fill(pair.trade_id, 6_400_000, 1_000_000, True))
        row = one.true(instrument)[-4]
        page = await one.page(instrument, int(row[0]), row[4])
        assert [found for found in told(page) if int(found[0]) >= int(row[0])] == one.true(instrument)[-4:]


@pytest.mark.parametrize("venue", ALL)
async def test_quotes_are_the_top_of_the_true_book(venue: str) -> None:
    """Every instrument, in as few requests as the venue allows. Kraken cuts sizes to three decimals."""
    async with asking(venue) as one:
        one.made.advance(5.0)
        symbols = {instrument.symbol: instrument for instrument in one.instruments}
        names = list(symbols)
        quotes = {}
        for start in range(0, len(names), one.quotes.batch):
            asked = names[start : start + one.quotes.batch]
            body, received_ts = await one.rest.get(one.quotes.rest, one.quotes.path(asked))
            for quote in one.quotes.parse(body, {symbol: symbols[symbol] for symbol in asked}, received_ts):
                assert isinstance(quote, Quote)
                quotes[quote.instrument] = (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size)
        for symbol, pair in one.pairs.items():
            true = [
                number
                for side in (pair.bids, pair.asks)
                for price, size in side.levels(1)
                for number in (Decimal(price).scaleb(-pair.listing.price_decimals), pair.listing.base_size(size, price))
            ]
            if venue == "kraken":
                true[1::2] = [size // Decimal("0.001") * Decimal("0.001") for size in true[1::2]]
                if not all(true):
                    assert symbols[symbol].name not in quotes
                    continue
            assert quotes[symbols[symbol].name] == tuple(true)
