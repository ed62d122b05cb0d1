"""The best prices over legs that count."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from statistics import median
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_aggregator.consolidation.best import best, outliers
from crosstape_schemas import Market


class Side(NamedTuple):
    """One venue's prices."""

    venue: str
    bid_price: Decimal | None
    bid_size: Decimal | None
    ask_price: Decimal | None
    ask_size: Decimal | None


def side(venue: str, bid: str | None, ask: str | None, bid_size: str | None = "1", ask_size: str | None = "1") -> Side:
    """From strings."""
    return Side(venue, *(None if text is None else Decimal(text) for text in (bid, bid_size, ask, ask_size)))


prices = st.one_of(st.none(), st.integers(95, 105).map(Decimal))
sizes = st.one_of(st.none(), st.integers(1, 50).map(lambda number: Decimal(number) / 10))
legs = st.lists(st.tuples(prices, sizes, prices, sizes), max_size=6).map(
    lambda rows: [Side(f"v{number}", *row) for number, row in enumerate(rows)]
)


@given(legs)
def test_the_best_price_is_the_best_of_all_and_its_size_the_sum(legs: list[Side]) -> None:
    """The highest bid and the lowest ask win. All venues at the best price are named, and their sizes added."""
    found = best(legs)
    for price, size, venues, every in (
        (found.bid_price, found.bid_size, found.bid_venues, [(leg.venue, leg.bid_price, leg.bid_size) for leg in legs]),
        (found.ask_price, found.ask_size, found.ask_venues, [(leg.venue, leg.ask_price, leg.ask_size) for leg in legs]),
    ):
        known = [one for _, one, _ in every if one is not None]
        assert price == ((max(known) if price is found.bid_price else min(known)) if known else None) or price in known
        there = [(venue, amount) for venue, one, amount in every if one is not None and one == price]
        amounts = [amount for _, amount in there if amount is not None]
        assert list(venues) == [venue for venue, _ in there]
        assert size == (sum(amounts) if amounts else None)
    assert found.bid_price == max((leg.bid_price for leg in legs if leg.bid_price is not None), default=None)
    assert found.ask_price == min((leg.ask_price for leg in legs if leg.ask_price is not None), default=None)


def test_a_normal_market() -> None:
    """Mid and spread are exact; basis points are rounded."""
    found = best([side("a", "100.01", "100.04"), side("b", "100.00", "100.02")])

    assert (found.bid_price, found.bid_venues) == (Decimal("100.01"), ("a",))
    assert (found.ask_price, found.ask_venues) == (Decimal("100.02"), ("b",))
    assert (found.mid, found.spread, str(found.spread_bps)) == (Decimal("100.015"), Decimal("0.01"), "0.9999")
    assert found.market is Market.NORMAL


def test_prices_that_are_equal_tie_whatever_their_digits() -> None:
    """One venue writes 100, another 100.00."""
    found = best([side("a", "100", "101", "0.5"), side("b", "100.00", "101.5", "0.25")])
    assert (found.bid_size, found.bid_venues) == (Decimal("0.75"), ("a", "b"))


@pytest.mark.parametrize(
    ("bid", "ask", "market"),
    [("100", "100", Market.LOCKED), ("101", "100", Market.CROSSED), ("100", None, Market.ONE_SIDED), (None, "1", Market.ONE_SIDED)],
)
def test_what_is_odd_is_shown(bid: str, ask: str | None, market: Market) -> None:
    """Locked and crossed markets keep their prices."""
    found = best([side("a", bid, None), side("b", None, ask)])
    assert (found.market, found.bid_price) == (market, None if bid is None else Decimal(bid))


def test_a_crossed_market_has_a_negative_spread() -> None:
    """The spread is exact, with its sign."""
    found = best([side("a", "101", None), side("b", None, "100")])
    assert (found.mid, found.spread) == (Decimal("100.5"), Decimal(-1))


def test_no_legs_are_an_empty_market() -> None:
    """Without legs there are no prices, and the market is `empty`."""
    assert best([]) == (None, None, (), None, None, (), None, None, None, Market.EMPTY)


@given(st.lists(st.tuples(st.integers(900, 1_100), st.integers(1, 5)), min_size=3, max_size=7), st.integers(1, 500))
def test_an_outlier_is_too_far_from_the_median(rows: list[tuple[int, int]], limit_bps: int) -> None:
    """Outliers are found as the definition says, unless this would exclude every leg."""
    legs = [side(f"v{number}", str(bid), str(bid + width)) for number, (bid, width) in enumerate(rows)]
    mids = {leg.venue: (Fraction(leg.bid_price or 0) + Fraction(leg.ask_price or 0)) / 2 for leg in legs}
    middle = median(mids.values())
    far = {venue for venue, mid in mids.items() if abs(mid - middle) * 10_000 > limit_bps * middle}

    assert outliers(legs, Decimal(limit_bps)) == (far if len(far) < len(legs) else set())


def test_two_legs_have_no_outlier() -> None:
    """With two legs it is not known which of them is wrong."""
    assert not outliers([side("a", "100", "101"), side("b", "200", "201"), side("c", "300", None)], Decimal(100))


def test_two_camps_have_no_outlier() -> None:
    """The median between two groups is far from both. No leg is excluded: the quote shows a crossed market."""
    camps = [side("a", "100", "101"), side("b", "100", "101"), side("c", "200", "201"), side("d", "200", "201")]
    assert not outliers(camps, Decimal(100))


def test_a_leg_with_one_side_is_judged_by_it() -> None:
    """Otherwise a single bid far above all others would be the best bid."""
    legs = [side("a", "100", "101"), side("b", "100", "101"), side("c", "100", "101"), side("d", "110", None), side("e", None, "100.9")]
    assert outliers(legs, Decimal(100)) == {"d"}


def test_the_bound_itself_is_inside() -> None:
    """A price exactly at the limit is no outlier."""
    legs = [side("a", "100", "100"), side("b", "100", "100"), side("c", "101", "101"), side("d", "101.0001", "101.0001")]
    assert outliers([*legs[:3], legs[0]], Decimal(100)) == set()
    assert outliers([*legs[:2], legs[0], legs[3]], Decimal(100)) == {"d"}
