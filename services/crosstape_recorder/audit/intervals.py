"""Keeps the recorded trades of one interval until its bars are audited, and the last prices before intervals without trades."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape_recorder.bars import Sums, TradeKey
from crosstape_schemas import Bar, Trade

MINUTE: Final = 60_000_000_000
KEPT_MINUTES: Final = 3_000
"""Minutes with trades that are kept of one venue, to find the last price before an interval."""


class Counted(NamedTuple):
    """One trade that can be computed with."""

    ms: int
    n: int
    trade: Trade
    key: TradeKey
    amount: Decimal


class Interval:
    """The trades of one interval, of one venue or of all, in the order of their stream, and what was published of it."""

    __slots__ = ("bar", "bar_ms", "bars", "sums", "waiting")

    def __init__(self) -> None:
        self.sums = Sums()
        """Of the trades that were in the bar that was audited last."""
        self.waiting: list[Counted] = []
        """The trades after them."""
        self.bar: Bar | None = None
        """The closed bar with the highest revision …"""
        self.bar_ms = 0
        """… and its id (ms)."""
        self.bars = 0
        """How many bars of it were audited."""

    @property
    def total(self) -> int:
        """The number of its trades."""
        return self.sums.trades + len(self.waiting)

    def take(self, count: int) -> None:
        """Add up the first `count` trades; they are there, and not fewer than before."""
        wanted = count - self.sums.trades
        for one in self.waiting[:wanted]:
            self.sums.add(one.trade, one.key, one.amount)
        del self.waiting[:wanted]

    def lacks(self, before_ms: int) -> list[Counted]:
        """Return the trades that arrived before an id and are in no bar that was audited."""
        return [one for one in self.waiting if one.ms < before_ms]


class _Record(NamedTuple):
    ms: int
    key: TradeKey
    price: Decimal


class LastPrices:
    """The prices of the last trades of one venue, by the moments at which they count."""

    def __init__(self) -> None:
        self._minutes: list[int] = []
        self._records: dict[int, list[_Record]] = {}

    def add(self, one: Counted) -> None:
        """Add a trade."""
        minute = one.key[0] // MINUTE
        records = self._records.get(minute)
        if records is None:
            insort(self._minutes, minute)
            self._records[minute] = [_Record(one.ms, one.key, one.trade.price)]
            if len(self._minutes) > KEPT_MINUTES:
                del self._records[self._minutes.pop(0)]
        elif one.key > records[-1].key:
            records.append(_Record(one.ms, one.key, one.trade.price))

    def before(self, open_ts: int, ms: int) -> tuple[TradeKey, Decimal] | None:
        """Return the last trade before a moment (a full minute), of those that had arrived with this id; None: there is none."""
        index = bisect_left(self._minutes, open_ts // MINUTE)
        while index:
            index -= 1
            for record in reversed(self._records[self._minutes[index]]):
                if record.ms <= ms:
                    return record.key, record.price
        return None


def price_before(every: Mapping[str, LastPrices], open_ts: int, ms: int) -> tuple[TradeKey, Decimal] | None:
    """Return the last trade before a moment over these venues."""
    return max((last for one in every.values() if (last := one.before(open_ts, ms)) is not None), default=None)
