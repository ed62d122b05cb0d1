"""Holds the bars of one venue and timeframe in one instrument."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from crosstape_aggregator.bars.sums import Sums, TradeKey, merged
from crosstape_schemas import Bar

LastTrade = tuple[TradeKey, Decimal]
"""The key and the price of a trade."""


class Closed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was last published of a closed bar, besides the sums of its trades."""

    revision: int
    known: bool
    """Whether no trade of it can be missing without a gap. It stays so when it was once."""
    complete: bool
    trades: int
    price: Decimal | None
    """Of a bar without trades: its price, None before the first trade. Else None."""
    fixed: bool = False
    """Whether it is never revised: it is on the tape, but its trades may not be there any more."""

    def says(self, other: Closed) -> bool:
        """Whether both say the same of an interval whose trades only become more."""
        return self.complete is other.complete and self.trades == other.trades and self.price == other.price


def record_of(bar: Bar, *, fixed: bool = False) -> Closed:
    """Return the record of a closed bar that is on the tape."""
    return Closed(bar.revision, bar.complete, bar.complete, bar.trades, None if bar.trades else bar.close, fixed)


class SeriesState(NamedTuple):
    """The state of a `Series`, for a checkpoint. Plain data that is never changed later."""

    timeframe: str
    venue: str
    """`consolidated`: only `closed` is of use."""
    sums: list[tuple[int, Sums]]
    """`open_ts` of each interval that has trades, and what they add up to; not in order."""
    closed: list[tuple[int, Closed]]
    """`open_ts` of each bar that was published closed, and what was published; not in order."""
    before: LastTrade | None
    """The last trade of the intervals that were dropped."""


class Series:
    """The bars of one venue (or `consolidated`) and timeframe, by their `open_ts`."""

    __slots__ = ("before", "closed", "sums")

    def __init__(self) -> None:
        self.sums: dict[int, Sums] = {}
        """The trades of each interval that has trades; empty for `consolidated`, whose sums are those of the venues."""
        self.closed: dict[int, Closed] = {}
        self.before: LastTrade | None = None

    def add(self, open_ts: int, sums: Sums) -> None:
        """Add trades to an interval."""
        other = self.sums.get(open_ts)
        self.sums[open_ts] = sums if other is None else merged(other, sums)

    def note(self, last: LastTrade) -> None:
        """Note a trade of an interval that was dropped: it may be the last before those that are kept."""
        if self.before is None or last > self.before:
            self.before = last

    def last_before(self, open_ts: int) -> LastTrade | None:
        """Return the last trade before this interval; None: there is none."""
        newest = max((one for one in self.sums if one < open_ts), default=None)
        if newest is None:
            return self.before
        sums = self.sums[newest]
        return sums.last, sums.close

    def drop(self, before_ts: int) -> None:
        """Drop all intervals that open before this moment (ns)."""
        for open_ts in [one for one in self.sums if one < before_ts]:
            sums = self.sums.pop(open_ts)
            self.note((sums.last, sums.close))
        for open_ts in [one for one in self.closed if one < before_ts]:
            del self.closed[open_ts]

    def state(self, timeframe: str, venue: str) -> SeriesState:
        """Copy the state. It only copies references."""
        return SeriesState(timeframe, venue, list(self.sums.items()), list(self.closed.items()), self.before)

    def restore(self, state: SeriesState) -> None:
        """Replace the state."""
        self.sums, self.closed, self.before = dict(state.sums), dict(state.closed), state.before
