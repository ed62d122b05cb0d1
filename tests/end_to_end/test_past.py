"""The past of each simulated venue, fetched as a backfill does: every trade and candle of the truth, each once."""

from __future__ import annotations

import pytest

from crosstape_connector.errors import PastFailed
from crosstape_connector.venues.registry import VENUES
from crosstape_simulator.faults.parse import from_text
from tests.end_to_end.past import HOUR, MINUTE, NOW, WITH_CANDLES, WITH_TRADES, candle_rows, past_venue, trade_rows
from tests.simulator.client import START_TS

SPANS = {"in the middle": (START_TS - 20 * HOUR, START_TS - 9 * HOUR + 12_345), "up to now": (START_TS - 3 * HOUR, NOW)}


@pytest.mark.parametrize("venue", WITH_TRADES)
@pytest.mark.parametrize("span", SPANS)
async def test_every_trade_of_a_range_is_had_once(venue: str, span: str) -> None:
    """Over any number of pages, in order, equal in each digit; what is complete only grows, and reaches the end of the range."""
    async with past_venue(venue) as one:
        from_ts, to_ts = SPANS[span]
        pages = await one.fetch(None, from_ts, to_ts)
        rows = trade_rows(pages)
        assert len({row[0] for row in rows}) == len(rows)
        true = one.true_trades(from_ts, min(to_ts, NOW - 5 * 10**9))
        assert rows == true
        assert len(true) > 500
        complete = [page.complete_to_ts for page in pages]
        assert complete == sorted(complete)
        assert complete[-1] == min(to_ts, NOW - 5 * 10**9)
        seen: set[str] = set()
        for page in pages:
            seen |= {row.trade_id for row in page.rows}  # type: ignore[union-attr]
            assert {row[0] for row in true if row[4] < page.complete_to_ts} <= seen


@pytest.mark.parametrize("venue", WITH_CANDLES)
@pytest.mark.parametrize("timeframe", ["1m", "5m", "1h"])
async def test_every_candle_of_a_range_is_had_once(venue: str, timeframe: str) -> None:
    """Those with trades equal the truth; of an interval without trades there is what the venue's table says, never a later price."""
    source = VENUES[venue].past_candles
    assert source is not None
    if timeframe not in source.timeframes:
        pytest.skip("the venue has no such candles")
    async with past_venue(venue) as one:
        from_ts = START_TS - (11 * HOUR if source.reach_intervals else 26 * HOUR) + 17
        pages = await one.fetch(timeframe, from_ts, NOW)
        candles = candle_rows(pages)
        true = one.true_candles(timeframe, from_ts, NOW)
        opens = [candle.open_ts for candle in candles]
        assert opens == sorted(set(opens))
        traded = {candle.open_ts: (candle.open, candle.high, candle.low, candle.close) for candle in candles if candle.volume}
        assert traded == true
        assert all(candle.closed and candle.close_ts <= NOW for candle in candles)
        empty = [candle for candle in candles if not candle.volume]
        assert not empty or source.empty == "flat"
        assert empty or source.empty != "flat" or timeframe != "1m"
        before = dict(zip(opens[1:], candles, strict=False))
        assert all(candle.open == candle.close == before[candle.open_ts].close for candle in empty if candle.open_ts in before)
        assert pages[-1].complete_to_ts == START_TS, "the interval that has just begun is not complete"


@pytest.mark.parametrize("venue", ["binance", "bitfinex", "coinbase", "kraken"])
async def test_a_moment_with_many_trades_is_not_cut_at_a_page(venue: str) -> None:
    """One order makes up to eleven trades of one moment here, and many of these straddle two pages."""
    async with past_venue(venue, hours=60, per_hour=3_000) as one:
        pages = await one.fetch(None, START_TS - 4 * HOUR, START_TS - HOUR)
        assert trade_rows(pages) == one.true_trades(START_TS - 4 * HOUR, START_TS - HOUR)


@pytest.mark.parametrize("venue", WITH_TRADES)
async def test_rows_that_a_page_repeats_count_once(venue: str) -> None:
    """A page that begins before what was asked for, or repeats the end of the page before."""
    async with past_venue(venue) as one:
        one.made.faults.add(from_text(f"odd-past venue={venue} how=overlap number=7"))
        one.made.faults.tick()
        pages = await one.fetch(None, START_TS - 20 * HOUR, START_TS - HOUR)
        assert trade_rows(pages) == one.true_trades(START_TS - 20 * HOUR, START_TS - HOUR)


@pytest.mark.parametrize(
    "venue", [*(name for name in WITH_CANDLES if name.startswith("binance")), "bitfinex", "bitstamp", "kucoin_futures"]
)
async def test_of_two_rows_of_one_interval_the_later_counts(venue: str) -> None:
    """Bitstamp served a day twice with different figures. No row is lost where the doubles fill an answer."""
    async with past_venue(venue) as one:
        one.made.faults.add(from_text(f"odd-past venue={venue} how=twice number=3"))
        one.made.faults.tick()
        from_ts = START_TS - 10 * HOUR
        candles = candle_rows(await one.fetch("1m", from_ts, NOW))
        true = one.true_candles("1m", from_ts, NOW)
        assert {candle.open_ts: candle.close for candle in candles if candle.volume} == {ts: prices[3] for ts, prices in true.items()}


async def test_what_a_venue_does_not_have_is_refused_with_the_reason() -> None:
    """Too long ago, no such candles, no such request: a sentence that says what can be had."""
    async with past_venue("kraken") as one:
        assert "the last 720 candles of 1m only" in one.fetcher.reach("1m", START_TS - 13 * HOUR)
        assert one.fetcher.reach("1m", START_TS - 11 * HOUR) == ""
        assert "cannot give candles of 1w" in one.fetcher.reach("1w", START_TS)
        assert "there are no such candles" in one.fetcher.reach("7m", START_TS)
        assert one.fetcher.reach(None, START_TS - 9 * 365 * 24 * HOUR) == ""
        assert "older than ten years" in one.fetcher.reach(None, START_TS - 11 * 365 * 24 * HOUR)
        with pytest.raises(PastFailed, match="kraken: BTC-UDST is not listed; near: BTC-USD"):
            [page async for page in one.fetcher.fetch("BTC-UDST", None, START_TS - MINUTE, START_TS)]
    async with past_venue("bitstamp") as one:
        assert "of the last 24 hours only" in one.fetcher.reach(None, START_TS - 25 * HOUR)
    async with past_venue("kucoin") as one:
        assert "newest 100" in one.fetcher.reach(None, START_TS - HOUR)


async def test_a_venue_that_goes_on_refusing_ends_the_fetching() -> None:
    """With its own words; a refusal that a wait can heal is waited for."""
    async with past_venue("binance") as one:
        await one.fetcher.instrument(one.name)
        one.made.faults.add(from_text("rest-status venue=binance status=451 path=/api/v3/klines"))
        one.made.faults.tick()
        with pytest.raises(PastFailed, match=r"gave up after 2 attempts.*451"):
            await one.fetch("1m", START_TS - HOUR, NOW)
    async with past_venue("binance") as one:
        await one.fetcher.instrument(one.name)
        one.made.faults.add(from_text("rest-status venue=binance status=429 retry_after=1 count=2"))
        one.made.faults.tick()
        assert len(candle_rows(await one.fetch("1m", START_TS - HOUR, NOW))) == 60
