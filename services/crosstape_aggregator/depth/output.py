"""Publishes the consolidated books that are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.schedule import Schedule
from crosstape_aggregator.decimals import exact
from crosstape_aggregator.depth.instrument_depth import InstrumentDepth
from crosstape_aggregator.depth.rules import DepthRules
from crosstape_schemas import Event

if TYPE_CHECKING:
    from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument


class DepthOutput:
    """Computes the consolidated books of all instruments of a shard, each at most once per interval. It is an `Output`."""

    def __init__(self, rules: DepthRules, counts: Counts) -> None:
        self._rules = rules
        self._counts = counts
        self._schedule = Schedule(rules.interval_ns)
        self._depths: dict[str, InstrumentDepth] = {}

    def add(self, instrument: ConsolidatedInstrument, now: int) -> None:
        """Track one more instrument."""
        depth = InstrumentDepth(instrument.name, instrument.legs, self._rules, self._schedule)
        self._depths[instrument.name] = instrument.depth = depth

    def due(self, now: int, limit: int) -> list[Event]:
        """Compute the books that are due and differ from the last ones, of `limit` instruments at most, the longest due first."""
        schedule = self._schedule
        for name in schedule.advance(now):
            schedule.mark(name, now)
        names = schedule.due(limit)
        if not names:
            return []
        found: list[Event] = []
        with exact():
            for name in names:
                depth = self._depths[name]
                event = depth.compute(now)
                if event is not None:
                    schedule.published(name, now)
                    found.append(event)
                if (ts := depth.stale_ts()) is not None:
                    schedule.look_at(name, ts)
        self._counts.depths += len(found)
        return found

    def next_ts(self) -> int | None:
        """Return when (ns) to call `due` next if no event is applied; 0 = at once, None: only after an event."""
        return self._schedule.next_ts()
