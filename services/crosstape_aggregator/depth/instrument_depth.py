"""Computes the consolidated book of one instrument from the books of its legs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Inexact, InvalidOperation
from itertools import chain, islice

import msgspec

from crosstape_aggregator.consolidation.leg import VenueLeg
from crosstape_aggregator.consolidation.schedule import Schedule
from crosstape_aggregator.decimals import usable
from crosstape_aggregator.depth.book_leg import exclusion, show
from crosstape_aggregator.depth.merge import ASKS, BIDS, Cost, costs, merged
from crosstape_aggregator.depth.rules import DepthRules
from crosstape_schemas import CONSOLIDATED, Book, Depth, DepthLeg, DepthLevel, Sweep

_Side = tuple[tuple[DepthLevel, ...], Sequence[Cost]]
"""Best levels, and what each size costs."""


class InstrumentDepth:
    """Computes the consolidated books of one instrument. `legs` is sorted by venue; the instrument adds new legs to this same list."""

    __slots__ = ("_has_books", "_legs", "_name", "_published", "_rules", "_schedule", "_sizes")

    def __init__(self, name: str, legs: list[VenueLeg], rules: DepthRules, schedule: Schedule) -> None:
        self._name = name
        self._legs = legs
        self._rules = rules
        self._schedule = schedule
        self._sizes = rules.sizes_of(name)
        self._has_books = False
        self._published: tuple[DepthLeg, ...] = ()

    def book(self, now: int) -> None:
        """Note that a leg has a newer book."""
        self._has_books = True
        self._schedule.mark(self._name, now)

    def judged(self, now: int) -> None:
        """Make the book due if a leg has started or stopped to count, or the state of its feed of books has changed.

        An instrument without books publishes nothing.
        """
        if not self._has_books or self._name in self._schedule.changed:
            return
        stale_ns = self._rules.stale_ns
        if len(self._legs) != len(self._published) or any(
            leg.book_state is not shown.state or exclusion(leg, shown.state, now, stale_ns) is not shown.excluded
            for leg, shown in zip(self._legs, self._published, strict=True)
        ):
            self._schedule.mark(self._name, now)

    def compute(self, now: int) -> Depth | None:
        """Compute the book as of `now`, without epoch and `seq`; None if it equals the last one. Call it within `decimals.exact`."""
        legs = tuple([show(leg, now, self._rules.stale_ns) for leg in self._legs])
        if legs == self._published:
            return None
        self._published = legs
        books = [leg.last_book for leg, shown in zip(self._legs, legs, strict=True) if shown.excluded is None and leg.last_book is not None]
        try:
            (bids, sold), (asks, bought) = self._sides(books)
        except (Inexact, InvalidOperation):  # a number is too long to compute with, or no number: leave out the levels that have one
            (bids, sold), (asks, bought) = self._sides([_usable(book) for book in books])
        return Depth(
            venue=CONSOLIDATED,
            instrument=self._name,
            venue_ts=None,
            received_ts=max([leg.book_ts for leg in legs if leg.book_ts is not None], default=now),
            ts=now,
            bids=bids,
            asks=asks,
            levels=self._rules.levels,
            sweeps=tuple([Sweep(size, *buy, *sell) for size, buy, sell in zip(self._sizes, bought, sold, strict=True)]),
            legs=legs,
        )

    def stale_ts(self) -> int | None:
        """Return when (ns) a leg that counted in the last book may go stale; None: none counted."""
        last_ts = None
        for leg, shown in zip(self._legs, self._published, strict=True):
            ts = shown.book_ts
            if shown.excluded is None and ts is not None:
                alive_ts = leg.liveness.alive_ts
                if alive_ts > ts:  # noqa: PLR1730 — `max` costs three times as much
                    ts = alive_ts
                if last_ts is None or ts < last_ts:
                    last_ts = ts
        return None if last_ts is None else last_ts + self._rules.stale_ns

    def _sides(self, books: list[Book]) -> tuple[_Side, _Side]:
        """Merge the bids and the asks of the books."""
        bids = merged([(book.venue, book.bids) for book in books], BIDS)
        asks = merged([(book.venue, book.asks) for book in books], ASKS)
        return self._side(bids), self._side(asks)

    def _side(self, levels: Iterator[DepthLevel]) -> _Side:
        shown = tuple(islice(levels, self._rules.levels))
        if not self._sizes:
            return shown, []
        return shown, costs(chain(shown, levels), self._sizes)


def _usable(book: Book) -> Book:
    bids, asks = [tuple([level for level in side if usable(*level)]) for side in (book.bids, book.asks)]
    return msgspec.structs.replace(book, bids=bids, asks=asks)
