"""The checker: what is on a tape against what truly happened. Of our code it knows the schemas, and nothing else.

It reads streams (`tape`) and the truth (`true_market`) itself and says what is wrong (`violations`) by thirteen rules, each a module whose
docstring is the rule: `numbering`, `trades`, `unnumbered`, `books`, `candles`, `figures`, `liquidations`, `consolidated`, `succession`,
`legs`, `windows`, `bars`, `progress`. It can be fed piece by piece, for as long as one likes.

    checker = Checker(market.of, Bounds())
    entries = await follower.more()
    await market.more()                     # after the tape: all that is on it has happened
    violations = [*checker.take(entries), *checker.done(now)]
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from crosstape_schemas import (
    CANDLE,
    KIND_OF,
    VENUE_WIDE,
    Book,
    Candle,
    Cbbo,
    FeedState,
    Funding,
    Gap,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Trade,
)
from tests.chaos.bars import Bars
from tests.chaos.books import Limits, Prices
from tests.chaos.candles import Candles
from tests.chaos.consolidated import Consolidated
from tests.chaos.figures import Figures
from tests.chaos.legs import Legs
from tests.chaos.liquidations import Liquidations
from tests.chaos.numbering import Numbering
from tests.chaos.order import Order
from tests.chaos.progress import Progress
from tests.chaos.succession import Succession
from tests.chaos.tape import Entry
from tests.chaos.trades import Trades
from tests.chaos.true_market import TrueInstrument
from tests.chaos.units import WITHOUT_IDS
from tests.chaos.unnumbered import UnnumberedTrades
from tests.chaos.violations import Violation
from tests.chaos.windows import Windows

PRICES: Final = ("quote", "book")
TIMEFRAMES: Final = ("1s", "1m", "5m")
"""Of candles that are checked."""


class Bounds(NamedTuple):
    """The limits within which a tape counts as right, in seconds: how long things may take, and what is wrong with the venue on purpose."""

    transit_s: float = 2.0
    """How much later than others that are sent with it a thing may come: how slow this machine is, the others say, too."""
    answer_s: float = 10.0
    """Longest time from the moment that a REST answer describes to its receipt."""
    fresh_s: float = 10.0
    """How long prices that are over may stand as live: until a watchdog can have noticed, or the server is back."""
    detect_s: float = 10.0
    """The stated detection time: how long a leg may count whose venue's market has moved on without it."""
    traded_s: float = 10.0
    """How late a trade may be in a window that is marked complete. Later, the missing trades must have been reported."""
    settled_s: float = 4.0
    """How long after a trade is on the tape its closed bar may lack it."""
    still_s: float = 20.0
    """How long nothing at all may happen: in a venue's market, on its part of the tape, among consolidated quotes."""
    unread: bool = False
    """Whether frames or rows are unreadable on purpose: of trades without ids, nothing then shows which are missing."""
    skews_s: tuple[float, ...] = ()
    """Errors that the venue's clock may have, besides none."""


