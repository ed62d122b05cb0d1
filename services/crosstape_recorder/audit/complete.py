"""Audits `complete` of windows: it must not be true while a condition that the recording shows does not hold.

That a window is not complete is never wrong: an aggregator says so also if it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from crosstape_recorder.audit.feed_states import DOWN, LIVE, FeedStates
from crosstape_recorder.audit.findings import Check
from crosstape_recorder.audit.moments import Moment
from crosstape_recorder.audit.rules import SECOND, Rules
from crosstape_recorder.audit.windows import Windows
from crosstape_schemas import VENUE_WIDE, Cbbo, FeedState, Gap, Trade

MOST: Final = 5_000
"""Gaps that are kept; the oldest are dropped."""
GONE_NS: Final = 86_400 * SECOND
"""A venue that has been silent for a day is not waited for."""
BLIND: Final = frozenset({FeedState.DOWN, FeedState.CONNECTING})

Key = tuple[str, int, int]


class _Gap(NamedTuple):
    opened_ms: int
    repaired_ms: int | None


class Complete:
    """The gaps of trades of one instrument, and which venues trade it."""

    def __init__(self, rules: Rules, states: Mapping[str, FeedStates]) -> None:
        self._rules = rules
        self._states = states
        self._gaps: dict[Key, _Gap] = {}
        self._traded: dict[str, int] = {}  # venue → `received_ts` of its newest trade

    def trade(self, trade: Trade) -> None:
        """Note that a venue trades the instrument."""
        self._traded[trade.venue] = trade.received_ts

    def gap(self, ms: int, gap: Gap) -> None:
        """Apply a gap of the instrument's trades, or of a venue as a whole."""
        if gap.kind not in {"trade", VENUE_WIDE}:
            return
        key = gap.venue, gap.from_ts, gap.to_ts
        if gap.repaired:
            if (known := self._gaps.get(key)) is not None:
                self._gaps[key] = known._replace(repaired_ms=ms)
        else:
            self._gaps[key] = _Gap(ms, None)
            if len(self._gaps) > MOST:
                del self._gaps[next(iter(self._gaps))]

    def open_gaps(self, at: Moment, venue: str | None = None) -> list[Key]:
        """Return the gaps that were surely known at a moment, and surely not repaired."""
        return [
            key
            for key, one in self._gaps.items()
            if one.opened_ms < at.sure_ms
            and (one.repaired_ms is None or one.repaired_ms > at.most_ms)
            and (venue is None or key[0] == venue)
        ]

    def take(self, check: Check, quote: Cbbo, at: Moment, windows: Windows) -> None:
        """Audit the flags of one quote."""
        complete = [name for name, vwap in quote.vwap.items() if vwap.complete]
        check.exactly(len(quote.vwap) - len(complete))
        if not complete:
            return
        legs = {leg.venue for leg in quote.legs}
        gaps = [(key, key[2] // SECOND) for key in self.open_gaps(at) if key[0] in legs] if self._gaps else []
        blind = [text for venue, ts in self._traded.items() if (text := self._blind(venue, ts, at))]
        for name in complete:
            start = windows.start_s(name)
            found = [f"gap of {venue} from {from_ts} to {to_ts}" for (venue, from_ts, to_ts), last_s in gaps if last_s >= start] + blind
            check.holds(not found, f"vwap.{name}.complete", "true", f"false: {'; '.join(found)}", exact=False)

    def _blind(self, venue: str, traded_ts: int, at: Moment) -> str:
        """Return why trades of a venue may be missing, if that is sure; empty: it is not."""
        states = self._states.get(venue)
        if states is None or not states.is_known(at) or at.ts - traded_ts > GONE_NS:
            return ""
        venues = states.venue.between(at.sure_ms, at.most_ms)
        if any(one is None or one.stopped for one in venues):
            return ""
        feeds = states.feeds.between(at.sure_ms, at.most_ms)
        if any(one is not None and one.listing is DOWN for one in feeds):
            return ""  # halted: it is not waited for
        if all(one is not None and one.state in BLIND for one in venues):
            return f"{venue} is not connected"
        trades = states.trades.between(at.sure_ms, at.most_ms)
        epochs = {one.epoch for one in venues if one is not None}
        if all(one is not None and one.state is not LIVE and {one.epoch} == epochs for one in trades):
            return f"the feed of trades of {venue} is not live"
        return ""
