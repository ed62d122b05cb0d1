"""What a contract has besides a book and trades: mark and index price, funding, open interest, and which trades are liquidations.

Pure, and without chance of its own: the figures follow from the book and the trades, so that all who ask get the same.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from crosstape_simulator.formats import NS
from crosstape_simulator.market.listings import Listing

if TYPE_CHECKING:
    from crosstape_simulator.market.market import Pair

EVERY_NS: Final = NS
"""The figures change once in so long, at multiples of it."""

KEPT: Final = 5_000
"""Figures that are remembered."""

FORCED_EVERY: Final = 10
"""One of so many trades is a liquidation."""

RATE_DECIMALS: Final = 8
_RATE_MAX: Final = 75_000  # 0.075 %
_PREMIUM_PPM: Final = 150  # how far the index strays from the mark price


class Figures(NamedTuple):
    """The figures from `ts` (ns) on, until the next. Prices in ticks."""

    ts: int
    mark_price: int
    index_price: int
    rate: int
    """Of the funding to come, in units of 10^-8."""
    next_ts: int | None
    """When that is settled; None: it is a dated contract."""
    open_interest: int
    """Lots."""


class Derivatives:
    """The figures of one contract."""

    def __init__(self, listing: Listing, start_ts: int) -> None:
        self.listing = listing
        self.known: deque[Figures] = deque(maxlen=KEPT)
        """Oldest first."""
        self._start_ts = start_ts

    def update(self, pair: Pair, ts: int) -> None:
        """Learn the figures of the moment `ts` from the book as it is."""
        bid, ask = -pair.bids.keys[0], pair.asks.keys[0]
        mark = (bid + ask) // 2
        step = ts // EVERY_NS
        sway = (step * 7_919 + pair.trade_id * 31) % (2 * _PREMIUM_PPM + 1) - _PREMIUM_PPM
        index = max(1, mark - mark * sway // 1_000_000)
        rate = max(-_RATE_MAX, min(_RATE_MAX, 10_000 + sway * 200))
        self.known.append(Figures(ts, mark, index, rate if self.listing.is_perpetual else 0, self._next_ts(ts), self._interest(pair)))

    @property
    def now(self) -> Figures:
        """The newest figures."""
        return self.known[-1]

    def _next_ts(self, ts: int) -> int | None:
        length = self.listing.funding_s * NS
        return (ts // length + 1) * length if self.listing.is_perpetual else None

    def _interest(self, pair: Pair) -> int:
        """A number that moves with the trades."""
        return pair.lot * 50_000 + pair.volume % (pair.lot * 1_000)


def is_liquidation(listing: Listing, trade_id: int) -> bool:
    """Whether this trade of a contract closed somebody's position by force: its taker's order was not his own."""
    return listing.is_contract and trade_id % FORCED_EVERY == 0