class Checker:
    """Checks one tape against one true market."""

    def __init__(
        self, market: Mapping[tuple[str, str], TrueInstrument], bounds: Bounds, *, consolidated: bool = False, windows: bool = False
    ) -> None:
        """`market`: by (venue, instrument); it must be known up to the newest of what is taken. `consolidated`: an aggregator runs;
        `windows`: it consolidates no other venues than these, so that it is known whose trades are in its windows and bars.
        """
        limits = Limits(
            round(bounds.transit_s * 1e9),
            round(bounds.answer_s * 1e9),
            round(bounds.fresh_s * 1e9),
            (0, *(round(skew * 1e9) for skew in bounds.skews_s)),
        )
        self._numbering = Numbering()
        self._consolidated = Consolidated({venue for venue, _ in market})
        self._succession = Succession()
        self._legs = Legs(market, detect_ns=round(bounds.detect_s * 1e9), transit_ns=limits.transit_ns)
        self._windows = Windows(market, late_ns=round(bounds.traded_s * 1e9)) if windows else None
        late_ns, settle_ns = round(bounds.traded_s * 1e9), round(bounds.settled_s * 1e9)
        self._bars = Bars(market, settle_ns=settle_ns, late_ns=late_ns, skewed=bool(bounds.skews_s)) if windows else None
        self._progress = Progress(market, still_ns=round(bounds.still_s * 1e9), consolidated=consolidated)
        self._orders: dict[str, Order] = defaultdict(Order)
        self.trades: dict[tuple[str, str], Trades | UnnumberedTrades] = {
            key: UnnumberedTrades(true, transit_ns=limits.transit_ns, skews_ns=limits.skews_ns, are_unread=bounds.unread)
            if key[0] in WITHOUT_IDS
            else Trades(true, transit_ns=limits.transit_ns, skews_ns=limits.skews_ns)
            for key, true in market.items()
        }
        self._candles = {
            (*key, timeframe): Candles(true, timeframe, answer_ns=limits.answer_ns)
            for key, true in market.items()
            for timeframe in TIMEFRAMES
        }
        self._figures = {key: Figures(true, fresh_ns=limits.fresh_ns) for key, true in market.items()}
        self._liquidations = {
            key: Liquidations(true, transit_ns=limits.transit_ns, skews_ns=limits.skews_ns) for key, true in market.items()
        }
        self.prices = {(*key, kind): Prices(true, kind, self._orders[key[0]], limits) for key, true in market.items() for kind in PRICES}

    def take(self, entries: list[Entry], trimmed: Collection[str] = ()) -> Iterator[Violation]:
        """Check the new entries. `trimmed`: streams whose oldest entries were removed before they could be read.

        A gap must be in the same call as the trades that follow it, or in an earlier one. Trades that a gap reports as repaired must
        come in the next call at the latest.
        """
        yield from self._progress.look()
        if self._windows is not None:
            self._windows.look()
        if self._bars is not None:
            yield from self._bars.take(entries)
        for trades in self.trades.values():
            trades.reads_on()
        statuses: dict[str, list[Status]] = defaultdict(list)
        prices: dict[tuple[str, str, str], list[Quote | Book]] = defaultdict(list)
        for entry in entries:
            self._orders[entry.event.venue].take(entry.event)
            match entry.event:
                case Gap(kind="trade", venue=venue, instrument=instrument) as gap if (venue, instrument) in self.trades:
                    self.trades[venue, instrument].gap(gap)
                case Gap(kind="liquidation", venue=venue, instrument=instrument) as gap if (venue, instrument) in self._liquidations:
                    self._liquidations[venue, instrument].gap(gap)
                case Gap(kind=kind, venue=venue, instrument=instrument) as gap if kind.startswith(CANDLE):
                    if (candles := self._candles.get((venue, instrument, kind.removeprefix(CANDLE)))) is not None:
                        candles.gap(gap)
                case Gap() as gap:
                    self._succession.gap(gap)
        for entry in entries:
            yield from self._numbering.take(entry, trimmed)
            self._progress.take(entry.event)
            event = entry.event
            where = event.venue, event.instrument
            match event:
                case Quote() | Book():
                    prices[(*where, KIND_OF[type(event)])].append(event)
                    self._consolidated.input(event)
                case Status():
                    statuses[event.venue].append(event)
                case Trade() if where in self.trades:
                    yield from self.trades[where].take(event)
                case Candle() if (*where, event.timeframe) in self._candles:
                    yield from self._candles[(*where, event.timeframe)].take(event)
                case Mark() | Funding() | OpenInterest() if where in self._figures:
                    yield from self._figures[where].take(event)
                case Liquidation() if where in self._liquidations:
                    yield from self._liquidations[where].take(event)
                case Cbbo():
                    yield from self._consolidated.take(entry, event)
                    yield from self._succession.take(entry, event)
                    yield from self._legs.take(event)
                    if self._windows is not None:
                        yield from self._windows.take(event)
        for of in statuses.values():
            of.sort(key=lambda status: status.received_ts)
        for key, feed in self.prices.items():
            yield from _merged(feed, prices[key], [status for status in statuses[key[0]] if _concerns(status, key)])

    def done(self, now: int | None = None) -> list[Violation]:
        """Check the end of the tape, which was last read at `now` (ns)."""
        now = time.time_ns() if now is None else now
        violations = [*self._progress.look(), *self._progress.done(now), *self._numbering.done()]
        for trades in self.trades.values():
            violations += trades.done()
        for prices in self.prices.values():
            violations += prices.done(now)
        for candles in self._candles.values():
            violations += candles.done(now)
        for liquidations in self._liquidations.values():
            violations += liquidations.done()
        if self._bars is not None:
            violations += self._bars.done(now)
        return violations

    @property
    def checked(self) -> dict[str, int]:
        """How many prices, candles, figures, liquidations, consolidated quotes, legs, complete windows and bars were compared."""
        counts = {kind: sum(prices.checked for key, prices in self.prices.items() if key[2] == kind) for kind in PRICES}
        return {
            **counts,
            "candle": sum(candles.checked for candles in self._candles.values()),
            "figure": sum(figures.checked for figures in self._figures.values()),
            "liquidation": sum(liquidations.checked for liquidations in self._liquidations.values()),
            "cbbo": self._consolidated.checked,
            "leg": self._legs.checked,
            "window": self._windows.checked if self._windows is not None else 0,
            "bar": self._bars.checked if self._bars is not None else 0,
            "complete bar": self._bars.complete if self._bars is not None else 0,
        }


def _concerns(status: Status, key: tuple[str, str, str]) -> bool:
    return status.instrument in (key[1], VENUE_WIDE) and status.kind in (key[2], VENUE_WIDE)


def _merged(feed: Prices, events: Sequence[Quote | Book], statuses: Sequence[Status]) -> Iterator[Violation]:
    """Events in their stream's order, each after the statuses that are older than it."""
    said = 0
    for event in events:
        while event.state is FeedState.LIVE and said < len(statuses) and statuses[said].received_ts < event.received_ts:
            yield from feed.status(statuses[said])
            said += 1
        yield from feed.take(event)
    for status in statuses[said:]:
        yield from feed.status(status)
