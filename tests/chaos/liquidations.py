"""The rule of liquidations: each that the venue sent is on the tape once and unchanged, or a gap of its feed covers it.

They have no ids: one is known by its time, price, size and side. Venues in `SOME` send only the newest of a time, so that nobody can say
what is missing there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from crosstape_schemas import Gap, Liquidation
from tests.chaos.true_market import TrueInstrument, TrueTrade
from tests.chaos.violations import Violation

SOME: Final = frozenset({"binance_usdm", "binance_coinm", "okx_swap"})
UNIT_NS: Final = 1_000_000
"""The unit of the venues' times."""


class Liquidations:
    """Checks the liquidations of one contract of one venue."""

    def __init__(self, true: TrueInstrument, *, transit_ns: int, skews_ns: Collection[int]) -> None:
        """`skews_ns`: how wrong the venue's clock may be, or 0."""
        self._true = true
        self._transit_ns = transit_ns
        self._skews_ns = skews_ns
        self._where = f"liquidations of {true.instrument} at {true.venue}"
        self._came: set[int] = set()  # ids in the market
        self._gaps: list[Gap] = []
        self.checked = 0

    def gap(self, gap: Gap) -> None:
        """Note a gap of the feed."""
        self._gaps.append(gap)

    def take(self, event: Liquidation) -> Iterator[Violation]:
        """The next on the tape."""
        self.checked += 1
        same = [true.id for true in self._true.liquidations.values() if self._is(event, true)]
        fresh = [number for number in same if number not in self._came]
        if fresh:
            self._came.add(fresh[0])
            return
        where = f"{self._where}, epoch {event.epoch} seq {event.seq}"
        what = "a liquidation is there again" if same else "a liquidation never was"
        yield Violation(what, where, "once" if same else "none", (event.venue_ts, event.price, event.size, event.taker))

    def done(self) -> Iterator[Violation]:
        """Check at the end of the tape that none is missing."""
        if not self._came or self._true.venue in SOME:
            return
        between = range(min(self._came), max(self._came))
        for true in self._true.liquidations.values():
            if true.id in between and true.id not in self._came and not self._is_covered(true.ts):
                yield Violation("a liquidation is missing", self._where, f"{true.id} of {true.ts}, or a gap", None)

    def _is(self, event: Liquidation, true: TrueTrade) -> bool:
        if (event.price, event.size) != (true.price, true.size) or event.taker not in (None, true.taker):
            return False
        return event.venue_ts is None or any(abs(event.venue_ts - true.ts - skew) <= UNIT_NS for skew in self._skews_ns)

    def _is_covered(self, ts: int) -> bool:
        return any(gap.from_ts - self._transit_ns <= ts <= gap.to_ts for gap in self._gaps)
