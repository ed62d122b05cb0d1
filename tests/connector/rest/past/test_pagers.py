"""Pagers of trades and candles on venues that answer in every way that venues do."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.rest.past.candles import CandlePager
from crosstape_connector.rest.past.paging import Pager, Range
from crosstape_connector.rest.past.trades_by_id import ByIdPager
from crosstape_connector.rest.past.trades_by_time import ByTimePager
from crosstape_connector.venues.messages import CandleSnapshot, TradeSnapshot
from crosstape_connector.venues.past import PastCandles, TradesById, TradesByTime
from crosstape_schemas import Candle, Side, Trade
from crosstape_schemas.timeframes import LENGTHS, close_of, open_of

S: Final = 10**9
MINUTE: Final = 60 * S
EVER: Final = 10**18
ONE: Final = Decimal(1)


def no_parser(*args: object) -> Any:
    """The fake venues answer with what a parser returns."""
    raise AssertionError(args)


def trade(trade_id: int, ts: int) -> Trade:
    """Returns a trade."""
    return Trade("v", "BTC-USDT", ts, 0, ONE, ONE, Side.BUY, str(trade_id), True)


class FakeTrades:
    """A venue with these (id, time) pairs, which understands ids or times in one of the usual ways."""

    def __init__(
        self, trades: Sequence[tuple[int, int]], page: int, *, below: bool = False, inclusive: bool = True, most: int | None = None
    ) -> None:
        """`most`: rows in an answer, where that is less than its table says."""
        self.most = most or page
        self.trades = [trade(number, ts) for number, ts in trades]
        self.page = page
        self.below = below
        self.inclusive = inclusive
        self.asked = 0

    def answer(self, path: str) -> TradeSnapshot:
        """Returns the answer to a path of the sources below."""
        self.asked += 1
        query = {name: int(values[0]) for name, values in parse_qs(urlsplit(path).query).items()}
        if "id" in query:
            at = query["id"]
            rows = [
                one
                for one in self.trades
                if (int(one.trade_id) == at and self.inclusive) or (int(one.trade_id) < at if self.below else int(one.trade_id) > at)
            ]
            rows = rows[-self.most :] if self.below else rows[: self.most]
        elif "since" in query:
            rows = [one for one in self.trades if one.venue_ts is not None and one.venue_ts >= query["since"]][: self.most]
        else:
            rows = self.trades[-self.most :]
        return TradeSnapshot("BTC-USDT", 0, tuple(rows))

    def by_id(self, cursor: Literal["from", "below", "either"]) -> TradesById:
        """Returns its table, for a venue that is asked by ids."""
        return TradesById(
            path=lambda symbol, number: f"/t?id={number}", newest=lambda symbol: "/t", cursor=cursor, page=self.page, parse=no_parser
        )

    def by_time_in_id(self, spacing: int) -> TradesById:
        """Returns its table, for a venue whose ids are made of the time, and whose pages end before an id."""
        return msgspec.structs.replace(self.by_id("below"), spacing=spacing)

    def by_time(self) -> TradesByTime:
        """Returns its table, for a venue that is asked by times."""
        return TradesByTime(path=lambda symbol, since, until: f"/t?since={since}", unit_ns=1, page=self.page, parse=no_parser)


def fetched(pager: Pager[TradeSnapshot], venue: FakeTrades, most: int) -> list[str]:
    """Follows a pager; returns the ids that it brought."""
    found: list[str] = []
    while (path := pager.path) is not None:
        assert venue.asked < most, "the pager does not come to an end"
        brought = pager.accept(venue.answer(path), EVER)
        found += [one.trade_id for one in brought.rows if isinstance(one, Trade)]
    return found


@st.composite
def markets(draw: st.DrawFn, *, holes: bool) -> list[tuple[int, int]]:
    """Trades with ids that grow, by more than one where there are holes, and times that never go back and often repeat."""
    number, ts = draw(st.integers(1, 10**9)), draw(st.integers(10**6, 10**7)) * S
    rows = []
    for _ in range(draw(st.integers(0, 120))):
        number += draw(st.integers(1, 30)) if holes and draw(st.booleans()) else 1
        ts += draw(st.sampled_from([0, 0, 0, 1, S // 3, 40 * S, 4_000 * S]))
        rows.append((number, ts))
    return rows


@st.composite
def ranges(draw: st.DrawFn, trades: Sequence[tuple[int, int]]) -> Range:
    """A range about these trades."""
    times = [ts for _, ts in trades] or [10**15]
    from_ts = draw(st.sampled_from(times)) + draw(st.integers(-5_000, 5_000)) * S // 7
    return Range(max(0, from_ts), from_ts + 1 + draw(st.integers(0, 30_000)) * S)


def wanted_of(trades: Sequence[tuple[int, int]], span: Range) -> list[str]:
    """Returns the ids that lie in a range."""
    return [str(number) for number, ts in trades if span.from_ts <= ts < span.to_ts]


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(2, 12), st.sampled_from(["from", "below"]))
def test_by_id_every_trade_is_had_once(data: st.DataObject, page: int, cursor: Literal["from", "below"]) -> None:
    """Whatever holes ids have, however many trades share a moment, wherever the range lies."""
    trades = data.draw(markets(holes=True))
    span = data.draw(ranges(trades))
    venue = FakeTrades(trades, page, below=cursor == "below", inclusive=cursor == "from")
    assert fetched(ByIdPager(venue.by_id(cursor), "s", span), venue, 400) == wanted_of(trades, span)


def test_ids_that_are_made_of_the_time_are_paged_through_quickly() -> None:
    """A million ids go by in a quarter of a millisecond: steps of single ids would never end."""
    trades = [(((10**12 + 400 * n) << 22) + n % 3, (10**12 + 400 * n) * 10**6) for n in range(2_000)]
    venue = FakeTrades(trades, 100, below=True, inclusive=False)
    span = Range(trades[700][1], trades[1_300][1])

    assert fetched(ByIdPager(venue.by_time_in_id(1 << 22), "s", span), venue, 40) == wanted_of(trades, span)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(4, 12), st.booleans(), st.booleans())
def test_it_does_not_matter_what_an_id_means(data: st.DataObject, page: int, below: bool, inclusive: bool) -> None:
    """Nobody says whether a page begins or ends at the id, nor whether the id is in it: the answers show it."""
    trades = data.draw(markets(holes=True))
    span = data.draw(ranges(trades))
    venue = FakeTrades(trades, page, below=below, inclusive=inclusive)
    assert fetched(ByIdPager(venue.by_id("either"), "s", span), venue, 600) == wanted_of(trades, span)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(3, 8), st.sampled_from(["from", "below", "either"]))
def test_a_venue_that_answers_with_less_than_its_table_says_costs_requests_only(
    data: st.DataObject, most: int, cursor: Literal["from", "below", "either"]
) -> None:
    """Two numbers stand in the documents of some venues."""
    trades = data.draw(markets(holes=True))
    span = data.draw(ranges(trades))
    venue = FakeTrades(trades, 4 * most, below=cursor == "below", inclusive=cursor == "from", most=most)
    assert fetched(ByIdPager(venue.by_id(cursor), "s", span), venue, 600) == wanted_of(trades, span)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(2, 12))
def test_by_time_every_trade_is_had_once(data: st.DataObject, page: int) -> None:
    """Unless more of them share a moment than an answer holds: that is counted."""
    trades = data.draw(markets(holes=False))
    span = data.draw(ranges(trades))
    venue = FakeTrades(trades, page)
    pager = ByTimePager(venue.by_time(), "s", span)
    found = fetched(pager, venue, 400)
    wanted = wanted_of(trades, span)
    assert len(found) == len(set(found))
    assert found == wanted or (pager.crowded and set(found) < set(wanted))
    times = [ts for _, ts in trades]
    if max((times.count(ts) for ts in times), default=0) < page:
        assert not pager.crowded


def test_the_first_trade_of_a_time_is_found_in_few_requests() -> None:
    """A year of a busy market: five million trades, whose rate changes."""
    trades = [(number, (number + number * number // 10_000_000) * 5 * S) for number in range(1, 200_000)]
    venue = FakeTrades(trades, 1_000)
    span = Range(trades[70_000][1], trades[70_500][1])
    assert len(fetched(ByIdPager(venue.by_id("from"), "s", span), venue, 20)) == 500
    assert venue.asked <= 10


@pytest.mark.parametrize("cursor", ["from", "below", "either"])
@pytest.mark.parametrize("number", [1, 41_943_028, 2**32])
def test_the_only_trades_of_a_market_are_found_however_large_their_ids(number: int, cursor: Literal["from", "below", "either"]) -> None:
    """Nothing is before them, and their times say nothing of how ids grow."""
    trades = [(number, 10**15), (number + 1, 10**15), (number + 2, 10**15)]
    for count in (1, 3):
        venue = FakeTrades(trades[:count], 12, below=cursor == "below", inclusive=cursor == "from", most=3)
        span = Range(10**15 + S, 10**15 + 2 * S)
        assert fetched(ByIdPager(venue.by_id(cursor), "s", span), venue, 60) == wanted_of(trades[:count], span)


def candle(open_ts: int, timeframe: str, close: int = 1) -> Candle:
    """Returns a candle."""
    figures = ONE, Decimal(9), ONE, Decimal(close), ONE
    return Candle("v", "BTC-USDT", None, 0, timeframe, open_ts, close_of(timeframe, open_ts), *figures)


@settings(max_examples=100, deadline=None)
@given(
    st.data(),
    st.sampled_from(["1m", "5m", "1d", "1w", "1M"]),
    st.integers(4, 12),
    st.tuples(st.booleans(), st.booleans(), st.sampled_from(["both", "from", "to"])),
)
def test_bounds_order_and_the_running_row_do_not_matter(
    data: st.DataObject, timeframe: str, page: int, manner: tuple[bool, bool, str]
) -> None:
    """A venue may include its bounds or not, count from either of them, leave intervals out, and send the running candle too."""
    start_in, end_in, honours = manner
    length = LENGTHS.get(timeframe, 28 * LENGTHS["1d"])
    first = open_of(timeframe, 1_700_000_000 * S)
    opens = [first]
    for _ in range(60):
        opens.append(close_of(timeframe, opens[-1]))
    kept = [ts for ts in opens if data.draw(st.booleans())]
    now = opens[data.draw(st.integers(30, 60))] + data.draw(st.integers(0, length // S - 1)) * S
    from_ts = first + data.draw(st.integers(0, 40)) * length - data.draw(st.integers(0, 100)) * S
    to_ts = from_ts + data.draw(st.integers(1, 40)) * length

    def answer(path: str) -> CandleSnapshot:
        start, end = (int(text) for text in path.split(":"))
        inside = [
            ts
            for ts in kept
            if (start < ts or (start_in and ts == start)) and (ts < end or (end_in and ts == end) or honours == "from") and ts <= now
        ]
        if honours == "to":  # as Bitstamp: the newest rows up to the end, whatever the start
            inside = [ts for ts in kept if (ts < end or (end_in and ts == end)) and ts <= now]
        rows = inside[-page:] if honours == "to" else inside[:page]
        return CandleSnapshot("BTC-USDT", timeframe, 0, tuple(candle(ts, timeframe) for ts in rows))

    source = PastCandles(
        path=lambda symbol, name, one, other: f"{one}:{other}", parse=no_parser, page=page, timeframes=(timeframe,), empty="none"
    )
    pager = CandlePager(source, "s", timeframe, Range(from_ts, to_ts))
    found: list[int] = []
    complete = from_ts
    for _ in range(1_000):
        path = pager.path
        if path is None:
            break
        brought = pager.accept(answer(path), now)
        found += [one.open_ts for one in brought.rows if isinstance(one, Candle)]
        assert brought.complete_to_ts >= complete
        complete = brought.complete_to_ts
    wanted = [ts for ts in kept if from_ts <= ts < to_ts and close_of(timeframe, ts) + 5 * S <= now]
    assert found == wanted
    assert all(ts < complete for ts in wanted)


def test_candles_off_the_grid_are_refused_and_counted() -> None:
    """A day that begins at 16:00 is no day of ours."""
    source = PastCandles(path=lambda *_: "", parse=no_parser, page=10, timeframes=("1d",), empty="none")
    day = LENGTHS["1d"]
    pager = CandlePager(source, "s", "1d", Range(0, 3 * day))
    rows = (candle(0, "1d"), candle(day - 8 * 3_600 * S, "1d"), candle(day, "1d", 2), candle(day, "1d", 3))
    brought = pager.accept(CandleSnapshot("BTC-USDT", "1d", 0, rows), EVER)
    assert [(one.open_ts, int(one.close)) for one in brought.rows if isinstance(one, Candle)] == [(0, 1), (day, 3)]
    assert brought.refused == 1


def test_a_venue_that_cuts_its_answers_earlier_than_its_table_says_is_asked_for_less() -> None:
    """Two numbers stand in the documents of some venues: a hundred rows where more were asked for are a cut answer."""
    opens = [number * MINUTE for number in range(2_000)]
    source = PastCandles(
        path=lambda symbol, name, one, other: f"{one}:{other}", parse=no_parser, page=500, timeframes=("1m",), empty="none"
    )
    pager = CandlePager(source, "s", "1m", Range(0, 1_500 * MINUTE))
    found: list[int] = []
    while (path := pager.path) is not None:
        start, end = (int(text) for text in path.split(":"))
        rows = [candle(ts, "1m") for ts in opens if start <= ts <= end][:200]
        found += [one.open_ts for one in pager.accept(CandleSnapshot("i", "1m", 0, tuple(rows)), EVER).rows if isinstance(one, Candle)]
    assert found == opens[:1_500]
