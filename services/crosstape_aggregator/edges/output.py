"""Publishes edges: what opens or closes at once, changes of open ones when they are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.schedule import Schedule
from crosstape_aggregator.edges.instrument_edges import InstrumentEdges
from crosstape_aggregator.edges.rules import EdgeRules
from crosstape_schemas import Edge, EdgeChange, Event

if TYPE_CHECKING:
    from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument


class EdgeOutput:
    """Computes the edges of all instruments of a shard. It is an `Output`.

    Edges open and close when a quote is computed. These events wait for the next call of `due`, which follows in the same turn, so there
    are no more of them than pairs of venues of the instruments of one turn.
    """

    def __init__(self, rules: EdgeRules, counts: Counts) -> None:
        self._rules = rules
        self._counts = counts
        self._schedule = Schedule(rules.interval_ns)
        self._edges: dict[str, InstrumentEdges] = {}
        self._opened_or_closed: list[Edge] = []

    def add(self, instrument: ConsolidatedInstrument, now: int) -> None:
        """Track one more instrument."""
        edges = InstrumentEdges(instrument, self._rules, self._schedule, self._opened_or_closed)
        self._edges[instrument.name] = instrument.edges = edges

    def due(self, now: int, limit: int) -> list[Event]:
        """Return the edges that have opened or closed, then those of `limit` instruments at most that have changed and are due."""
        schedule = self._schedule
        found = list(self._opened_or_closed)
        self._opened_or_closed.clear()
        for name in schedule.advance(now):
            schedule.mark(name, now)
        for name in schedule.due(limit):
            changed = self._edges[name].changed(now)
            if changed:
                schedule.published(name, now)
                found += changed
        for edge in found:
            self._counts.edges[edge.change] += 1
            self._counts.open_edges += _OPENED.get(edge.change, 0)
        return list(found)

    def next_ts(self) -> int | None:
        """Return when (ns) to call `due` next if no event is applied; 0 = at once, None: only after an event."""
        return 0 if self._opened_or_closed else self._schedule.next_ts()


_OPENED = {EdgeChange.OPEN: 1, EdgeChange.CLOSE: -1}
