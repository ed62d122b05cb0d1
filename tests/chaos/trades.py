"""The rule of trades: from the first on the tape on, each of the market is there exactly once, as it was, or a published `gap` tells it.

The venues number each instrument's trades without a hole, so what is missing is seen in the trades alone. A hole is what an id jumps over
when it comes. The gaps of an instrument's trades whose `to_ts` lies after the trade before the hole and not after the one behind it (both
by `received_ts`) must count exactly the hole, and the missing must have happened within them. A trade of a hole may still come, marked
`backfilled`; any other that is not the next is one too many. A gap that tells of no hole counts wrongly too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from crosstape_schemas import Gap, Trade
from tests.chaos.true_market import TrueInstrument
from tests.chaos.violations import Violation

UNIT_NS: Final = {"binance": 1_000_000}
"""In what a venue tells times; the others in µs."""


class Hole(NamedTuple):
    """Trades from `first` up to before `end` did not come between what was received at these times."""

    first: int
    end: int
    after_ts: int
    before_ts: int


class Trades:
    """One instrument of one venue."""

    def __init__(self, true: TrueInstrument, *, transit_ns: int, skews_ns: Collection[int]) -> None:
        """`transit_ns`: how long a trade may be under way; `skews_ns`: how wrong the venue's clock may be, 0 among them."""
        self._true = true
        self._where = f"trades of {true.instrument} at {true.venue}"
        self._transit_ns = transit_ns
        self._skews_ns = skews_ns
        self._next = 0
        self._begun_ts = 0
        self._newest_ts = 0
        self._holes: list[Hole] = []
        self._open: set[int] = set()  # what is missing of all holes
        self._gaps: list[Gap] = []

    def begins_at(self, number: int) -> None:
        """The tape is known to have begun with this trade, whether it is still there or not."""
        self._next = self._next or number

    def gap(self, gap: Gap) -> Iterator[Violation]:
        """One of this instrument's trades."""
        if gap.missed is None:
            yield Violation("a gap does not count", f"{self._where}, to_ts {gap.to_ts}", "a number", None)
        self._gaps.append(gap)

    def take(self, trade: Trade) -> Iterator[Violation]:
        """The next on the tape."""
        number = int(trade.trade_id)
        where = f"{self._where}, id {number}"
        yield from self._compare(trade, number, where)
        if not self._next:
            self._next, self._begun_ts = number, trade.received_ts
        if number >= self._next:
            if number > self._next:
                self._holes.append(Hole(self._next, number, self._newest_ts, trade.received_ts))
                self._open.update(range(self._next, number))
            self._next = number + 1
            self._newest_ts = trade.received_ts
        elif number in self._open:
            self._open.remove(number)
            if not trade.backfilled:
                yield Violation("a late trade is not marked", where, "backfilled", "not backfilled")
        else:
            yield Violation("a trade is there again", where, "once", "more than once")

    def _compare(self, trade: Trade, number: int, where: str) -> Iterator[Violation]:
        true = self._true.trades.get(number)
        if true is None:
            yield Violation("a trade never was", where, "none", trade.price)
            return
        if (trade.price, trade.size, trade.taker) != (true.price, true.size, true.taker):
            said = (trade.price, trade.size, trade.taker)
            yield Violation("a trade is not as it was", where, (true.price, true.size, true.taker), said)
        unit = UNIT_NS.get(self._true.venue, 1_000)
        times = [(true.ts + skew) // unit * unit for skew in self._skews_ns]
        if trade.venue_ts not in times:
            yield Violation("a trade has another time", where, times, trade.venue_ts)

    def done(self) -> Iterator[Violation]:
        """At the end: whether holes and gaps agree."""
        untold = list(self._gaps)
        for hole in self._holes:
            where = f"{self._where}, ids {hole.first} to {hole.end - 1}"
            gaps = [gap for gap in untold if hole.after_ts < gap.to_ts <= hole.before_ts]
            untold = [gap for gap in untold if gap not in gaps]
            counted = sum(gap.missed or 0 for gap in gaps)
            if counted != hole.end - hole.first:
                yield Violation("trades are missing", where, f"{hole.end - hole.first} told by gaps", f"{counted} told")
                continue
            first_ts = min(gap.from_ts for gap in gaps) - self._transit_ns
            last_ts = max(gap.to_ts for gap in gaps)
            for number in range(hole.first, hole.end):
                true = self._true.trades.get(number)
                if true is not None and not first_ts <= true.ts <= last_ts:
                    yield Violation("a missing trade lies outside its gap", f"{where}: {number}", (first_ts, last_ts), true.ts)
        for gap in untold:
            if self._begun_ts < gap.to_ts <= self._newest_ts:  # what is missing behind the last trade shows with the next
                yield Violation("a gap tells of nothing", f"{self._where}, to_ts {gap.to_ts}", "0 missing", gap.missed)
