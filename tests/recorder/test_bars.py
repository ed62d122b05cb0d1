"""Bars that the recorder computes are those of the method's definition, in whatever order trades come and however they are divided."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_recorder.bars import Intervals, amount, bar_of, counts_at, numbers_of, part_of, plain, total, without_trades
from crosstape_schemas import CONSOLIDATED, Side, Trade
from crosstape_schemas.timeframes import open_of
from tests.aggregator.bars import definition

S = 1_000_000_000
T0 = 1_786_000_000 * S
TIMEFRAMES = ("1s", "1m", "3m", "5m", "1h", "1d", "1w", "1M")
DECIMALS = st.decimals(Decimal("0.00000001"), Decimal(99_999_999), allow_nan=False, allow_infinity=False, places=20)
"""Of no more digits than can be computed with."""
TRADES = st.lists(
    st.builds(
        Trade,
        venue=st.sampled_from(["binance", "kraken"]),
        instrument=st.just("BTC-USDT"),
        venue_ts=st.one_of(st.none(), st.integers(-5, 5), st.integers(T0 - 90 * S, T0 + 5_000 * S), st.just(T0 - 3_700 * 86_400 * S)),
        received_ts=st.integers(T0, T0 + 4_000 * S),
        price=DECIMALS,
        size=DECIMALS,
        taker=st.sampled_from([Side.BUY, Side.SELL, None]),
        trade_id=st.one_of(st.integers(0, 99).map(str), st.just("a1"), st.just("")),
        epoch=st.integers(0, 2),
        seq=st.integers(0, 10**6),
    ),
    max_size=30,
    unique_by=lambda trade: trade.seq,
)


@given(TRADES, st.sets(st.sampled_from(TIMEFRAMES), min_size=1), st.randoms())
def test_bars_are_those_of_the_definition(trades: list[Trade], timeframes: set[str], random) -> None:  # type: ignore[no-untyped-def]
    """Of each venue and of all together, for every set of timeframes, in whatever order the trades come."""
    random.shuffle(trades)
    intervals = Intervals(sorted(timeframes))
    for trade in trades:
        intervals.add(trade)

    found: dict[object, object] = {
        (timeframe, venue, open_ts): tuple(None if one is None else Fraction(one) for one in sums.numbers())
        for timeframe in timeframes
        for venue in (*intervals.venues, CONSOLIDATED)
        for open_ts, sums in intervals.of(timeframe, venue).items()
    }
    assert found == definition.bars_of(trades, timeframes)


@given(TRADES)
def test_numbers_have_no_trailing_zeros(trades: list[Trade]) -> None:
    """So equal numbers are written alike."""
    if trades:
        for number in total(trades).numbers():
            if isinstance(number, Decimal):
                text = f"{number:f}"
                assert str(number) == text or "E-" in str(number)
                assert "." not in text or not text.endswith("0")


def test_trades_of_one_moment_are_ordered_by_venue_then_by_id_as_a_number() -> None:
    """So that everybody finds the same open and close."""
    trades = [one("10", price="3"), one("9", price="2"), one("x", price="1"), one("1", price="4", venue="kraken")]

    numbers = total(trades).numbers()

    assert (numbers.open, numbers.close) == (Decimal(1), Decimal(4))
    assert total(trades[:3]).numbers().close == Decimal(3)


@pytest.mark.parametrize(
    ("price", "size"),
    [("0", "1"), ("NaN", "1"), ("1", "1E+24"), ("1E-25", "1"), ("1." + "1" * 60, "1." + "3" * 60), ("1." + "1" * 96, "1")],
)
def test_a_trade_that_cannot_be_computed_with_counts_in_no_bar(price: str, size: str) -> None:
    """It is handed back, because the bars around it are not complete."""
    intervals = Intervals(["1m"])
    intervals.add(one("1", price=price, size=size))

    assert amount(one("1", price=price, size=size)) is None
    assert intervals.of("1m") == {}
    assert len(intervals.unusable) == 1


def test_a_bar_without_trades_has_the_price_of_the_last_trade_before() -> None:
    """Volumes are 0, and so is the volume of takers that bought: it is known."""
    numbers = without_trades(Decimal("10.50"))

    bar = bar_of("binance", "BTC-USDT", "1m", open_of("1m", T0), numbers, received_ts=7, revision=2, complete=True)

    assert numbers_of(bar) == numbers
    assert str(bar.close) == "10.5"
    assert (bar.closed, bar.revision, bar.complete, bar.close_ts - bar.open_ts) == (True, 2, True, 60 * S)
    assert without_trades(None).close is None


@pytest.mark.parametrize(
    ("venue_ts", "counted"), [(None, T0), (0, T0), (-1, T0), (T0 + 60 * S, T0 + 60 * S), (T0 + 60 * S + 1, T0), (T0 - 1, T0 - 1)]
)
def test_when_a_trade_counts(venue_ts: int | None, counted: int) -> None:
    """At the venue's time, unless that cannot be right."""
    assert counts_at(venue_ts, T0) == counted


def test_parts_divide_every_interval() -> None:
    """Also weeks and months, which begin at midnight."""
    assert part_of(["3m", "5m"]) == 60 * S
    assert part_of(["1M"]) == 86_400 * S
    assert str(plain(Decimal("1E+3"))) == "1000"


def one(trade_id: str, *, price: str, size: str = "1", venue: str = "binance") -> Trade:
    """Make a trade at `T0`."""
    return Trade(venue, "BTC-USDT", T0, T0, Decimal(price), Decimal(size), Side.BUY, trade_id, epoch=1, seq=1)
