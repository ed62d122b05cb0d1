"""The levels of a book, both sides: cut to the subscribed depth, and checked after each change. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.feeds.books.checks import BookChecks, Fault
from crosstape_connector.feeds.books.ladder import ImpossibleLevelError, Ladder
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.parsing.wire import ZERO
from crosstape_connector.venues.spec import BookRule
from crosstape_schemas import GapCause, Level

CROSSED: Final = Fault(GapCause.UNKNOWN, "crossed")

Top = tuple[list[Level], list[Level]]
"""The best levels of bids and of asks, best first."""


class BookLevels:
    """Both sides of one book. What changes them calls `settle` after that."""

    __slots__ = ("_checks", "_rule", "asks", "bids", "crossed", "depth", "held", "removed")

    def __init__(self, rule: BookRule, depth: int, checks: BookChecks) -> None:
        """`depth`: levels a side that were subscribed, for a venue that truncates. `checks`: counts what is checked here."""
        self.depth = depth
        self._rule = rule
        self._checks = checks
        self.clear()

    def clear(self) -> None:
        """Drop all levels."""
        self.bids = Ladder(best_last=True)
        self.asks = Ladder(best_last=False)
        self.removed: tuple[tuple[Level, ...], tuple[Level, ...]] = ((), ())
        """Bids and asks that the newest change pushed out of the depth, with size zero, as in an update."""
        self.held: tuple[tuple[Level, ...], tuple[Level, ...]] | None = None
        """Bids and asks of updates that crossed the book, which are not published yet."""
        self.crossed = 0
        """How many updates in a row have left the book crossed."""

    def hold(self, update: BookUpdate) -> bool:
        """Keep the changes of an update that crosses the book until the next one. False: too many in a row did."""
        if self.crossed >= self._rule.crossed_updates:
            return False
        self.crossed += 1
        bids, asks = self.held or ((), ())
        self.held = (*bids, *update.bids, *self.removed[0]), (*asks, *update.asks, *self.removed[1])
        return True

    def release(self, update: BookUpdate) -> BookUpdate:
        """Return an update with the changes that were held before it."""
        (bids, asks), self.held = self.held or ((), ()), None
        return msgspec.structs.replace(update, bids=(*bids, *update.bids), asks=(*asks, *update.asks))

    def replace(self, snapshot: BookSnapshot, *, drops: bool) -> Fault | None:
        """Take over a snapshot's levels. `drops`: keep none beyond what it shows. Returns why that is impossible, if it is."""
        try:
            self.bids = Ladder(snapshot.bids, best_last=True)
            self.asks = Ladder(snapshot.asks, best_last=False)
        except (ImpossibleLevelError, ArithmeticError):
            self._checks.impossible += 1
            return Fault(GapCause.UNKNOWN, "impossible level in the snapshot")
        if snapshot.limit is not None:
            for side, rows in ((self.bids, snapshot.bids), (self.asks, snapshot.asks)):
                if side.prices and len(rows) >= snapshot.limit:
                    side.edge, side.drops = side.prices[0 if side.best_last else -1], drops
        self.depth = snapshot.depth or self.depth
        self.held, self.crossed = None, 0
        return None

    def settle(self, checksum: int | None) -> Fault | None:
        """Cut the changed levels to the depth, and check them. `checksum`: the venue's, if it sent one. Returns the check that failed."""
        rule = self._rule
        bids, asks = self.bids, self.asks
        if rule.truncates:
            gone = bids.cut(self.depth), asks.cut(self.depth)
            self.removed = tuple((price, ZERO) for price in gone[0]), tuple((price, ZERO) for price in gone[1])
        if rule.checksum is not None and checksum is not None:
            if rule.checksum(bids.top(rule.checksum_levels), asks.top(rule.checksum_levels)) != checksum:
                self._checks.checksums_bad += 1
                return Fault(GapCause.CHECKSUM, "checksum")
            self._checks.checksums_ok += 1
        if bids.prices and asks.prices and bids.prices[-1] >= asks.prices[0]:
            self._checks.crossed += 1
            return CROSSED
        return None

    def top(self) -> Top:
        """Return the best levels that a checksum would prove."""
        levels = self._rule.checksum_levels
        return self.bids.top(levels), self.asks.top(levels)

    def has_top_of(self, snapshot: BookSnapshot) -> bool:
        """Whether the best levels of a snapshot are those of the book."""
        levels = self._rule.checksum_levels
        try:
            bids, asks = Ladder(snapshot.bids[:levels], best_last=True), Ladder(snapshot.asks[:levels], best_last=False)
        except (ImpossibleLevelError, ArithmeticError):
            return False
        return (bids.top(levels), asks.top(levels)) == self.top()

    def equal(self, other: BookLevels) -> bool:
        """Whether two books have the same levels."""
        return (self.bids.sizes, self.asks.sizes) == (other.bids.sizes, other.asks.sizes)
