"""One side of an order book: a dict price → size beside a sorted list of prices. Pure.

Most changes touch a level that exists already, which costs one dict store.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from decimal import Decimal

from crosstape_connector.venues.parsing.numbers import FLOOR, LIMIT
from crosstape_schemas import Level


class ImpossibleLevelError(ValueError):
    """A price or size is impossible: negative, infinite, no number, or beyond the bounds of `numbers`."""


class Ladder:
    """One side of a book. `best_last`: True for bids, whose best price is the highest."""

    __slots__ = ("best_last", "drops", "edge", "prices", "sizes")

    def __init__(self, levels: Iterable[Level] = (), *, best_last: bool) -> None:
        """Raises what `apply` raises."""
        self.best_last = best_last
        self.edge: Decimal | None = None
        """The farthest price up to which every level is known; None: the side is complete."""
        self.drops = False
        """Whether levels beyond the edge are dropped."""
        self.sizes: dict[Decimal, Decimal] = {}
        self.prices: list[Decimal] = []
        for price, size in levels:
            if FLOOR <= price < LIMIT and FLOOR <= size < LIMIT:
                self.sizes[price] = size
            elif size or not FLOOR <= price < LIMIT:
                raise ImpossibleLevelError(f"{price} x {size}")
        self.prices = sorted(self.sizes)

    def apply(self, levels: Iterable[Level]) -> None:
        """Set each price's size; size zero removes it; of a repeated price the last counts. A price that has a level is within the bounds.

        New levels beyond the edge are left out if the side `drops` them. Raises `ImpossibleLevelError`, `ArithmeticError` (NaN).
        """
        sizes, prices = self.sizes, self.prices
        edge = self.edge if self.drops else None
        try:
            for price, size in levels:
                is_new = price not in sizes
                if is_new and not FLOOR <= price < LIMIT:
                    raise ImpossibleLevelError(f"{price} x {size}")
                if FLOOR <= size < LIMIT:
                    if is_new:
                        if edge is not None and (price < edge if self.best_last else price > edge):
                            continue
                        insort(prices, price)
                    sizes[price] = size
                elif size:
                    raise ImpossibleLevelError(f"{price} x {size}")
                elif not is_new:
                    del sizes[price]
                    del prices[bisect_left(prices, price)]
        except TypeError as exc:
            raise ImpossibleLevelError("a signaling NaN, which has no hash") from exc

    def best(self) -> Level | None:
        """Return the best level; None of an empty side."""
        if not self.prices:
            return None
        price = self.prices[-1 if self.best_last else 0]
        return price, self.sizes[price]

    def top(self, count: int) -> list[Level]:
        """Return the best levels, best first, at most `count` of them."""
        sizes = self.sizes
        prices = self.prices[: -count - 1 : -1] if self.best_last else self.prices[:count]
        return [(price, sizes[price]) for price in prices]

    def knows(self, count: int) -> bool:
        """Whether the best `count` levels of the venue's are certainly those of this side."""
        edge, prices = self.edge, self.prices
        if edge is None:
            return True
        if not 0 < count <= len(prices):
            return False
        return prices[-count] >= edge if self.best_last else prices[count - 1] <= edge

    def trim(self, count: int) -> None:
        """Drop all but the best `count` levels, and from now on what comes beyond them: the side is known up to the last one."""
        if self.cut(count):
            self.edge = self.prices[0 if self.best_last else -1]
            self.drops = True

    def cut(self, depth: int) -> list[Decimal]:
        """Remove all but the best `depth` levels. Returns the removed prices."""
        excess = len(self.prices) - depth
        if excess <= 0:
            return []
        span = slice(0, excess) if self.best_last else slice(depth, None)
        gone = self.prices[span]
        del self.prices[span]
        for price in gone:
            del self.sizes[price]
        return gone
