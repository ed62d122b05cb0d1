"""The seam of what follows one instrument beside its consolidated quote: its bars, its consolidated book, its edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from crosstape_aggregator.bars.state import BarsState
from crosstape_schemas import Bar, Trade


class TradeSink(Protocol):
    """Takes the trades of one instrument, in the order in which they are read, each once."""

    held: bool
    """Whether it must not publish yet, because it is not known what its predecessor has published."""

    def trade(self, trade: Trade, now: int) -> None:
        """Apply a trade of any venue, live or from the past."""

    def missing(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Note that trades of a venue (empty: of any venue) are missing between these moments (ns)."""

    def found(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Note that the trades between exactly these moments (ns) are there after all."""

    def unknown_until(self, ts: int) -> None:
        """Note that trades up to this moment (ns) may be missing and will not be recovered."""

    def published(self, bar: Bar) -> None:
        """Note a closed bar that is on the tape already. Called after `restore`, while it is held."""

    def release(self, unknown_until: Mapping[str, int], history_ts: int = 0) -> None:
        """End `held`: all that is on the tape is known, but what was published before these moments (timeframe → ns), or `history_ts`."""

    def state(self) -> BarsState:
        """Copy the state for a checkpoint."""

    def restore(self, state: BarsState) -> None:
        """Continue from the state of a checkpoint. Called before any other method but `held`."""


class BookSink(Protocol):
    """Learns of changes in the legs of one instrument. It reads the legs themselves, at the latest when its events are due."""

    def book(self, now: int) -> None:
        """Note that a leg has a newer `last_book`; it is of the venue's present epoch."""

    def judged(self, now: int) -> None:
        """Note that each leg's `excluded` and prices are those of a quote that was computed at `now`."""
