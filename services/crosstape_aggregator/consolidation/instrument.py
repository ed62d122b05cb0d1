"""One instrument: events in, consolidated quotes out. Pure state; time comes in as a value."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from decimal import Decimal, Inexact
from typing import Any, Final, NamedTuple

import msgspec

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.best import best, outliers
from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.leg import VenueLeg
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.consolidation.suspects import most_overdue
from crosstape_aggregator.consolidation.traders import Traders
from crosstape_aggregator.decimals import usable
from crosstape_aggregator.windows.coverage import CoverageState
from crosstape_aggregator.windows.vwap import TradeWindows, WindowsState, trade_second
from crosstape_aggregator.windows.window import WindowSpec, parse_all
from crosstape_schemas import (
    CONSOLIDATED,
    VENUE_WIDE,
    Book,
    Cbbo,
    Event,
    Exclusion,
    FeedState,
    Gap,
    Leg,
    Market,
    Quote,
    Status,
    Trade,
    Vwap,
)

_LEG_KINDS: Final = frozenset({"quote", "book", VENUE_WIDE})


class Rules(msgspec.Struct, frozen=True):
    """The settings that an instrument is judged by; durations in ns."""

    stale_ns: int
    settle_ns: int
    clock_tolerance_ns: int
    outlier_bps: Decimal
    windows: tuple[WindowSpec, ...]

    @staticmethod
    def of(settings: AggregatorSettings) -> Rules:
        """Raises `SettingsError` when a window is none."""
        return Rules(
            stale_ns=round(settings.stale_s * SECOND),
            settle_ns=round(settings.settle_s * SECOND),
            clock_tolerance_ns=round(settings.clock_tolerance_s * SECOND),
            outlier_bps=settings.outlier_bps,
            windows=parse_all(settings.windows),
        )


class InstrumentState(NamedTuple):
    """What an instrument's trades and gaps have come to, up to some place on their streams: what a checkpoint keeps of it."""

    windows: WindowsState
    coverage: CoverageState
    numbers: dict[str, tuple[int, int]]
    """Venue → epoch and `seq` of its last trade."""
    received_ts: int


