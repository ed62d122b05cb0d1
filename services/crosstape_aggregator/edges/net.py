"""Computes prices after fees, and the size that two books hold at prices that cross after fees. All of it is exact.

A price after a fee is kept times 10,000, so that no division is needed: price × (10,000 + bps) is paid by who buys, price × (10,000 - bps)
is received by who sells.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape_aggregator.decimals import ZERO, add, subtract, times, usable
from crosstape_schemas import Level

_ONE: Final = Decimal(10_000)


class Fee(NamedTuple):
    """What a taker pays at one venue."""

    bps: Decimal
    buy: Decimal
    """10,000 + bps: a price times this is paid by who buys."""
    sell: Decimal
    """10,000 - bps: a price times this is received by who sells."""

    @classmethod
    def of(cls, bps: Decimal) -> Fee:
        """Compute both factors."""
        return cls(bps, add(_ONE, bps), subtract(_ONE, bps))


def crossing_size(asks: Iterable[Level], bids: Iterable[Level], buy: Fee, sell: Fee) -> Decimal:
    """Compute how much can be bought from these asks and sold to these bids at prices that cross after fees; both are best first.

    The best ask is matched with the best bid, then what is left of them with the next levels, until they do not cross any more.
    """
    ask_levels = (level for level in asks if usable(*level))
    bid_levels = (level for level in bids if usable(*level))
    ask, bid = next(ask_levels, None), next(bid_levels, None)
    total = ZERO
    while ask is not None and bid is not None and times(bid[0], sell.sell) > times(ask[0], buy.buy):
        part = min(ask[1], bid[1])
        total = add(total, part)
        left, other = subtract(ask[1], part), subtract(bid[1], part)
        ask = (ask[0], left) if left else next(ask_levels, None)
        bid = (bid[0], other) if other else next(bid_levels, None)
    return total
