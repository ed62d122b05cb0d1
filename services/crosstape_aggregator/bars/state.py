"""Defines what bars need from the rest of the aggregator, and what a checkpoint keeps of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple, Protocol

from crosstape_aggregator.bars.series import SeriesState
from crosstape_aggregator.windows.coverage import MissingRange


class Feeds(Protocol):
    """What is known of the feeds of trades in one instrument."""

    read: bool
    """Whether all trades, gaps and venue-wide events have been read and applied up to nearly now."""
    read_from_ts: int
    """The moment (ns) before which trades were trimmed that had to be read; 0 = none were."""

    @property
    def confirmed_ts(self) -> int:
        """The moment (ns) that has passed by more than our clock: no interval that ends later is closed."""

    def trading(self) -> Collection[str]:
        """Return the venues that trade the instrument."""

    def is_live(self, venue: str) -> bool:
        """Whether the venue's feed of trades is live now."""

    def known_since(self, venue: str, now: int) -> int | None:
        """Return the moment (ns) from which on no trade of a venue can be missing without a gap; None: one may be missing now."""


class BarCounts:
    """Counts since the start, by timeframe. `metrics.exporter` exports them."""

    __slots__ = ("late", "revised")

    def __init__(self) -> None:
        self.revised: Counter[str] = Counter()
        """Bars published again after they were closed."""
        self.late: Counter[str] = Counter()
        """Trades of intervals that closed more than `bar_history_s` ago, which count in no bar."""


class BarsState(NamedTuple):
    """The state of `InstrumentBars` at one moment, for a checkpoint: plain data that is never changed later."""

    closed_until: dict[str, int]
    """Timeframe → the moment (ns) up to which all its intervals are closed; 0: none was closed yet."""
    dropped_until: dict[str, int]
    """Timeframe → the moment (ns) up to which all its intervals are history: trades for them are only counted."""
    newest_ts: int
    """The newest moment (ns) that a trade counts at."""
    series: list[SeriesState]
    gaps: tuple[MissingRange, ...]
    until_ts: int
    """Trades up to this moment (ns) may be missing for ever."""
    since: dict[str, int]
    """Venue → the moment (ns) at which its trades begin on the tape; 0: before those that were read."""
