"""Computes the consolidated quote of one instrument from its legs and windows, and the time when it must be computed again."""

from __future__ import annotations

import zlib
from decimal import Decimal

from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.best import best, outliers
from crosstape_aggregator.consolidation.leg import VenueLeg
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.consolidation.rules import Rules
from crosstape_aggregator.consolidation.suspects import most_overdue
from crosstape_aggregator.windows.vwap import TradeWindows
from crosstape_schemas import CONSOLIDATED, Cbbo, Exclusion, Leg, Market, Vwap


class ConsolidatedQuote:
    """Computes the quotes of one instrument. `legs` is sorted by venue; the instrument adds new legs to this same list."""

    __slots__ = (
        "_legs", "_legs_shown", "_name", "_phase", "_rules", "_suspicion_ts", "_venues", "_vwap", "_windows", "crossed", "spread_bps",
    )  # fmt: skip

    def __init__(self, name: str, legs: list[VenueLeg], windows: TradeWindows, rules: Rules, venues: Liveness) -> None:
        self.spread_bps: Decimal | None = None
        """Spread of the last quote in basis points; None: a side is missing."""
        self._name = name
        self._legs = legs
        self._windows = windows
        self._rules = rules
        self._venues = venues
        self.crossed = False
        """Whether the best bid over the legs that count is above the best ask."""
        self._suspicion_ts: int | None = None  # while crossed: when a leg becomes suspect
        self._legs_shown: tuple[Leg, ...] = ()
        self._vwap: dict[str, Vwap] = {}
        # The windows of all instruments roll at the same moment of each second. To spread this work, each instrument has its own moment
        # within the second (ns) at which its windows are computed again if only the time has changed.
        self._phase = zlib.crc32(name.encode()) % SECOND

    def compute(self, received_ts: int, now: int) -> Cbbo | None:
        """Compute the quote as of `now`, without epoch and `seq`; None if it equals the last one. `received_ts`: of the newest event."""
        rules, all_legs = self._rules, self._legs
        faults = [leg.fault(now, rules.stale_ns) for leg in all_legs]
        good = [leg for leg, fault in zip(all_legs, faults, strict=True) if fault is None]
        out = outliers(good, rules.outlier_bps) if len(good) > 2 else ()
        for leg, fault in zip(all_legs, faults, strict=True):
            leg.judge(Exclusion.OUTLIER if leg.venue in out else fault, now, rules.settle_ns)
        legs = tuple([leg.show() for leg in all_legs])
        vwap = self._windows.read(now // SECOND)
        if legs == self._legs_shown and not self.crossed and (vwap is self._vwap or vwap == self._vwap):
            return None
        counting = [leg for leg in all_legs if leg.excluded is None]
        found = best(counting)
        self.crossed = found.market is Market.CROSSED
        if self.crossed:
            if self._exclude_suspects(counting, now):
                found = best(counting)
                self.crossed = found.market is Market.CROSSED
                legs = tuple([leg.show() for leg in all_legs])
            if legs == self._legs_shown and vwap == self._vwap:
                return None
        self._legs_shown = legs
        self._vwap = vwap
        self.spread_bps = found.spread_bps
        return Cbbo(
            venue=CONSOLIDATED,
            instrument=self._name,
            venue_ts=None,
            received_ts=received_ts,
            ts=now,
            bid_price=found.bid_price,
            bid_size=found.bid_size,
            bid_venues=found.bid_venues,
            ask_price=found.ask_price,
            ask_size=found.ask_size,
            ask_venues=found.ask_venues,
            mid=found.mid,
            spread=found.spread,
            spread_bps=found.spread_bps,
            market=found.market,
            venues=len(counting),
            vwap=vwap,
            legs=legs,
        )

    def _exclude_suspects(self, counting: list[VenueLeg], now: int) -> bool:
        """Exclude the legs of a crossed market that are probably dead, the most overdue first. Returns whether any was excluded.

        None is excluded while the process is behind: events wait to be read then, so every feed seems to be silent.
        """
        self._suspicion_ts = None
        count = len(counting)
        while not self._venues.behind and (worst := most_overdue(counting, now)) is not None:
            if worst.ratio < 1:
                self._suspicion_ts = now + max(1, round(worst.left_ns))
                break
            worst.leg.suspect(now)
            counting.remove(worst.leg)
        return len(counting) < count

    def next_ts(self) -> int | None:
        """Return when (ns) the last quote may change without an event: a leg goes stale or has settled, or a window rolls. None: never."""
        rules = self._rules
        moments = [ts for leg in self._legs if (ts := leg.next_ts(rules.stale_ns, rules.settle_ns)) is not None]
        if self.crossed and self._suspicion_ts is not None:
            moments.append(self._suspicion_ts)
        second = self._windows.next_change_s()
        if second is not None:
            moments.append(second * SECOND + self._phase)
        return min(moments, default=None)
