"""One listed pair of a venue: how its numbers are written, and the number of its newest change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from crosstape_simulator.formats import fixed, short
from crosstape_simulator.market.candles import Bar
from crosstape_simulator.market.derivatives import RATE_DECIMALS, Figures
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.history import Candle, carried, written
from crosstape_simulator.market.market import Pair


class Best(NamedTuple):
    """The best bid and ask of a book: prices in ticks, sizes in lots."""

    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Symbol:
    """A pair as its venue shows it. Prices come in ticks, sizes in lots."""

    def __init__(self, pair: Pair, *, decimals: int | None = None, number: int = 0) -> None:
        """`decimals`: of all prices and sizes; None: as many as the listing says. `number`: of the newest change of the book."""
        listing = pair.listing
        self.pair = pair
        self.name = listing.symbol
        self.number = number
        self._price = listing.price_decimals
        self._size = listing.size_decimals
        self._price_unit = 1 if decimals is None else 10 ** (decimals - listing.price_decimals)
        self._size_unit = 1 if decimals is None else 10 ** (decimals - listing.size_decimals)
        self._written = (listing.price_decimals, listing.size_decimals) if decimals is None else (decimals, decimals)

    def price(self, ticks: int) -> str:
        """A price with all its zeros."""
        return fixed(ticks * self._price_unit, self._written[0])

    def size(self, lots: int) -> str:
        """A size with all its zeros."""
        return fixed(lots * self._size_unit, self._written[1])

    def short_price(self, ticks: int) -> str:
        """A price without zeros at its end."""
        return short(ticks, self._price)

    def short_size(self, lots: int) -> str:
        """A size without zeros at its end."""
        return short(lots, self._size)

    def rows(self, levels: Iterable[tuple[int, int]]) -> str:
        """Levels as most venues write them: `["price","size"],…`."""
        return ",".join([f'["{self.price(price)}","{self.size(size)}"]' for price, size in levels])

    @property
    def day(self) -> dict[str, str]:
        """Prices of the day and the best prices, by the names that most venues give them."""
        pair, best = self.pair, self.best
        prices = {"last": pair.last.price, "open": pair.open, "high": pair.high, "low": pair.low, "vwap": pair.turnover // pair.volume}
        return {name: self.price(price) for name, price in {**prices, "bid": best.bid, "ask": best.ask}.items()}

    @property
    def figures(self) -> Figures:
        """Mark price, funding and the like of a contract, as they are now: prices in ticks, open interest in lots."""
        assert self.pair.derivatives is not None, f"{self.name} is no contract"
        return self.pair.derivatives.now

    def rate(self, rate: int) -> str:
        """A funding rate, with all its zeros."""
        return fixed(rate, RATE_DECIMALS)

    def candle(self, bar: Bar) -> Candle:
        """A candle as the venue writes its numbers."""
        return written(bar, self)

    def carried(self, one: Candle, where: Grid) -> Candle:
        """The same candle, opened at the close before it; as it is if there was no trade before."""
        before = self.pair.candles(where).at(one.open_ts - 1, flat=True)
        return one if before is None else carried([self.candle(before), one])[1]

    @property
    def best(self) -> Best:
        """The best bid and ask of the book now."""
        bids, asks = self.pair.bids, self.pair.asks
        bid, ask = bids.keys[0], asks.keys[0]
        return Best(-bid, bids.sizes[bid], ask, asks.sizes[ask])
