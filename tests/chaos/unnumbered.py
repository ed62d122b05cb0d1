"""The rule of trades without ids: each trade of the market is there once and unchanged, or a `gap` covers its time.

One is known by its time, price, size and side; which of several that are the same came does not matter, nor whether all came that were
made at the time of the first or the last. Their order is not checked. A frame of them that cannot be read is counted, and nothing on the
tape shows what was in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from crosstape_schemas import Gap, Side, Trade
from tests.chaos.true_market import TrueInstrument
from tests.chaos.units import unit_ns
from tests.chaos.violations import Violation

Content = tuple[int, object, object, Side | None]
"""Time in the venue's units, price, size, taker."""


class UnnumberedTrades:
    """Checks the trades of one instrument of one venue. The face is that of `Trades`."""

    def __init__(self, true: TrueInstrument, *, transit_ns: int, skews_ns: Collection[int], are_unread: bool = False) -> None:
        """`transit_ns`: how long a trade may be under way; `skews_ns`: how wrong the venue's clock may be, or 0. `are_unread`: some cannot
        be read, so that it is not checked which are missing.
        """
        self._true = true
        self._transit_ns = transit_ns
        self._skews_ns = skews_ns
        self._are_unread = are_unread
        self._unit_ns = unit_ns(true.venue)
        self._where = f"trades of {true.instrument} at {true.venue}"
        self._known: dict[Content, list[int]] = defaultdict(list)  # content → ids in the market that have not come
        self._last = 0  # id up to which the market is in `_known`
        self._came: set[int] = set()
        self._all: set[Content] = set()
        self._gaps: list[Gap] = []

    def begins_at(self, number: int) -> None:
        """The tape began with this trade. Where there are no ids, nobody can say so."""

    def gap(self, gap: Gap) -> None:
        """Note a gap in this instrument's trades."""
        self._gaps.append(gap)

    def reads_on(self) -> None:
        """Learn the market's new trades."""
        new: list[int] = []
        for number in reversed(self._true.trades):
            if number <= self._last:
                break
            new.append(number)
        for number in reversed(new):
            true = self._true.trades[number]
            content = true.ts // self._unit_ns, true.price, true.size, true.taker
            self._known[content].append(number)
            self._all.add(content)
            self._last = number

    def take(self, trade: Trade) -> Iterator[Violation]:
        """The next on the tape."""
        where = f"{self._where}, epoch {trade.epoch} seq {trade.seq}"
        contents = [(((trade.venue_ts or 0) - skew) // self._unit_ns, trade.price, trade.size, trade.taker) for skew in self._skews_ns]
        for content in contents:
            if self._known.get(content):
                self._came.add(self._known[content].pop(0))
                return
        was = any(content in self._all for content in contents)
        what = "a trade is there again" if was else "a trade never was"
        yield Violation(what, where, "once" if was else "none", (trade.venue_ts, trade.price, trade.size))

    def done(self) -> Iterator[Violation]:
        """Check at the end of the tape that no trade between the first and the last is missing."""
        if not self._came or self._are_unread:
            return
        first, last = (self._true.trades[number].ts for number in (min(self._came), max(self._came)))
        lacking = [true for number, true in self._true.trades.items() if first < true.ts < last and number not in self._came]
        if missing := [true.id for true in lacking if not self._is_covered(true.ts)]:
            yield Violation("trades are missing", self._where, f"{len(missing)}, or gaps", missing[:3])

    def _is_covered(self, ts: int) -> bool:
        return any(gap.from_ts - self._transit_ns <= ts <= gap.to_ts for gap in self._gaps)
