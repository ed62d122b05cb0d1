"""Holds the closed bars of one instrument that are on the tape, until they have been compared with those that are built here."""

from __future__ import annotations

from collections.abc import Sequence

from crosstape_aggregator.bars.series import SeriesState, record_of
from crosstape_schemas import Bar


class Taped:
    """What the tape has. Timeframes are given by their index in the rules."""

    __slots__ = ("_bars",)

    def __init__(self) -> None:
        self._bars: dict[tuple[int, str, int], Bar] = {}  # (timeframe, venue, open_ts) → the highest revision

    def add(self, index: int, bar: Bar) -> None:
        """Add a bar, in any order of revisions."""
        key = index, bar.venue, bar.open_ts
        if key not in self._bars or self._bars[key].revision < bar.revision:
            self._bars[key] = bar

    def has(self, index: int, venue: str, open_ts: int) -> bool:
        """Whether there is a bar."""
        return (index, venue, open_ts) in self._bars

    def opens(self, index: int) -> set[int]:
        """Return the intervals of which there is a bar."""
        return {open_ts for one, _, open_ts in self._bars if one == index}

    def take(self, index: int, venue: str, open_ts: int) -> Bar | None:
        """Return a bar and forget it; None: there is none."""
        return self._bars.pop((index, venue, open_ts), None)

    def drop(self, until: Sequence[int]) -> None:
        """Drop the bars that open before these moments (ns) of each timeframe."""
        if self._bars:
            self._bars = {key: bar for key, bar in self._bars.items() if key[2] >= until[key[0]]}

    def added_to(self, states: list[SeriesState], dropped_until: Sequence[int]) -> list[SeriesState]:
        """Return the series with these bars, for a checkpoint."""
        if not self._bars:
            return states
        closed = {(one.timeframe, one.venue): dict(one.closed) for one in states}
        for (index, venue, open_ts), bar in self._bars.items():
            if open_ts >= dropped_until[index]:
                records = closed.setdefault((bar.timeframe, venue), {})
                if open_ts not in records or records[open_ts].revision <= bar.revision:
                    records[open_ts] = record_of(bar)
        of = {(one.timeframe, one.venue): one for one in states}
        new = [SeriesState(*key, [], [], None) for key in closed.keys() - of.keys()]
        return [one._replace(closed=list(closed[one.timeframe, one.venue].items())) for one in (*states, *new)]
