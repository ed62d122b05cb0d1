"""The seam of what is computed for all instruments beside their consolidated quotes: bars, consolidated books, edges."""

from __future__ import annotations

from typing import Protocol

from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument
from crosstape_schemas import Event


class Output(Protocol):
    """Computes the events of one kind for all instruments of a shard. Pure; the caller passes the time."""

    def add(self, instrument: ConsolidatedInstrument, now: int) -> None:
        """Track one more instrument: set its `bars`, `depth` or `edges`."""

    def due(self, now: int, limit: int) -> list[Event]:
        """Compute the events that are due, of `limit` instruments at most, without epoch and `seq`."""

    def next_ts(self) -> int | None:
        """Return when (ns) to call `due` next if no event is applied; 0 = at once, None: only after an event."""
