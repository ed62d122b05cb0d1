"""Decides which instruments have bars to publish, and when. Pure; the caller passes the time.

- A changed bar that is open: `bar_interval_s` after the open bars of its instrument were last published.
- Bars that close: `bar_grace_s` after the end of an interval, those of all instruments. They are many at once, so the caller takes a part
  of them each time, and this is their queue.
- Bars of instruments that wait, because their streams are not read up to now or a feed is not known: every `RETRY_NS`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from crosstape_aggregator.bars.instrument_bars import InstrumentBars
from crosstape_aggregator.bars.rules import BarRules
from crosstape_aggregator.bars.state import BarCounts
from crosstape_aggregator.clocks import SECOND
from crosstape_schemas import Event
from crosstape_schemas.timeframes import close_of, open_of

if TYPE_CHECKING:
    from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument

RETRY_NS: Final = SECOND
IDLE: Final = 8
"""Most instruments for each event that the caller wants: many may have none."""
OPEN_COST: Final = 4
"""An open bar counts as this many events: while the caller wants few events, open bars are published less often than quotes."""


class BarOutput:
    """The bars of all instruments of a shard."""

    def __init__(self, rules: BarRules, counts: BarCounts) -> None:
        self._counts = counts
        self._rules = rules
        self._all: list[InstrumentBars] = []
        self._closing: deque[InstrumentBars] = deque()
        self._open: deque[InstrumentBars] = deque()
        self._debt = 0  # what the open bars that were published last have cost more than the limit
        self._heap: list[tuple[int, int, InstrumentBars]] = []  # (moment, number, instrument with changed open bars)
        self._waiting: list[InstrumentBars] = []
        self._retry_ts = 0
        self._number = 0  # so that a heap never compares instruments
        self._now = 0
        self._boundary_ts = 0  # when the next interval closes

    def add(self, instrument: ConsolidatedInstrument, now: int) -> None:
        """Track one more instrument, from now on."""
        bars = instrument.bars = InstrumentBars(instrument.name, self._rules, instrument, self._counts, self._wake)
        self._all.append(bars)

    def due(self, now: int, limit: int) -> list[Event]:
        """Compute the bars that are due, about `limit` at most, but all those of an instrument; those that close first."""
        self._advance(now)
        events: list[Event] = []
        for _ in range(min(len(self._closing), limit * IDLE)):
            if len(events) >= limit:
                return events
            self._due(self._closing.popleft(), now, events)
        self._debt = max(0, self._debt - limit)
        while self._open and not self._debt and len(events) < limit:
            before = len(events)
            self._due(self._open.popleft(), now, events)
            self._debt += (len(events) - before) * OPEN_COST
        return events

    def _due(self, bars: InstrumentBars, now: int, events: list[Event]) -> None:
        bars.queued = False
        events += bars.due(now)
        if bars.waits:
            if not self._waiting:
                self._retry_ts = now + RETRY_NS
            self._waiting.append(bars)

    def next_ts(self) -> int | None:
        """Return when (ns) to call `due` next if no event is applied; 0 = at once, None: there are no instruments."""
        if self._closing or self._open:
            return 0
        if not self._all:
            return None
        moments = [self._boundary_ts]
        if self._heap:
            moments.append(self._heap[0][0])
        if self._waiting:
            moments.append(self._retry_ts)
        return min(moments)

    def _wake(self, bars: InstrumentBars, now: int) -> None:
        """Make an instrument due when the interval since its last open bars is over."""
        self._number += 1
        heappush(self._heap, (max(now, bars.published_ts + self._rules.interval_ns), self._number, bars))

    def _advance(self, now: int) -> None:
        """Queue the instruments that are due by the time `now`."""
        is_back, self._now = now < self._now, now
        if is_back:  # our clock was set back: what waits for a moment would wait too long
            _queue(self._open, (bars for _, _, bars in self._heap))
            self._heap.clear()
        while self._heap and self._heap[0][0] <= now:
            _queue(self._open, (heappop(self._heap)[2],))
        if self._waiting and (is_back or now >= self._retry_ts):
            _queue(self._closing, self._waiting)
            self._waiting.clear()
        if is_back or now >= self._boundary_ts:
            ts, grace_ns = now - self._rules.grace_ns, self._rules.grace_ns
            self._boundary_ts = min(close_of(name, open_of(name, ts)) for name in self._rules.timeframes) + grace_ns
            _queue(self._closing, self._all)


def _queue(queue: deque[InstrumentBars], instruments: Iterable[InstrumentBars]) -> None:
    for bars in instruments:
        if not bars.queued:
            bars.queued = True
            queue.append(bars)
