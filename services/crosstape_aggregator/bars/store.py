"""Holds the sums of the trades of one instrument, by venue, timeframe and interval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from crosstape_aggregator.bars.rules import BarRules
from crosstape_aggregator.bars.series import Series, SeriesState
from crosstape_aggregator.bars.state import BarCounts
from crosstape_aggregator.bars.sums import Sums, total
from crosstape_aggregator.windows.trade_time import trade_ts
from crosstape_schemas import CONSOLIDATED, Trade
from crosstape_schemas.timeframes import open_of
from crosstape_schemas.trade_time import AHEAD, BEHIND


class BarStore:
    """The series of one instrument. Timeframes are given by their index in the rules."""

    __slots__ = ("_rules", "all", "changed", "dropped_until", "earlier", "newest_ts", "since", "unclosed", "venues")

    def __init__(self, rules: BarRules) -> None:
        self._rules = rules
        self.venues: dict[str, list[Series]] = {}
        """Venue → its series of each timeframe."""
        self.all = [Series() for _ in rules.timeframes]
        """The series of `consolidated`: only what was published."""
        self.changed: list[dict[int, set[str]]] = [{} for _ in rules.timeframes]
        """Of each timeframe: `open_ts` → the venues whose trades have changed. The caller clears it."""
        self.unclosed: list[set[int]] = [set() for _ in rules.timeframes]
        """Of each timeframe: `open_ts` of the intervals with trades that were never published closed."""
        self.earlier = [False for _ in rules.timeframes]
        """Of each timeframe: whether there were trades for dropped intervals. The caller clears it."""
        self.dropped_until = [0 for _ in rules.timeframes]
        """Of each timeframe: all intervals up to this moment (ns) are history. It never goes back."""
        self.newest_ts = 0
        """The newest moment (ns) that a trade counts at."""
        self.since: dict[str, int] = {}
        """Venue → the moment (ns) at which its trades begin on the tape; 0: before those that were read."""

    def add(self, venue: str, trades: list[Trade], counts: BarCounts | None) -> None:
        """Add trades of a venue. Those of dropped intervals are counted, unless `counts` is None because they are from the past."""
        if venue not in self.since:
            # `seq` 1: the first trade that its connector has ever published. What was traded before is not on the tape.
            self.since[venue] = trades[0].received_ts if trades[0].seq == 1 else 0
        part_ns, received = self._rules.part_ns, [trade.received_ts for trade in trades]
        stamps = [trade.venue_ts or 0 for trade in trades]
        if min(stamps) <= max(0, max(received) - BEHIND) or max(stamps) > min(received) + AHEAD:  # else all can be used: almost always
            stamps = list(map(trade_ts, trades))
        part = min(stamps) // part_ns
        if part == max(stamps) // part_ns:
            self._add(venue, part * part_ns, total(trades, stamps, max(received)), counts)
            return
        groups: dict[int, list[tuple[Trade, int, int]]] = {}
        for one in zip(trades, stamps, received, strict=True):
            groups.setdefault(one[1] // part_ns, []).append(one)
        for part, group in groups.items():
            some, some_stamps, some_received = zip(*group, strict=True)
            self._add(venue, part * part_ns, total(some, some_stamps, max(some_received)), counts)

    def _add(self, venue: str, part_ts: int, sums: Sums, counts: BarCounts | None) -> None:
        self.newest_ts = max(self.newest_ts, sums.last[0])
        for index, (timeframe, series) in enumerate(zip(self._rules.timeframes, self.of(venue), strict=True)):
            open_ts = open_of(timeframe, part_ts)
            if open_ts >= self.dropped_until[index]:
                series.add(open_ts, sums)
                self.changed[index].setdefault(open_ts, set()).add(venue)
                if open_ts not in self.all[index].closed:
                    self.unclosed[index].add(open_ts)
                continue
            series.note((sums.last, sums.close))
            self.earlier[index] = True
            if counts is not None:
                counts.late[timeframe] += sums.trades

    def of(self, venue: str) -> list[Series]:
        """Return the series of a venue."""
        series = self.venues.get(venue)
        if series is None:
            series = self.venues[venue] = [Series() for _ in self._rules.timeframes]
        return series

    def every(self, index: int) -> Iterator[Series]:
        """Yield all series of a timeframe, that of `consolidated` last."""
        for series in self.venues.values():
            yield series[index]
        yield self.all[index]

    def flat(self, index: int) -> set[int]:
        """Return the closed intervals in which one venue, or all of them, did not trade."""
        return {open_ts for series in self.every(index) for open_ts, record in series.closed.items() if not record.trades}

    def price_before(self, index: int, venue: str, open_ts: int) -> Decimal | None:
        """Return the price of the last trade before an interval; None: there is none."""
        every = self.venues.values() if venue == CONSOLIDATED else [self.of(venue)]
        last = max((last for series in every if (last := series[index].last_before(open_ts)) is not None), default=None)
        return None if last is None else last[1]

    def drop(self, now: int) -> None:
        """Drop the intervals that are history.

        The clock alone does not decide, because it may be wrong: trades must have been made `bar_history_s` after the interval, too.
        Without them, only the number of closed bars is bounded.
        """
        ts = min(now, self.newest_ts) - self._rules.history_ns
        for index, timeframe in enumerate(self._rules.timeframes):
            until, closed, most = open_of(timeframe, ts), self.all[index].closed, self._rules.most[index]
            if len(closed) > most:
                until = max(until, sorted(closed)[-most // 2])
            self.drop_until(index, until)

    def drop_until(self, index: int, until: int) -> None:
        """Drop the intervals of a timeframe that open before this moment (ns)."""
        if until > self.dropped_until[index]:
            self.dropped_until[index] = until
            self.unclosed[index] = {one for one in self.unclosed[index] if one >= until}
            self.changed[index] = {one: venues for one, venues in self.changed[index].items() if one >= until}
            for series in self.every(index):
                series.drop(until)

    def state(self) -> list[SeriesState]:
        """Copy the series for a checkpoint."""
        names = self._rules.timeframes
        venues = {**self.venues, CONSOLIDATED: self.all}
        return [one.state(name, venue) for venue, every in venues.items() for name, one in zip(names, every, strict=True)]

    def restore(self, states: Iterable[SeriesState]) -> None:
        """Replace the series; those of other timeframes are ignored."""
        for state in states:
            if state.timeframe in self._rules.timeframes:
                index = self._rules.timeframes.index(state.timeframe)
                (self.all if state.venue == CONSOLIDATED else self.of(state.venue))[index].restore(state)
        for index, consolidated in enumerate(self.all):
            changed = self.changed[index]
            for venue, series in self.venues.items():
                for open_ts in series[index].sums.keys() - consolidated.closed.keys():
                    changed.setdefault(open_ts, set()).add(venue)
            self.unclosed[index].update(changed)
