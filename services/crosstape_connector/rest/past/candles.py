"""Pages through past candles of a range, so that it does not matter which bounds a venue includes, in which order it answers, and what it
sends of intervals that are not over. Pure.

Ask for one interval more on both sides, drop what lies outside, drop what is not over by the clock, keep the last of several rows of one
interval, refuse what does not begin when ours do.
"""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.rest.past.paging import Brought, Range
from crosstape_connector.venues.messages import CandleSnapshot
from crosstape_connector.venues.past import PastCandles
from crosstape_schemas import Candle
from crosstape_schemas.timeframes import DAY, LENGTHS, close_of, is_open, open_of

SETTLE_NS: Final = 5_000_000_000
"""A candle counts as closed so long after its end: clocks differ, and a venue needs a moment."""

ROUND: Final = 50
"""Venues cut answers at multiples of this many rows."""

BESIDE: Final = 2
"""Intervals that are asked for beside the wanted ones."""


class CandlePager:
    """One range of one symbol's candles of one timeframe."""

    def __init__(self, source: PastCandles, symbol: str, timeframe: str, wanted: Range) -> None:
        self._source = source
        self._symbol = symbol
        self._timeframe = timeframe
        self._wanted = wanted
        self._page = source.page
        self._next_ts = _first_open(timeframe, wanted.from_ts)
        """`open_ts` of the first candle that was not asked for."""
        self.crowded = 0
        """None: there is one candle of an interval."""

    @property
    def path(self) -> str | None:
        """See `Pager.path`."""
        if self._next_ts >= self._wanted.to_ts:
            return None
        last_ts = self._last_open()
        before_ts, after_ts = open_of(self._timeframe, self._next_ts - 1), close_of(self._timeframe, last_ts)
        return self._source.path(self._symbol, self._timeframe, before_ts, after_ts)

    def accept(self, answer: CandleSnapshot, asked_ts: int) -> Brought:
        """See `Pager.accept`."""
        first_ts, last_ts = self._next_ts, self._last_open()
        on_grid = [one for one in answer.candles if is_open(self._timeframe, one.open_ts)]
        refused = len(answer.candles) - len(on_grid) + len(answer.odd)
        wanted = {one.open_ts: one for one in on_grid if first_ts <= one.open_ts <= last_ts}
        if self._is_cut(answer, first_ts, last_ts):
            self._page = max(BESIDE + 1, min(len(answer.candles), self._page * 3 // 4))
            return Brought((), first_ts, refused)
        running_ts = open_of(self._timeframe, asked_ts - SETTLE_NS)
        rows = [_closed(wanted[ts]) for ts in sorted(wanted) if ts < running_ts]
        self._next_ts = close_of(self._timeframe, last_ts)
        complete_to_ts = max(self._wanted.from_ts, min(self._next_ts, self._wanted.to_ts, running_ts))
        return Brought(rows, complete_to_ts, refused)

    def _last_open(self) -> int:
        """Return the `open_ts` of the last candle that is asked for next."""
        length = LENGTHS.get(self._timeframe, 31 * DAY)
        intervals = max(1, self._page - BESIDE)
        if self._source.window_s:
            intervals = max(1, min(intervals, int(self._source.window_s * 1e9) // length - BESIDE))
        last_ts = self._next_ts
        if self._timeframe in LENGTHS:
            last_ts += (intervals - 1) * length
        else:
            for _ in range(intervals - 1):
                last_ts = close_of(self._timeframe, last_ts)
        return min(last_ts, open_of(self._timeframe, self._wanted.to_ts - 1))

    def _is_cut(self, answer: CandleSnapshot, first_ts: int, last_ts: int) -> bool:
        """Whether the answer seems to lack rows: the venue holds fewer in one than its table says, or has two of some interval. Then we
        ask for fewer. (One that goes back so many intervals answers with all of them, whatever is asked for.)
        """
        count = len(answer.candles)
        full = count >= self._page or count % ROUND == 0
        if not count or not full or self._source.reach_intervals or self._page <= BESIDE + 1:
            return False
        begins, ends = answer.candles[0].open_ts, answer.candles[-1].open_ts
        if begins <= first_ts:  # what begins even before the range was counted back from its end
            return ends < last_ts and begins >= open_of(self._timeframe, first_ts - 1)
        return ends <= close_of(self._timeframe, last_ts)  # what goes on behind the range was counted from its beginning


def _first_open(timeframe: str, ts: int) -> int:
    """Return when the first interval begins that does not begin before `ts`."""
    open_ts = open_of(timeframe, ts)
    return open_ts if open_ts == ts else close_of(timeframe, open_ts)


def _closed(candle: Candle) -> Candle:
    return msgspec.structs.replace(candle, closed=True)
