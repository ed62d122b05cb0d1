"""Finds intervals without a candle, where the venue publishes one for each interval."""

from __future__ import annotations

from collections.abc import Collection

from crosstape_recorder.gaps.gap import Feed, Part, Seen
from crosstape_recorder.gaps.ranges import Range
from crosstape_schemas import GapCause
from crosstape_schemas.timeframes import close_of, open_of


def missing_candles(feed: Feed, opens: Collection[int], nonexistent: Collection[Range] = ()) -> list[Part]:
    """Returns the intervals that are missing between the first and the last candle that is there, those in a row as one.

    `opens`: the `open_ts` of the recorded candles. `nonexistent`: ranges that were fetched completely: a candle that is missing in one of
    them never existed. An `open_ts` that is not on the grid of the timeframe is left out.
    """
    there = {open_ts for open_ts in opens if open_of(feed.timeframe, open_ts) == open_ts}
    if not there:
        return []
    found: list[Part] = []
    run: list[int] = []
    open_ts, last = min(there), max(there)
    while open_ts <= last:
        close_ts = close_of(feed.timeframe, open_ts)
        if open_ts in there or any(from_ts <= open_ts and close_ts <= to_ts for from_ts, to_ts in nonexistent):
            if run:
                found.append(_part(feed, run))
                run = []
        else:
            run.append(open_ts)
        open_ts = close_ts
    return found


def intervals(timeframe: str, from_ts: int, to_ts: int) -> int:
    """Returns how many intervals begin in `[from_ts, to_ts)`."""
    count, open_ts = 0, open_of(timeframe, from_ts)
    if open_ts < from_ts:
        open_ts = close_of(timeframe, open_ts)
    while open_ts < to_ts:
        count, open_ts = count + 1, close_of(timeframe, open_ts)
    return count


def _part(feed: Feed, run: list[int]) -> Part:
    return Part(feed, run[0], close_of(feed.timeframe, run[-1]), len(run), GapCause.SEQUENCE.value, Seen.CANDLES)