class ConsolidatedInstrument:
    """All venues' quotes and trades of one instrument.

    Every venue's trades count in the windows, whether or not its leg counts in the quote: a trade has happened, a quote is a promise.
    The bus gives each event exactly once; nothing is deduplicated here. Backfilled trades count like any other, when they happened.
    """

    __slots__ = (
        "_counts",
        "_crossed",
        "_last_trades",
        "_legs",
        "_legs_shown",
        "_phase",
        "_received_ts",
        "_rules",
        "_suspicion_ts",
        "_venues",
        "_vwap",
        "legs",
        "name",
        "read",
        "spread_bps",
        "traders",
        "windows",
    )

    def __init__(self, name: str, rules: Rules, venues: Liveness, counts: Counts, now: int) -> None:
        self.name = name
        self.legs: list[VenueLeg] = []
        """In the order of the venues' names."""
        self.spread_bps: Decimal | None = None
        """As last consolidated; None: a side is missing."""
        self.windows = TradeWindows(rules.windows, now // SECOND)
        self.read = False
        """All that there is on its streams of trades and gaps, and on the venues' own, has been taken, up to nearly now."""
        self._rules = rules
        self._venues = venues
        self._counts = counts
        self._legs: dict[str, VenueLeg] = {}
        self.traders = Traders(name, venues)
        self._last_trades = self.traders.last
        self._received_ts = 0
        self._crossed = False
        self._suspicion_ts: int | None = None  # while crossed: when a leg becomes suspect
        self._legs_shown: tuple[Leg, ...] = ()
        self._vwap: dict[str, Vwap] = {}
        # All windows of all instruments roll at the same moment. So that this is no burst once a second, each instrument has its own moment
        # within the second at which it looks whether the passing of time alone has changed its windows.
        self._phase = zlib.crc32(name.encode()) % SECOND

    def apply(self, event: Event, now: int) -> bool:
        """Take one event; whether the consolidated quote may be another for it. Other kinds than those that matter here are let pass."""
        apply = _APPLY.get(type(event))
        return apply is not None and apply(self, event, now)

    def touch(self, received_ts: int) -> None:
        """Something concerning a whole venue was received, which may change this instrument's quote."""
        if received_ts > self._received_ts:  # noqa: PLR1730 — `max` costs three times as much, per event
            self._received_ts = received_ts

    def consolidate(self, now: int) -> Cbbo | None:
        """The consolidated quote as of `now`, unstamped; None when it says what the last one said."""
        rules = self._rules
        faults = [leg.fault(now, rules.stale_ns) for leg in self.legs]
        good = [leg for leg, fault in zip(self.legs, faults, strict=True) if fault is None]
        out = outliers(good, rules.outlier_bps) if len(good) > 2 else ()
        for leg, fault in zip(self.legs, faults, strict=True):
            leg.judge(Exclusion.OUTLIER if leg.venue in out else fault, now, rules.settle_ns)
        legs = tuple([leg.show() for leg in self.legs])
        vwap = self.windows.read(now // SECOND)
        if legs == self._legs_shown and not self._crossed and (vwap is self._vwap or vwap == self._vwap):
            return None
        counting = [leg for leg in self.legs if leg.excluded is None]
        found = best(counting)
        self._crossed = found.market is Market.CROSSED
        if self._crossed:
            if self._exclude_suspects(counting, now):
                found = best(counting)
                self._crossed = found.market is Market.CROSSED
                legs = tuple([leg.show() for leg in self.legs])
            if legs == self._legs_shown and vwap == self._vwap:
                return None
        self._legs_shown = legs
        self._vwap = vwap
        self.spread_bps = found.spread_bps
        return Cbbo(
            venue=CONSOLIDATED,
            instrument=self.name,
            venue_ts=None,
            received_ts=self._received_ts,
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
        """Take the legs that are probably dead out of those that count in a crossed market, the most overdue first; whether there were any.

        While events wait to be read, silences cannot be told: everybody seems to be silent.
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

    def sample_paces(self, now: int) -> None:
        """Learn how long the legs' feeds are usually silent."""
        for leg in self.legs:
            leg.sample(now)

    def next_ts(self) -> int | None:
        """When the quote, as last consolidated, may change by the passing of time alone: a leg goes stale or has settled, a window rolls
        on.
        """
        rules = self._rules
        moments = [ts for leg in self.legs if (ts := leg.next_ts(rules.stale_ns, rules.settle_ns)) is not None]
        if self._crossed and self._suspicion_ts is not None:
            moments.append(self._suspicion_ts)
        second = self.windows.next_change_s()
        if second is not None:
            moments.append(second * SECOND + self._phase)
        return min(moments, default=None)

    def known_from(self, second: int) -> None:
        """All trades from this second on have been seen."""
        self.windows.coverage.known_from(second)
        self.windows.learned()

    def open_gap(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Trades of a venue are missing between these moments."""
        self.windows.coverage.open_gap(venue, from_ts, to_ts)
        self.windows.learned()

    def unknown_until(self, ts: int) -> None:
        """Nothing up to then can be relied on; 0: that is not so."""
        self.windows.coverage.unknown_until(ts)
        self.windows.learned()

    def look(self, now: int) -> bool:
        """Find out whether its trades can be relied on: all that there is has been `read`, and `traders` miss none. Whether the windows say
        something else for it.
        """
        coverage = self.windows.coverage
        before = coverage.complete_since_s
        known = self.traders.known(coverage, now) and self.read
        changed = self.windows.trust(known)
        if coverage.complete_since_s != before:
            self.windows.learned()
            changed = True
        return changed

    def state(self) -> InstrumentState | None:
        """What its trades and gaps have come to; None while it is not known since when."""
        coverage = self.windows.coverage.state()
        if coverage is None:
            return None
        return InstrumentState(self.windows.state(), coverage, self.traders.numbers(), self._received_ts)

    def restore(self, state: InstrumentState, at: int) -> None:
        """Go on from there. `at`: up to when venues as a whole were heard for it. `known_from` says, later, that what has come since is
        there, too.
        """
        self.windows.restore(state.windows)
        self.windows.coverage.restore(state.coverage)
        self.traders.restore(state.numbers, at)
        self.touch(state.received_ts)

    def _leg(self, venue: str) -> VenueLeg:
        leg = self._legs.get(venue)
        if leg is None:
            liveness = self._venues.venue(venue)
            liveness.instruments.add(self.name)
            leg = self._legs[venue] = VenueLeg(liveness)
            self.legs = sorted(self._legs.values(), key=_venue)
        return leg

    def _admitted(self, event: Event, now: int) -> VenueLeg | None:
        """The leg that an event is for; None when the event is of a past start of the venue's connector."""
        if not self._venues.admits(self._venues.venue(event.venue), event, now):
            self._counts.outdated[event.venue] += 1
            return None
        return self._leg(event.venue)

    def _quote(self, quote: Quote, now: int) -> bool:
        leg = self._legs.get(quote.venue)
        if leg is None or quote.epoch != leg.liveness.epoch:
            leg = self._admitted(quote, now)
            if leg is None:
                return False
        leg.quote(quote)
        self.touch(quote.received_ts)
        return True

    def _book(self, book: Book, now: int) -> bool:
        leg = self._admitted(book, now)
        if leg is None or not leg.book(book):
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
            self.traders.listing(status)
        self.touch(status.received_ts)
        return True

    def _trade_status(self, status: Status, now: int) -> bool:
        if not self.traders.feed(status, now):
            self._counts.outdated[status.venue] += 1
            return False
        if status.state is FeedState.LIVE or not self.look(now):
            return False  # good news waits for the next look: gaps that belong to it may come after it
        self.touch(status.received_ts)
        return True

    def _trade(self, trade: Trade, now: int) -> bool:
        venue = trade.venue
        if venue not in self._last_trades:
            self.traders.begin(venue)
        second = trade_second(trade)
        if second + 1 < trade.received_ts // SECOND:  # its second and the complete one that followed were over
            self._counts.late[venue] += 1
            self._late_trade(trade, now)
        elif self.traders.late:
            self.traders.on_time(trade)
        self._last_trades[venue] = trade
        self.touch(trade.received_ts)
        self.windows.advance(now // SECOND)
        if usable(trade.price, trade.size):
            try:
                self.windows.add(second, trade.price, trade.size)
            except Inexact:
                pass  # each number is short enough, their product is not
            else:
                return True
        self._counts.unusable[venue] += 1
        self.open_gap(venue, second * SECOND, second * SECOND)
        return True

    def _late_trade(self, trade: Trade, now: int) -> None:
        """Windows published since it was made lacked it. If it was received live, others may be on their way."""
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
            self.windows.learned()
        else:
            self.open_gap(gap.venue, gap.from_ts, gap.to_ts)
        return True


def _venue(leg: VenueLeg) -> str:
    return leg.venue


_APPLY: Final[dict[type[Event], Callable[[ConsolidatedInstrument, Any, int], bool]]] = {
    Quote: ConsolidatedInstrument._quote,
    Book: ConsolidatedInstrument._book,
    Status: ConsolidatedInstrument._status,
    Trade: ConsolidatedInstrument._trade,
    Gap: ConsolidatedInstrument._gap,
}
