"""What a recording shows of candles: what they open at, when they are closed, what an interval without trades is, and their volume."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.evidence.finding import Finding, Verdict, judge, share, spread
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Candle, Trade
from crosstape_schemas.timeframes import LENGTHS

NEAR: Final = Decimal("0.000001")
"""Volumes that differ by a smaller part are equal: some venues round."""


class _Interval(msgspec.Struct):
    """The trades of one interval."""

    first: Decimal
    volume: Decimal
    trades: int = 0


class CandleEvidence:
    """Gathers the candles of one timeframe, and the trades of the same instrument."""

    def __init__(self, venue: Venue, timeframe: str) -> None:
        self._rules = venue.candles
        self._timeframe = timeframe
        self._length = LENGTHS[timeframe]
        self._candles: dict[int, Candle] = {}
        self._closed_after: list[int] = []
        self._corrected = 0
        self._intervals: dict[int, _Interval] = {}
        self._since_ts: int | None = None
        self._until_ts: int | None = None
        self._lacking: set[int] = set()

    def trade(self, trade: Trade) -> None:
        """Count a trade in its interval."""
        if trade.venue_ts is None:
            return
        open_ts = trade.venue_ts // self._length * self._length
        self._since_ts = trade.venue_ts if self._since_ts is None else min(self._since_ts, trade.venue_ts)
        self._until_ts = trade.venue_ts if self._until_ts is None else max(self._until_ts, trade.venue_ts)
        found = self._intervals.setdefault(open_ts, _Interval(trade.price, Decimal()))
        found.volume += trade.size
        found.trades += 1

    def gap(self, from_ts: int, to_ts: int) -> None:
        """Leave out the intervals of which trades are missing."""
        first, last = from_ts // self._length, to_ts // self._length
        self._lacking.update(number * self._length for number in range(first, min(last, first + 1_500) + 1))

    def candle(self, candle: Candle) -> None:
        """Take the newest state of a candle."""
        before = self._candles.get(candle.open_ts)
        if candle.closed and candle.revision == 0 and (before is None or not before.closed):
            after = candle.received_ts - candle.close_ts
            if after < self._length:  # else it is of the past, not closed now
                self._closed_after.append(after)
        self._corrected += candle.revision > 0
        self._candles[candle.open_ts] = candle

    def findings(self) -> Iterator[Finding]:
        """Yield the rows about this timeframe."""
        section, rules = f"Candles of {self._timeframe}", self._rules
        if rules is None:
            return
        whole = [one for one in self._candles.values() if one.closed]
        if not whole:
            yield Finding(section, "candles", f"{len(self._candles)} came, none was closed in this time", verdict=Verdict.NOT_SEEN)
            return
        yield self._open(section, rules.open)
        yield Finding(section, "closed by", f"{len(self._closed_after)} closed in this time", rules.closed, self._closing())
        if self._closed_after:
            yield Finding(section, "closed after the end", spread(self._closed_after))
        yield Finding(section, "corrected after they were closed", f"{self._corrected} times")
        yield self._empty(section, rules.empty)
        yield self._volume(section, rules.volume)

    def _open(self, section: str, claim: str) -> Finding:
        """Compare opens with the close before and with the first trade, where these two differ."""
        previous = first = told = same = 0
        for open_ts in self._covered():
            before, one = self._candles.get(open_ts - self._length), self._candles.get(open_ts)
            found = self._intervals.get(open_ts)
            if before is None or one is None or found is None:
                continue
            if before.close == found.first:
                same += 1
                continue
            told += 1
            previous += one.open == before.close
            first += one.open == found.first
        seen = f"of {told} that can show it {first} open at the first trade, {previous} at the close before ({same} are equal)"
        good = {"first trade": first, "previous close": previous}.get(claim)
        return Finding(section, "open", seen, claim, Verdict.NOTED if good is None else judge(good, told))

    def _closing(self) -> Verdict:
        return Verdict.HOLDS if self._closed_after else Verdict.NOT_SEEN

    def _empty(self, section: str, claim: str) -> Finding:
        empty = [ts for ts in self._covered() if ts not in self._intervals]
        sent = [self._candles[ts] for ts in empty if ts in self._candles]
        flat = sum(one.open == one.high == one.low == one.close and not one.volume for one in sent)
        seen = f"{len(empty)} intervals without trades: {len(sent)} have a candle, {flat} of these are flat without volume"
        return Finding(section, "intervals without trades", seen, claim, Verdict.NOTED if empty else Verdict.NOT_SEEN)

    def _volume(self, section: str, claim: str) -> Finding:
        """Compare a candle's volume with the sum of the trades; the ratio shows quote units, contracts or both sides."""
        compared = equal = 0
        ratios = []
        for ts in self._covered():
            one, found = self._candles.get(ts), self._intervals.get(ts)
            if one is None or found is None or not one.closed or not found.volume:
                continue
            compared += 1
            ratio = one.volume / found.volume
            equal += abs(ratio - 1) < NEAR
            ratios.append(ratio)
        middle = f"; the median ratio is {sorted(ratios)[len(ratios) // 2]:.6f}" if ratios else ""
        return Finding(section, "volume", f"{share(equal, compared)} are the sum of the trades{middle}", claim, judge(equal, compared))

    def _covered(self) -> list[int]:
        """Return the starts of intervals of which all trades were recorded."""
        if self._since_ts is None or self._until_ts is None:
            return []
        first, last = self._since_ts // self._length + 1, self._until_ts // self._length
        return [number * self._length for number in range(first, last) if number * self._length not in self._lacking]
