"""The trades of a pair before its market began, as deep as is wanted: made when they are looked at, the same each time.

Each hour has the same number of trades, so that the ids of any time are known without making what lies before. Some minutes are empty, and
one order makes several trades of one moment.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, overload

from crosstape_simulator.formats import NS
from crosstape_simulator.market.candles import Bar, Deal, Series
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.listings import Listing

HOUR: Final = 3_600 * NS
_QUIET_OF_256: Final = 64
"""How many of 256 minutes are empty."""
_SWING: Final = 0.01
"""How far prices stray from the one at which the market begins."""


class Fill(NamedTuple):
    """One execution. A taker's order makes several when it takes several levels."""

    trade_id: int
    price: int
    size: int
    buyer_takes: bool


Row = tuple[int, Fill]
"""When it was (ns), and what."""


class Past(Sequence[Row]):
    """All trades before the market began, oldest first."""

    def __init__(self, listing: Listing, *, end_ts: int, last_id: int, price: int, lot: int, hours: int, per_hour: int, seed: int) -> None:
        """`end_ts`: when the last hour ends; `last_id`: of its last trade; `price`, in ticks: the one at which the market begins."""
        self._key = f"{seed} {listing.venue} {listing.symbol}"
        self._start_ts = end_ts - hours * HOUR
        self._price, self._lot = price, lot
        self._hours, self._per_hour = hours, per_hour
        self._first_id = last_id - hours * per_hour + 1
        self._made: dict[int, list[Row]] = {}

    def __len__(self) -> int:
        return self._hours * self._per_hour

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """One trade, or several."""
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        hour, place = divmod(index, self._per_hour)
        return self._hour(hour)[place]

    def _hour(self, number: int) -> list[Row]:
        if number not in self._made:
            self._made[number] = list(self._make(number))
        return self._made[number]

    def _make(self, number: int) -> Iterator[Row]:
        rng = random.Random(f"{self._key} {self._hours - number}")  # noqa: S311 - a market, not a secret
        minutes = [minute for minute in range(60) if rng.getrandbits(8) >= _QUIET_OF_256] or [30]
        moments: list[int] = []
        while len(moments) < self._per_hour:
            at = rng.choice(minutes) * 60 * NS + rng.randrange(60 * NS)
            moments += [at] * (1 if rng.getrandbits(2) else rng.randrange(2, 12))
        moments = sorted(moments[: self._per_hour])
        start_ts, first_id = self._start_ts + number * HOUR, self._first_id + number * self._per_hour
        for place, at in enumerate(moments):
            hours_ago = self._hours - number - at / HOUR
            price = round(self._price * (1 + _SWING * math.sin(hours_ago / 5))) + rng.randrange(-5, 6)
            made = Fill(first_id + place, max(1, price), 1 + self._lot * rng.getrandbits(7) // 16, bool(rng.getrandbits(1)))
            yield start_ts + at, made


class Chained(Sequence[Row]):
    """The past, and behind it the trades since."""

    def __init__(self, past: Past, since: Sequence[Row]) -> None:
        self._past = past
        self._since = since

    def __len__(self) -> int:
        return len(self._past) + len(self._since)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """One trade, or several."""
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        return self._past[index] if index < len(self._past) else self._since[index - len(self._past)]


def bars_between(rows: Sequence[Row], grid: Grid, start_ts: int, end_ts: int, *, flat: bool, by_price: bool, now: int) -> list[Bar]:
    """The candles that begin between two times, both included, made of the trades; `flat`: with one for each interval without trades."""
    begin = bisect_left(rows, start_ts, key=lambda row: row[0])
    if flat and begin:  # flat candles are at the price before
        begin = bisect_left(rows, grid.interval(rows[begin - 1][0]).open_ts, key=lambda row: row[0])
    until = min(now, grid.interval(end_ts).close_ts - 1)
    end = bisect_left(rows, until + 1, key=lambda row: row[0])
    deals = [Deal(ts, *made) for ts, made in rows[begin:end]]
    series = Series(grid, deals, is_complete=True, by_price=by_price, kept=None)
    found = series.filled(until) if flat else series.traded()
    return [bar for bar in found if start_ts <= bar.open_ts <= end_ts]
