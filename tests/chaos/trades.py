"""The rule of trades: from the first on the tape on, each trade of the market is there exactly once and unchanged, or a `gap` reports it.

The venues number each instrument's trades without missing numbers, so the next trade is always known. A gap reports how many of the next
trades are missing. It is read before the trades that were received at its `to_ts` or later or, where a trade would otherwise not be the
next one, since its `from_ts`. Violations:

- a trade is not the next one, and no gap reported those between;
- a trade comes after a gap reported it as missing, and is not marked `backfilled`;
- any other trade that is not the next one.

Trades that a gap reports must have been made between its `from_ts`, less the time to get here (that of the trade before, and `transit_ns`),
and its `to_ts`.

If a venue's ids only increase, nobody can know what is missing: each trade is on the tape at most once and unchanged; gaps are not checked.

Ids that the market skipped never existed: nothing is missing, but a gap may count them, because nobody can know that at first. Such a gap
may be repaired without a trade, if the report says how many of the ids never existed (`nonexistent`).

A gap that is `repaired` reports trades that came later. With the times of an earlier gap it says that all its trades are there; with
narrower times, that this many are. Together they report no more trades than came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Gap, Trade
from tests.chaos.true_market import TrueInstrument
from tests.chaos.units import unit_ns
from tests.chaos.violations import Violation
from tests.connector.venues.cases import trade_cases


class Trades:
    """Checks the trades of one instrument of one venue."""

    def __init__(self, true: TrueInstrument, *, transit_ns: int, skews_ns: Collection[int]) -> None:
        """`transit_ns`: how much longer than the one before it a trade may take; `skews_ns`: how wrong the venue's clock may be, or 0."""
        self._true = true
        self._is_numbered = VENUES[true.venue].trade_ids == "contiguous"
        self._where = f"trades of {true.instrument} at {true.venue}"
        self._transit_ns = transit_ns
        self._skews_ns = skews_ns
        self._late_ns = 0  # how long the newest was under way
        self._next = 0
        self._told: set[int] = set()  # ids that gaps reported as missing, and that have not come
        self._gaps: deque[Gap] = deque()  # not read yet: nothing has been received since
        self._missing: list[tuple[Gap, range]] = []  # each gap, with the ids that it reported
        self._repairs: list[Gap] = []
        self._fresh: list[Gap] = []
        self._came = 0  # trades that came after a gap had reported them as missing

    def begins_at(self, number: int) -> None:
        """The tape is known to have begun with this trade, whether it is still there or not."""
        self._next = self._next or number

    def gap(self, gap: Gap) -> None:
        """Apply a gap in this instrument's trades, before the trades that follow it."""
        (self._fresh if gap.repaired else self._gaps).append(gap)

    def reads_on(self) -> None:
        """Note that the streams are read again: trades reported as repaired in the last reading must have come by now."""
        self._repairs += self._fresh
        self._fresh = []

    def take(self, trade: Trade) -> Iterator[Violation]:
        """The next on the tape."""
        number = int(trade.trade_id)
        where = f"{self._where}, id {number}"
        yield from self._compare(trade, number, where)
        while self._gaps and self._gaps[0].to_ts <= trade.received_ts:
            yield from self._apply(self._gaps.popleft())
        while self._next and number > self._next and self._gaps and self._gaps[0].from_ts <= trade.received_ts:
            yield from self._apply(self._gaps.popleft())  # it ends later than it had to
        if not self._next:
            self._next = number
        if number in self._told:
            self._told.remove(number)
            self._came += 1
            if not trade.backfilled:
                yield Violation("a gap tells too much", where, "missing, or backfilled", "there, as if nothing had been")
        elif number < self._next:
            yield Violation("a trade is there again", where, "once", "more than once")
        elif self._is_numbered and (missing := [one for one in range(self._next, number) if not self._true.never_was(one)]):
            yield Violation("trades are missing", where, f"{len(missing)} told by gaps", f"{missing[0]} to {missing[-1]} are not told")
        self._next = max(self._next, number + 1)
        if not trade.backfilled and (true := self._true.trades.get(number)) is not None:
            self._late_ns = max(0, trade.received_ts - true.ts)

    def done(self) -> Iterator[Violation]:
        """Check at the end of the tape that every trade reported as repaired is there, if the report was not in the last reading."""
        for repair in self._repairs:
            where = f"{self._where}, repaired from {repair.from_ts} to {repair.to_ts}"
            around = [told for told in self._missing if told[0].from_ts <= repair.from_ts <= repair.to_ts <= told[0].to_ts]
            same = [missing for gap, missing in around if (gap.from_ts, gap.to_ts) == (repair.from_ts, repair.to_ts)]
            if not around:
                yield Violation("what was repaired was no gap", where, "a gap around it", None)
            if same and all(self._lacks(repair, missing) for missing in same):
                yield Violation("a gap is called repaired that is not", where, "all of it", [self._told.intersection(one) for one in same])
        never = sum(repair.nonexistent for repair in self._repairs)
        if never > (known := sum(map(self._true.never_was, self._told))):
            yield Violation("trades are called nonexistent that were", self._where, known, never)
        told = sum(repair.missed or 0 for repair in self._repairs) - never
        if told > self._came:
            yield Violation("more is told as repaired than came", self._where, self._came, told)

    def _lacks(self, repair: Gap, missing: range) -> bool:
        """Whether some trades of a gap have not come, and were not reported as never made."""
        lacking = self._told.intersection(missing)
        return len(lacking) > repair.nonexistent or not all(map(self._true.never_was, lacking))

    def _apply(self, gap: Gap) -> Iterator[Violation]:
        where = f"{self._where}, to_ts {gap.to_ts}"
        if gap.missed is None:
            if self._is_numbered:
                yield Violation("a gap does not count", where, "a number", None)
            return
        if not self._next:
            self._missing.append((gap, range(0)))
            return  # of before the tape
        missing = range(self._next, self._next + gap.missed)
        self._told.update(missing)
        self._missing.append((gap, missing))
        self._next = missing.stop
        for number in missing:
            true = self._true.trades.get(number)
            if self._true.never_was(number):
                continue
            if true is None or not gap.from_ts - self._late_ns - self._transit_ns <= true.ts <= gap.to_ts:
                happened = "never" if true is None else true.ts
                yield Violation("a missing trade lies outside its gap", f"{where}: {number}", (gap.from_ts, gap.to_ts), happened)

    def _compare(self, trade: Trade, number: int, where: str) -> Iterator[Violation]:
        true = self._true.trades.get(number)
        if true is None:
            yield Violation("a trade never was", where, "none", trade.price)
            return
        if (trade.price, trade.size, trade.taker) != (true.price, true.size, true.taker):
            said = (trade.price, trade.size, trade.taker)
            yield Violation("a trade is not as it was", where, (true.price, true.size, true.taker), said)
        venue = self._true.venue
        by_rest = trade_cases().get(venue) if trade.backfilled and not self._is_numbered else None
        unit = by_rest.unit_ns if by_rest is not None else unit_ns(venue)
        times = [(true.ts + skew) // unit * unit for skew in self._skews_ns]
        if trade.venue_ts not in times:
            yield Violation("a trade has another time", where, times, trade.venue_ts)
