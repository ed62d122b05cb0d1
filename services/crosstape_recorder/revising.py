"""Computes the bars that fetched trades have changed, of times that the aggregator does not revise any more. It needs the extra `history`.

An aggregator revises a bar until it closed `bar_history_s` ago. What is fetched later counts in none of its bars. So the bars are
computed again from all recorded trades, of each venue and of all together, and those that say something else than the recorded ones get
the next revision. Nothing is remembered: which bars to look at is known from the rows that a repair wrote. So a bar that is still the
aggregator's when its trades are fetched is revised by a later call, and one that was revised is not revised again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec
import pyarrow.compute as pc

from crosstape.history.arrow import events_of
from crosstape.history.batch import Source
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_recorder.bars import Intervals, counts_at
from crosstape_recorder.changed_bars import BarKey, ChangedBars, Repairs, touched
from crosstape_recorder.completeness import Completeness, FeedLife
from crosstape_recorder.examining import examine
from crosstape_recorder.gaps.finding import VenueFacts
from crosstape_recorder.gaps.ranges import Range, union
from crosstape_recorder.selection import Selection
from crosstape_schemas import CONSOLIDATED, TIMEFRAMES, VENUE_WIDE, AnyEvent, Bar, Gap, Status, Trade, decode
from crosstape_schemas.timeframes import DAY, LENGTHS, close_of

SETTLED_NS: Final = 120_000_000_000
"""Bars are left to the aggregator for so much longer than its history: it may be behind, and the recorder with its bars."""
FOLLOWED: Final = 100
"""Bars without trades that follow a changed one are revised, too, so many intervals or a day: whichever is longer."""
STATUS_NS: Final = 3_600_000_000_000
"""A sign that a venue was right is looked for so long after a bar closed."""

Taped = Callable[[str, str], Awaitable[Iterable[Bar]]]
"""(instrument, timeframe) → the closed bars on the tape, which the recorder may not have written yet."""


class RevisionRules(msgspec.Struct, frozen=True):
    """Settings of the aggregator that bars depend on, ns."""

    history_ns: int
    """`aggregator.bar_history_s`."""
    tolerance_ns: int
    """`aggregator.clock_tolerance_s`."""


async def events(store: Store, query: Query) -> AsyncIterator[AnyEvent]:
    """Yields the events of a query. Raises `HistoryError`."""
    async for table in store.read(query):
        for data in events_of(table):
            yield decode(data)


async def repairs_of(store: Store, selection: Selection) -> dict[str, Repairs]:
    """Returns instrument → what was repaired of its trades in a time. Raises `HistoryError`."""
    found: dict[str, Repairs] = defaultdict(lambda: Repairs([], []))
    query = Query(kind="trade", instrument=selection.instrument, venue=selection.venue, from_ts=selection.from_ts, to_ts=selection.to_ts)
    async for table in store.read(query):
        rest = table.filter(pc.equal(table.column("source"), Source.REST.value))
        names = ("instrument", "venue", "ts")
        for instrument, venue, ts in zip(*(rest.column(name).to_pylist() for name in names), strict=True):
            found[instrument].trades.append((venue, ts))
    async for table in store.read(msgspec.structs.replace(query, kind="gap")):
        of_repairs = pc.and_(pc.equal(table.column("source"), Source.RECORDER.value), table.column("repaired"))
        for data in events_of(table.filter(of_repairs)):
            gap = decode(data)
            if isinstance(gap, Gap) and gap.kind == "trade":
                found[gap.instrument].gaps.append((gap.venue, gap.from_ts, gap.to_ts))
    return dict(found)


class Revision:
    """Revises the bars of one store."""

    def __init__(self, store: Store, facts: Callable[[str], VenueFacts], rules: RevisionRules, taped: Taped) -> None:
        self._store = store
        self._facts = facts
        self._rules = rules
        self._taped = taped

    async def bars(self, instrument: str, repairs: Repairs, now_ts: int) -> list[Bar]:
        """Returns the bars of an instrument that repairs have changed, by their time. Raises `HistoryError`."""
        horizon_ts = await self._horizon(instrument, now_ts)
        opens = touched(repairs, horizon_ts, self._rules.tolerance_ns)
        recorded: dict[BarKey, Bar] = {}
        for timeframe in list(opens):
            bars = await self._recorded(instrument, timeframe, opens[timeframe])
            there = [open_ts for _, _, open_ts in bars]
            opens[timeframe] = {one: venues for one, venues in opens[timeframe].items() if there and min(there) <= one <= max(there)}
            if opens[timeframe]:
                recorded |= bars
            else:
                del opens[timeframe]
        if not opens:
            return []
        ranges = union((one, close_of(timeframe, one)) for timeframe, some in opens.items() for one in some)
        intervals = Intervals(sorted(opens, key=TIMEFRAMES.index))
        for from_ts, to_ts in ranges:
            async for event in events(self._store, Query(kind="trade", instrument=instrument, from_ts=from_ts, to_ts=to_ts)):
                if isinstance(event, Trade):
                    intervals.add(event)
        completeness = await self._completeness(instrument, ranges, intervals)
        return ChangedBars(instrument, opens, recorded, intervals, completeness, horizon_ts, now_ts).bars()

    async def _horizon(self, instrument: str, now_ts: int) -> int:
        """Return the moment (ns) up to which bars are history: as the aggregator does, by the clock and by the newest trade."""
        async for event in events(self._store, Query(kind="trade", instrument=instrument, limit=1)):
            if isinstance(event, Trade):
                return min(now_ts, counts_at(event.venue_ts, event.received_ts)) - self._rules.history_ns - SETTLED_NS
        return 0

    async def _recorded(self, instrument: str, timeframe: str, opens: Iterable[int]) -> dict[BarKey, Bar]:
        """Return the bars around these intervals, of each the highest revision that is recorded or on the tape."""
        length = LENGTHS.get(timeframe, 28 * DAY)
        ordered, follow = sorted(opens), max(DAY, FOLLOWED * length)
        found: dict[BarKey, Bar] = {}
        for from_ts, to_ts in union((one - length, close_of(timeframe, one) + follow) for one in ordered):
            query = Query(kind="bar", instrument=instrument, timeframe=timeframe, from_ts=max(0, from_ts), to_ts=to_ts)
            async for event in events(self._store, query):
                if isinstance(event, Bar) and event.closed:
                    _keep_newest(found, event)
        if found:  # else no bars of this timeframe are built
            for bar in await self._taped(instrument, timeframe):
                if bar.closed and ordered[0] - length <= bar.open_ts <= ordered[-1] + follow:
                    _keep_newest(found, bar)
        return found

    async def _completeness(self, instrument: str, ranges: list[Range], intervals: Intervals) -> Completeness:
        """Read what is known of the trades in these ranges."""
        from_ts, to_ts = ranges[0][0], ranges[-1][1]
        widen_ns = self._rules.tolerance_ns
        selection = Selection(kinds=("trade",), instrument=instrument, from_ts=max(0, from_ts - widen_ns), to_ts=to_ts + widen_ns)
        gaps: dict[str, list[Range]] = defaultdict(list)
        findings = await examine(self._store, selection, self._facts, tolerance_ns=widen_ns)
        for gap in findings.gaps:
            gaps[gap.feed.venue].append((gap.from_ts, gap.to_ts))
        for trade in intervals.unusable:
            ts = counts_at(trade.venue_ts, trade.received_ts)
            gaps[trade.venue].append((ts, ts))
        lives: dict[str, FeedLife] = defaultdict(lambda: FeedLife(self._rules.tolerance_ns))
        queries = (
            Query(kind="status", instrument=instrument, to_ts=to_ts + STATUS_NS),
            Query(kind="status", instrument=VENUE_WIDE, from_ts=from_ts, to_ts=to_ts + STATUS_NS),
        )
        for query in queries:
            async for event in events(self._store, query):
                if isinstance(event, Status) and event.venue != CONSOLIDATED:
                    lives[event.venue].note(event)
        for life in lives.values():
            life.sort()
        venues = {*intervals.venues, *(venue for venue, life in lives.items() if life.is_known)}
        since = {venue: await self._since(instrument, venue, from_ts) for venue in sorted(venues)}
        return Completeness(gaps, since, lives, tolerance_ns=self._rules.tolerance_ns)

    async def _since(self, instrument: str, venue: str, from_ts: int) -> int:
        """Return from when on the trades of a venue are in the history: 0 if one is from before the time that is looked at."""
        async for _ in events(self._store, Query(kind="trade", instrument=instrument, venue=venue, to_ts=from_ts, limit=1)):
            return 0
        async for table in self._store.read(Query(kind="trade", instrument=instrument, venue=venue, from_ts=from_ts)):
            if len(table):
                first: Any = table.column("ts")[0].as_py()
                return int(first)
        return from_ts  # it has never traded


def _keep_newest(bars: dict[BarKey, Bar], bar: Bar) -> None:
    key = bar.venue, bar.timeframe, bar.open_ts
    if key not in bars or bars[key].revision < bar.revision:
        bars[key] = bar
