"""The candles of a pair, in ticks and lots, built from its trades: one series for each grid that somebody wants."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from crosstape_simulator.market.grid import Grid

KEPT: Final = 3_000
"""Candles of a series that are remembered; beyond, the oldest is dropped."""


class Deal(NamedTuple):
    """What a candle needs to know of a trade."""

    ts: int
    trade_id: int
    price: int
    size: int
    buyer_takes: bool


class Bar:
    """The trades of one interval, in ticks and lots. With no trade it is flat at the price before."""

    __slots__ = (
        "bought", "bought_turnover", "close", "close_ts", "first_id", "high", "last_id", "last_ts", "low", "open", "open_ts", "per_price",
        "trades", "turnover", "volume",
    )  # fmt: skip

    def __init__(self, open_ts: int, close_ts: int, price: int) -> None:
        self.open_ts, self.close_ts = open_ts, close_ts
        self.open = self.high = self.low = self.close = price
        self.volume = self.turnover = 0
        """Lots, and ticks × lots."""
        self.bought = self.bought_turnover = 0
        """The same of trades whose taker bought."""
        self.per_price: dict[int, int] = {}
        """Price → lots, for inverse contracts, whose base size depends on the price."""
        self.trades = 0
        self.first_id = self.last_id = 0
        self.last_ts = open_ts
        """Time of the newest trade (ns)."""

    def add(self, deal: Deal) -> None:
        """Add a trade."""
        self.high, self.low, self.close = max(self.high, deal.price), min(self.low, deal.price), deal.price
        self.volume += deal.size
        self.turnover += deal.price * deal.size
        if deal.buyer_takes:
            self.bought += deal.size
            self.bought_turnover += deal.price * deal.size
        self.first_id = self.first_id or deal.trade_id
        self.last_id, self.last_ts = deal.trade_id, deal.ts
        self.trades += 1


class Series:
    """The candles of one pair on one grid that hold a trade, oldest first."""

    def __init__(self, grid: Grid, past: Iterable[Deal], *, is_complete: bool, by_price: bool, kept: int | None = KEPT) -> None:
        """`past`: trades so far. `is_complete`: no earlier one was forgotten; else the first candle may lack some and is left out.
        `by_price`: keep the lots at each price. `kept`: how many candles are remembered; None: all.
        """
        self.grid = grid
        self.bars: deque[Bar] = deque(maxlen=kept)
        self._by_price = by_price
        for deal in past:
            self.add(deal)
        if not is_complete and self.bars:
            self._partial: Bar | None = self.bars[0]
        else:
            self._partial = None

    def add(self, deal: Deal) -> None:
        """Add a trade, to a new candle if the last is over."""
        bar = self.bars[-1] if self.bars else None
        if bar is None or deal.ts >= bar.close_ts:
            bar = Bar(*self.grid.interval(deal.ts), deal.price)
            self.bars.append(bar)
        bar.add(deal)
        if self._by_price:
            bar.per_price[deal.price] = bar.per_price.get(deal.price, 0) + deal.size

    @property
    def newest(self) -> Bar | None:
        """The candle of the newest trade; None: there was none."""
        return self.bars[-1] if self.bars else None

    def traded(self) -> list[Bar]:
        """All candles that are known with all their trades."""
        return [bar for bar in self.bars if bar is not self._partial]

    def filled(self, until: int) -> list[Bar]:
        """The same, with a flat one for each empty interval up to the one that holds `until` (ns)."""
        return list(self._filled(until))

    def at(self, ts: int, *, flat: bool) -> Bar | None:
        """The candle of the interval that holds a time; None: it has no trade, and flat ones are not wanted or have no price yet."""
        bars = self.bars
        index = bisect_right(bars, ts, key=lambda bar: bar.open_ts) - 1
        if index < 0:
            return None
        if ts < bars[index].close_ts:
            return bars[index]
        return Bar(*self.grid.interval(ts), bars[index].close) if flat else None

    def _filled(self, until: int) -> Iterator[Bar]:
        before: Bar | None = None
        for bar in self.traded():
            if before is not None:
                yield from self._flat(before, bar.open_ts)
            yield bar
            before = bar
        if before is not None:
            yield from self._flat(before, self.grid.interval(until).close_ts)

    def _flat(self, before: Bar, until: int) -> Iterator[Bar]:
        """Flat candles after `before`, up to `until`; the oldest are left out where there are too many."""
        found: deque[tuple[int, int]] = deque(maxlen=self.bars.maxlen)
        at = before.close_ts
        while at < until:
            found.append(self.grid.interval(at))
            at = found[-1][1]
        for open_ts, close_ts in found:
            yield Bar(open_ts, close_ts, before.close)
