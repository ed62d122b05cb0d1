"""Finds the best prices over the legs that count, with sizes summed at ties, and the legs whose prices are outliers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from crosstape_aggregator.decimals import add, basis_points, mid, plain, subtract, times
from crosstape_schemas import Market

_BPS: Final = Decimal(10_000)
_TWO: Final = Decimal(2)
_DOUBLE_BPS: Final = _TWO * _BPS


class VenuePrices(Protocol):
    """One venue's best prices; None for a side that is missing."""

    @property
    def venue(self) -> str: ...  # noqa: D102
    @property
    def bid_price(self) -> Decimal | None: ...  # noqa: D102
    @property
    def bid_size(self) -> Decimal | None: ...  # noqa: D102
    @property
    def ask_price(self) -> Decimal | None: ...  # noqa: D102
    @property
    def ask_size(self) -> Decimal | None: ...  # noqa: D102


class BestPrices(NamedTuple):
    """The consolidated prices. A size is None when no venue at the best price gives one."""

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


def best(legs: Sequence[VenuePrices]) -> BestPrices:
    """Find the best bid and ask over legs that count.

    `mid` and `spread` are exact; a crossed market has a negative spread. `spread_bps` is rounded to 4 decimals.
    """
    bid_price = ask_price = bid_size = ask_size = None
    bid_venues: tuple[str, ...] = ()
    ask_venues: tuple[str, ...] = ()
    for leg in legs:
        price = leg.bid_price
        if price is not None:
            if bid_price is None or price > bid_price:
                bid_price, bid_size, bid_venues = price, leg.bid_size, (leg.venue,)
            elif price == bid_price:
                bid_size = _sum_sizes(bid_size, leg.bid_size)
                bid_venues += (leg.venue,)
        price = leg.ask_price
        if price is not None:
            if ask_price is None or price < ask_price:
                ask_price, ask_size, ask_venues = price, leg.ask_size, (leg.venue,)
            elif price == ask_price:
                ask_size = _sum_sizes(ask_size, leg.ask_size)
                ask_venues += (leg.venue,)
    if bid_price is None or ask_price is None:
        market = Market.EMPTY if bid_price is None and ask_price is None else Market.ONE_SIDED
        return BestPrices(bid_price, bid_size, bid_venues, ask_price, ask_size, ask_venues, None, None, None, market)
    middle = mid(bid_price, ask_price)
    spread = plain(subtract(ask_price, bid_price))
    market = Market.NORMAL if bid_price < ask_price else Market.LOCKED if bid_price == ask_price else Market.CROSSED
    spread_bps = basis_points(spread, middle)
    return BestPrices(bid_price, bid_size, bid_venues, ask_price, ask_size, ask_venues, middle, spread, spread_bps, market)


def _sum_sizes(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    if one is None or other is None:
        return one if other is None else other
    return add(one, other)


def outliers(legs: Sequence[VenuePrices], limit_bps: Decimal) -> frozenset[str]:
    """Find the venues whose mid is further than `limit_bps` from the median mid, if three legs or more have one.

    `legs` are those without a fault of their own. Settling legs are included, because their prices are good. A leg with only one side does
    not count for the median, and is compared by the side that it has. If the median lies between two groups and would
    exclude every leg, none is excluded, and the quote shows the crossed market.
    """
    if len(legs) < 3:
        return frozenset()
    doubles = [_double(leg) for leg in legs]
    least = min(doubles)
    if times(subtract(max(doubles), least), _BPS) <= times(least, limit_bps):
        return frozenset()  # nearly always: no two differ by more than one may differ from the median
    ordered = [double for leg, double in zip(legs, doubles, strict=True) if leg.bid_price is not None and leg.ask_price is not None]
    if len(ordered) < 3:
        return frozenset()
    ordered.sort()
    half = len(ordered) // 2
    fourfold = times(ordered[half], _TWO) if len(ordered) % 2 else add(ordered[half - 1], ordered[half])  # the median, times 4
    bound = times(fourfold, limit_bps)
    lowest, highest = subtract(times(fourfold, _BPS), bound), add(times(fourfold, _BPS), bound)
    found = [leg.venue for leg, double in zip(legs, doubles, strict=True) if not lowest <= times(double, _DOUBLE_BPS) <= highest]
    return frozenset(found) if len(found) < len(legs) else frozenset()


def _double(leg: VenuePrices) -> Decimal:
    """Return twice the mid, or twice the price of the only side."""
    if leg.bid_price is not None and leg.ask_price is not None:
        return add(leg.bid_price, leg.ask_price)
    price = leg.bid_price if leg.bid_price is not None else leg.ask_price
    assert price is not None, "an empty leg is not judged"
    return times(price, _TWO)
