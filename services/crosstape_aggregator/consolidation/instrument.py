"""Applies the events of one instrument to its legs and windows. Pure; the caller passes the time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from crosstape_aggregator.bars.state import BarsState
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.consolidated_quote import ConsolidatedQuote
from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.leg import VenueLeg
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.consolidation.rules import Rules
from crosstape_aggregator.consolidation.sinks import BookSink, TradeSink
from crosstape_aggregator.consolidation.traders import Traders
from crosstape_aggregator.windows.coverage import CoverageState
from crosstape_aggregator.windows.vwap import TradeWindows, WindowsState
from crosstape_schemas import (
    VENUE_WIDE,
    Book,
    Cbbo,
    Event,
    FeedState,
    Gap,
    Quote,
    Status,
    Trade,
)
from crosstape_schemas.amounts import AnyNumber
from crosstape_schemas.trade_time import counts_at

_LEG_KINDS: Final = frozenset({"quote", "book", VENUE_WIDE})


class InstrumentState(NamedTuple):
    """The state of one instrument that a checkpoint keeps: its windows and bars, up to one id of each of its streams."""

    windows: WindowsState
    coverage: CoverageState
    numbers: dict[str, tuple[int, int]]
    """Venue → epoch and `seq` of its last trade."""
    received_ts: int
    bars: BarsState | None = None
    """None: it had no bars."""


class ConsolidatedInstrument:
    """Holds the legs and the trades of all venues in one instrument.

    The trades of every venue count in the windows, even while the leg of the venue does not count in the quote: a trade is a fact, a quote
    is an offer. The bus delivers each event exactly once, so no duplicates are removed here. Backfilled trades count in the second in which
    they happened.
    """

    __slots__ = (
        "_counts", "_last_trades", "_legs", "_received_ts", "_rules", "_venues", "bars", "depth", "edges", "legs", "name", "quote", "read",
        "read_from_ts", "traders", "windows",
    )  # fmt: skip

    def __init__(self, name: str, rules: Rules, venues: Liveness, counts: Counts, now: int) -> None:
        self.name = name
        self.legs: list[VenueLeg] = []
        """The legs, sorted by venue."""
        self.windows = TradeWindows(rules.windows, now // SECOND)
        self.read = False
        """Whether all of its trades and gaps, and the venue-wide events, have been read and applied up to nearly now."""
        self.read_from_ts = 0
        """The moment (ns) before which trades were trimmed that had to be read; 0 = none were."""
        self.bars: TradeSink | None = None
        self.depth: BookSink | None = None
        self.edges: BookSink | None = None
        self._rules = rules
        self._venues = venues
        self._counts = counts
        self._legs: dict[str, VenueLeg] = {}
        self.traders = Traders(name, venues)
        self._last_trades = self.traders.last
        self._received_ts = 0
        self.quote = ConsolidatedQuote(name, self.legs, self.windows, rules, venues)

    def apply(self, event: Event, now: int) -> bool:
        """Apply one event. Returns whether it may change the consolidated quote. Kinds that do not matter here are ignored."""
        apply = APPLY.get(event.__class__)
        return apply is not None and apply(self, event, now)

    def touch(self, received_ts: int) -> None:
        """Keep `received_ts` of the newest event that may change this instrument's quote."""
        if received_ts > self._received_ts:  # noqa: PLR1730 — `max` costs three times as much, per event
            self._received_ts = received_ts

    def consolidate(self, now: int) -> Cbbo | None:
        """Compute the consolidated quote as of `now` (ns), without epoch and `seq`; None if it equals the last one."""
        quote = self.quote.compute(self._received_ts, now)
        if self.depth is not None:
            self.depth.judged(now)
        if self.edges is not None:
            self.edges.judged(now)
        return quote

    def sample_paces(self, now: int) -> None:
        """Measure how long the legs' feeds are usually silent."""
        for leg in self.legs:
            leg.sample(now)

    def known_from(self, second: int) -> None:
        """Note that all trades from `second` on (since the epoch) have been applied, so windows that start later can be complete."""
        self.windows.coverage.known_from(second)
        self.windows.coverage_changed()

    def open_gap(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Note that trades of a venue are missing between these moments (ns)."""
        self.windows.coverage.open_gap(venue, from_ts, to_ts)
        self.windows.coverage_changed()
        if self.bars is not None:
            self.bars.missing(venue, from_ts, to_ts)

    def unknown_until(self, ts: int) -> None:
        """Note that trades up to this moment (ns) may be missing and will not be recovered; 0 = none are."""
        self.windows.coverage.unknown_until(ts)
        self.windows.coverage_changed()
        if self.bars is not None:
            self.bars.unknown_until(ts)

    @property
    def confirmed_ts(self) -> int:
        """The moment (ns) that has passed by more than our clock, see `Liveness.confirmed_ts`."""
        return self._venues.confirmed_ts

    def trading(self) -> Collection[str]:
        """Return the venues that trade the instrument."""
        return self.traders.venues()

    def is_live(self, venue: str) -> bool:
        """Whether a venue's feed of trades is live now."""
        return self.traders.is_live(venue)

    def known_since(self, venue: str, now: int) -> int | None:
        """Return the moment (ns) from which on no trade of a venue can be missing without a gap; None: one may be missing now."""
        from_s = self.windows.coverage.from_s
        since = self.traders.known_since(venue, now)
        return None if from_s is None or since is None else max(from_s * SECOND, since)

    def look(self, now: int) -> bool:
        """Update whether trades may be missing: the streams must have been `read`, and `traders` must miss none.

        Returns whether the windows that are published change by this.
        """
        coverage = self.windows.coverage
        before = coverage.complete_since_s
        known = self.traders.known(coverage, now) and self.read
        changed = self.windows.trust(known)
        if coverage.complete_since_s != before:
            self.windows.coverage_changed()
            changed = True
        return changed

    def state(self) -> InstrumentState | None:
        """Copy the state for a checkpoint; None while it is not known since when trades are complete."""
        coverage = self.windows.coverage.state()
        if coverage is None:
            return None
        bars = self.bars.state() if self.bars is not None else None
        return InstrumentState(self.windows.state(), coverage, self.traders.numbers(), self._received_ts, bars)

    def restore(self, state: InstrumentState, at: int) -> None:
        """Continue from the state of a checkpoint. `at`: the moment (ns) up to which venue-wide events are in it.

        The caller then applies the trades since the checkpoint, and calls `known_from`.
        """
        self.windows.restore(state.windows)
        self.windows.coverage.restore(state.coverage)
        self.traders.restore(state.numbers, at)
        self.touch(state.received_ts)
        if self.bars is not None and state.bars is not None:
            self.bars.restore(state.bars)

    def _leg(self, venue: str) -> VenueLeg:
        leg = self._legs.get(venue)
        if leg is None:
            liveness = self._venues.venue(venue)
            liveness.instruments.add(self.name)
            leg = self._legs[venue] = VenueLeg(liveness)
            self.legs[:] = sorted(self._legs.values(), key=_venue)
        return leg

    def _admitted(self, event: Event, now: int) -> VenueLeg | None:
        """Return the leg that an event belongs to; None when the event is of an earlier epoch, which is counted."""
        if not self._venues.admits(self._venues.venue(event.venue), event, now):
            self._counts.outdated[event.venue] += 1
            return None
        return self._leg(event.venue)

    def _quote(self, quote: Quote[AnyNumber], now: int) -> bool:
        leg = self._legs.get(quote.venue)
        if leg is None or quote.epoch != leg.liveness.epoch:
            leg = self._admitted(quote, now)
            if leg is None:
                return False
        leg.quote(quote)
        received_ts = quote.received_ts
        if received_ts > self._received_ts:  # noqa: PLR1730 — as `touch`, without the call
            self._received_ts = received_ts
        return True

    def _book(self, book: Book, now: int) -> bool:
        leg = self._admitted(book, now)
        if leg is None:
            return False
        used = leg.book(book)
        for sink in (self.depth, self.edges):
            if sink is not None:
                leg.last_book = book
                sink.book(now)
        if not used:
            return False
        self.touch(book.received_ts)
        return True

    def _status(self, status: Status, now: int) -> bool:
        if status.kind == "trade":
            return self._trade_status(status, now)
        if status.kind not in _LEG_KINDS:
            return False
        leg = self._admitted(status, now)
        if leg is None:
            return False
        leg.status(status)
        if status.kind == VENUE_WIDE:
            self.traders.apply_listing(status)
        self.touch(status.received_ts)
        return True

    def _trade_status(self, status: Status, now: int) -> bool:
        if not self.traders.apply_feed(status, now):
            self._counts.outdated[status.venue] += 1
            return False
        if status.state is FeedState.LIVE or not self.look(now):
            return False  # a feed that became live is applied at the next look: its gaps may arrive later than this status
        self.touch(status.received_ts)
        return True

    def _trade(self, trade: Trade, now: int) -> bool:
        venue, received_ts = trade.venue, trade.received_ts
        if venue not in self._last_trades:
            self.traders.add_venue(venue)
        second = counts_at(trade.venue_ts, received_ts) // SECOND  # as `trade_second`, without the call
        if second + 1 < received_ts // SECOND:  # it was received after its second and the next one had ended
            self._counts.late[venue] += 1
            self._late_trade(trade, now)
        elif self.traders.late:
            self.traders.on_time(trade)
        self._last_trades[venue] = trade
        self.touch(received_ts)
        windows = self.windows
        windows.advance(now // SECOND)
        if windows.add(second, trade.price, trade.size):
            if self.bars is not None:
                self.bars.trade(trade, now)
            return True
        self._counts.unusable[venue] += 1
        self.open_gap(venue, second * SECOND, second * SECOND)
        return True

    def _late_trade(self, trade: Trade, now: int) -> None:
        """Handle a trade that published windows lacked. If it was received live, more late trades may follow."""
        wrong_until = self.traders.came_late(trade, self._rules.clock_tolerance_ns)
        if wrong_until:
            self.unknown_until(wrong_until)
        self.look(now)

    def _gap(self, gap: Gap, now: int) -> bool:
        if gap.kind not in {"trade", VENUE_WIDE}:
            return False
        self.touch(gap.received_ts)
        if gap.repaired:
            self.windows.coverage.close_gap(gap.venue, gap.from_ts, gap.to_ts)
            self.windows.coverage_changed()
            if self.bars is not None:
                self.bars.found(gap.venue, gap.from_ts, gap.to_ts)
        else:
            self.open_gap(gap.venue, gap.from_ts, gap.to_ts)
        return True


def _venue(leg: VenueLeg) -> str:
    return leg.venue


APPLY: Final[dict[type[Event], Callable[[ConsolidatedInstrument, Any, int], bool]]] = {
    Quote: ConsolidatedInstrument._quote,
    Book: ConsolidatedInstrument._book,
    Status: ConsolidatedInstrument._status,
    Trade: ConsolidatedInstrument._trade,
    Gap: ConsolidatedInstrument._gap,
}
"""What `ConsolidatedInstrument.apply` does with each kind of event."""
