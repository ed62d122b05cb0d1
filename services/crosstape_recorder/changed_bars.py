"""Finds the bars that fetched trades have changed. Pure: recorded bars and sums of trades in, bars out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from crosstape_recorder.bars import Intervals, Numbers, bar_of, numbers_of, without_trades
from crosstape_recorder.completeness import Completeness
from crosstape_schemas import CONSOLIDATED, TIMEFRAMES, Bar
from crosstape_schemas.timeframes import LENGTHS, close_of, open_of

MINUTE: Final = 60_000_000_000

BarKey = tuple[str, str, int]
"""Venue, timeframe, `open_ts`."""
Touched = dict[str, dict[int, set[str]]]
"""Timeframe → `open_ts` → venues whose bar may have changed."""


class Repairs(msgspec.Struct):
    """What was repaired of the trades of one instrument."""

    trades: list[tuple[str, int]]
    """Venue, and when a trade counts that was fetched, ns."""
    gaps: list[tuple[str, int, int]]
    """Venue and times of a gap that was closed: its bars may be complete now, also where no trade came."""

    @property
    def times(self) -> tuple[int, int]:
        """The earliest and the latest moment."""
        moments = [*(ts for _, ts in self.trades), *(ts for _, *both in self.gaps for ts in both)]
        return min(moments), max(moments)


def touched(repairs: Repairs, horizon_ts: int, tolerance_ns: int) -> Touched:
    """Returns the intervals that repairs concern and that end before `horizon_ts`: those after it are the aggregator's.

    Of timeframes below a minute they are those with fetched trades: there are too many others.
    """
    found: Touched = {}
    for timeframe in TIMEFRAMES:
        until = open_of(timeframe, max(0, horizon_ts))
        opens: dict[int, set[str]] = {}
        for venue, ts in repairs.trades:
            if ts < until:
                opens.setdefault(open_of(timeframe, ts), set()).add(venue)
        for venue, from_ts, to_ts in repairs.gaps if LENGTHS.get(timeframe, MINUTE) >= MINUTE else ():
            open_ts = open_of(timeframe, max(0, from_ts - tolerance_ns))
            while open_ts < until and open_ts <= to_ts + tolerance_ns:
                opens.setdefault(open_ts, set()).add(venue)
                open_ts = close_of(timeframe, open_ts)
        if opens:
            found[timeframe] = opens
    return found


class ChangedBars(msgspec.Struct, frozen=True):
    """The bars of one instrument, as they are recorded and as they are by all trades."""

    instrument: str
    touched: Touched
    recorded: Mapping[BarKey, Bar]
    """Closed bars, of each the highest revision: those that were touched, and those around them."""
    intervals: Intervals
    """All trades of the touched intervals, of all venues."""
    completeness: Completeness
    horizon_ts: int
    """Intervals that end after this are the aggregator's."""
    now_ts: int

    def bars(self) -> list[Bar]:
        """Returns those that say something else than the recorded ones, by their time: with the next revision."""
        found = [
            bar
            for timeframe, opens in self.touched.items()
            for venue in sorted({CONSOLIDATED, *(one for venues in opens.values() for one in venues)})
            for bar in self._of(timeframe, venue)
        ]
        return sorted(found, key=lambda bar: (bar.open_ts, TIMEFRAMES.index(bar.timeframe), bar.venue))

    def _of(self, timeframe: str, venue: str) -> Iterator[Bar]:
        opens, sums_of = self.touched[timeframe], self.intervals.of(timeframe, venue)
        followed: set[int] = set()
        for open_ts in sorted(opens):
            if (venue != CONSOLIDATED and venue not in opens[open_ts]) or open_ts in followed:
                continue
            sums, old = sums_of.get(open_ts), self.recorded.get((venue, timeframe, open_ts))
            if sums is not None:
                numbers, complete = sums.numbers(), self._is_complete(venue, timeframe, open_ts)
                if old is None or (old.trades <= numbers.trades and _differs(old, numbers, complete=complete)):
                    yield self._bar((venue, timeframe, open_ts), numbers, old, received_ts=sums.received_ts, complete=complete)
                for flat in self._following(venue, timeframe, open_ts, sums_of):
                    followed.add(flat)
                    yield from self._without_trades((venue, timeframe, flat), without_trades(numbers.close))
            elif old is not None and not old.trades:
                yield from self._without_trades((venue, timeframe, open_ts), numbers_of(old))

    def _following(self, venue: str, timeframe: str, open_ts: int, sums_of: Mapping[int, object]) -> Iterator[int]:
        """Yield the intervals behind one with trades that have a bar without trades: its price is the close of that one."""
        until = open_of(timeframe, max(0, self.horizon_ts))
        open_ts = close_of(timeframe, open_ts)
        while open_ts < until and open_ts not in sums_of:
            old = self.recorded.get((venue, timeframe, open_ts))
            if old is None or old.trades:
                return
            yield open_ts
            open_ts = close_of(timeframe, open_ts)

    def _without_trades(self, key: BarKey, numbers: Numbers) -> Iterator[Bar]:
        """Yield the recorded bar of an interval without trades, if it says something else now."""
        venue, timeframe, open_ts = key
        old, venues = self.recorded[key], self.touched[timeframe].get(open_ts, set())
        is_touched = venue in venues or (venue == CONSOLIDATED and bool(venues))
        complete = self._is_complete(venue, timeframe, open_ts) if is_touched else old.complete
        if _differs(old, numbers, complete=complete):
            yield self._bar(key, numbers, old, received_ts=self.now_ts, complete=complete)

    def _is_complete(self, venue: str, timeframe: str, open_ts: int) -> bool:
        before = self._complete_before(timeframe, open_ts)
        return self.completeness.of(venue, open_ts, close_of(timeframe, open_ts), before)

    def _complete_before(self, timeframe: str, open_ts: int) -> Iterable[str]:
        """Return the venues whose bar of an interval was complete before: that their feed was right at its end is known."""
        bars = (self.recorded.get((venue, timeframe, open_ts)) for venue in self.completeness.venues)
        return {bar.venue for bar in bars if bar is not None and bar.complete}

    def _bar(self, key: BarKey, numbers: Numbers, old: Bar | None, *, received_ts: int, complete: bool) -> Bar:
        revision = 0 if old is None else old.revision + 1
        venue, timeframe, open_ts = key
        return bar_of(venue, self.instrument, timeframe, open_ts, numbers, received_ts=received_ts, revision=revision, complete=complete)


def _differs(old: Bar, numbers: Numbers, *, complete: bool) -> bool:
    return numbers_of(old) != numbers or old.complete is not complete
