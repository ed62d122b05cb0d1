"""Finds the best prices over the legs that count, and the legs whose prices are outliers. From the text of `cbbo/1`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape_recorder.audit.numbers import add, basis_points, middle, multiply, plain, subtract
from crosstape_schemas import Leg, Market

_TWO: Final = Decimal(2)
_BPS: Final = Decimal(10_000)


class Best(NamedTuple):
    """What a consolidated quote says of its legs that count, by the names of its fields."""

    bid_price: Decimal | None
    bid_size: Decimal | None
    bid_venues: tuple[str, ...]
    ask_price: Decimal | None
    ask_size: Decimal | None
    ask_venues: tuple[str, ...]
    mid: Decimal | None
    spread: Decimal | None
    spread_bps: Decimal | None
    market: Market


def best_of(legs: Sequence[Leg]) -> Best:
    """Return the best prices of legs that count."""
    bids = [(leg.bid_price, leg.bid_size, leg.venue) for leg in legs if leg.bid_price is not None]
    asks = [(leg.ask_price, leg.ask_size, leg.venue) for leg in legs if leg.ask_price is not None]
    # The first of equal ones: of prices with different digits it is shown.
    bid = max((price for price, _, _ in bids), default=None)
    ask = min((price for price, _, _ in asks), default=None)
    bid_size, bid_venues = _at(bids, bid)
    ask_size, ask_venues = _at(asks, ask)
    if bid is None or ask is None:
        market = Market.EMPTY if bid is None and ask is None else Market.ONE_SIDED
        return Best(bid, bid_size, bid_venues, ask, ask_size, ask_venues, None, None, None, market)
    mid, spread = middle(bid, ask), plain(subtract(ask, bid))
    market = Market.NORMAL if spread > 0 else Market.CROSSED if spread < 0 else Market.LOCKED
    return Best(bid, bid_size, bid_venues, ask, ask_size, ask_venues, mid, spread, basis_points(spread, mid), market)


def _at(side: Sequence[tuple[Decimal, Decimal | None, str]], best: Decimal | None) -> tuple[Decimal | None, tuple[str, ...]]:
    """Return the sum of the known sizes at the best price, and the venues."""
    total: Decimal | None = None
    venues: list[str] = []
    for price, size, venue in side:
        if price == best:
            venues.append(venue)
            if size is not None:
                total = size if total is None else add(total, size)
    return total, tuple(venues)


def outliers_of(legs: Sequence[Leg], limit_bps: Decimal) -> frozenset[str]:
    """Return the venues whose mid is further than this from the median.

    `legs`: those without a fault of their own. The median is that of the legs with both sides, if there are three or more; one with only
    one side is compared by its price. If all were outliers, none is.
    """
    twice = [(_twice_mid(leg), leg) for leg in legs]
    mids = sorted(double for double, leg in twice if leg.bid_price is not None and leg.ask_price is not None)
    count = len(mids)
    if count < 3:
        return frozenset()
    median = mids[count // 2] if count % 2 else middle(mids[count // 2 - 1], mids[count // 2])  # all of them are twice as large
    bound = multiply(median, limit_bps)
    found = frozenset(leg.venue for double, leg in twice if multiply(subtract(double, median).copy_abs(), _BPS) > bound)
    return found if len(found) < len(legs) else frozenset()


def _twice_mid(leg: Leg) -> Decimal:
    if leg.bid_price is not None and leg.ask_price is not None:
        return add(leg.bid_price, leg.ask_price)
    price = leg.bid_price if leg.bid_price is not None else leg.ask_price
    assert price is not None, "an empty leg has a fault"
    return multiply(price, _TWO)


def crosses(legs: Sequence[Leg]) -> list[Leg]:
    """Return the legs that cross others: with a bid above the best ask, or an ask below the best bid."""
    bids = [leg.bid_price for leg in legs if leg.bid_price is not None]
    asks = [leg.ask_price for leg in legs if leg.ask_price is not None]
    if not bids or not asks or max(bids) <= min(asks):
        return []
    bid, ask = max(bids), min(asks)
    return [
        leg for leg in legs if (leg.bid_price is not None and leg.bid_price > ask) or (leg.ask_price is not None and leg.ask_price < bid)
    ]
