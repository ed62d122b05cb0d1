"""The rule of succession: where consolidated quotes of an instrument go on under another epoch, a gap of that epoch says that nobody
computed meanwhile. It ends with the first new quote, and begins with the last one before, or earlier if the server lost that one.
"""

from __future__ import annotations

from collections.abc import Iterator

from crosstape_schemas import CONSOLIDATED, Cbbo, Gap
from tests.chaos.tape import Entry
from tests.chaos.violations import Violation


class Succession:
    """Checks the successions of all instruments."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[str, int], Gap] = {}  # (instrument, epoch) → the first gap of its quotes
        self._last: dict[str, tuple[int, int]] = {}  # instrument → epoch and `ts` of its newest quote

    def gap(self, gap: Gap) -> None:
        """Any gap, before the quotes that follow it."""
        if gap.venue == CONSOLIDATED and gap.kind == "cbbo":
            self._gaps.setdefault((gap.instrument, gap.epoch), gap)

    def take(self, entry: Entry, quote: Cbbo) -> Iterator[Violation]:
        """The next quote of its instrument."""
        before = self._last.get(quote.instrument)
        self._last[quote.instrument] = quote.epoch, quote.ts
        if before is None or quote.epoch == before[0]:
            return
        gap = self._gaps.pop((quote.instrument, quote.epoch), None)
        found = None if gap is None else (gap.from_ts, gap.to_ts)
        if found is None or not (found[0] <= before[1] and found[1] == quote.ts):
            where = f"{entry.stream} {entry.id}, epoch {quote.epoch}"
            yield Violation("a time without an aggregator is no gap", where, f"from {before[1]} to {quote.ts}", found)
