"""How far a book is known behind its best prices, and how many levels its next snapshot is to have. Pure.

A snapshot by REST is cut behind so many levels a side. Later changes show levels beyond that edge, but not those between them: the book is
known up to the edge, and what is kept beyond it proves nothing. So a book keeps what is within the edge, and is renewed before the market
comes so near to it that fewer levels are left than are published. If the market jumps, the book is broken until it is renewed.

The fewer levels, the cheaper are memory and each snapshot, and the more often one is needed. How often depends on the market: a hundred
levels are 0.05 % of the price of one that everybody trades, and 1 to 30 % of most others. So each book begins with the smallest snapshot,
and gets the next larger one if that is `NARROW`, or must be renewed within `SHORT_NS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from crosstape_connector.feeds.books.ladder import Ladder
from crosstape_connector.feeds.clock_step import ClockStep

ROOM: Final = 4
"""A snapshot has at least so many times the levels that are published."""
NARROW: Final = 1_000
"""A snapshot whose edge is nearer to the best price than this part of it is renewed at once by a larger one."""
SHORT_NS: Final = 600_000_000_000
"""A snapshot that had to be renewed sooner was too small."""
LONG_NS: Final = 4 * 3_600_000_000_000
"""A snapshot that lasted longer was larger than it need be: one of half the width lasts a quarter of the time, or less."""


class KnownRange:
    """How far one book is known. `strict`: it has no levels beyond the edges, and is broken if not all that are published are known."""

    __slots__ = ("_begun_ts", "_choice", "_choices", "_is_narrow", "_is_roomy", "_limit", "depth", "renews", "strict")

    def __init__(self, choices: Sequence[int] = (), depth: int = 0, *, keeps_all: bool = False, renews: bool = True) -> None:
        """`choices`: levels a side that a snapshot by REST may have, ascending; empty: no choice. `depth`: those that are published.

        `keeps_all`: the changes are published, too, for readers that build their own book from them. It has the largest snapshot, and all
        levels that were ever seen; it is not broken, since no change is missing, and published as far as it is known until it is renewed.
        `renews`: whether requests for snapshots are answered. Where a capture is replayed they are not: it has the answers to the requests
        that were made then, and each of them renews the book.
        """
        roomy = tuple(count for count in choices if count >= ROOM * depth)
        self.depth = depth
        self.renews = renews
        self._is_roomy = bool(roomy) and renews
        self.strict = self._is_roomy and not keeps_all
        self._choices = roomy if self.strict else tuple(choices[-1:])
        self._choice = 0
        self._limit = 0  # the most levels a side that the newest snapshot could have, as far as is known
        self._is_narrow = False
        self._begun_ts = 0

    @property
    def levels(self) -> int:
        """How many levels a side the next snapshot is to have; 0: there is no choice."""
        return self._choices[self._choice] if self._choices else 0

    def begin(self, limit: int | None, received_ts: int, sides: Iterable[Ladder] = ()) -> None:
        """Note that a snapshot has become the book, with these sides. `limit`: see `BookSnapshot.limit`."""
        self._limit = limit or self.levels
        self._is_narrow = self._choice + 1 < len(self._choices) and any(_is_narrow(side) for side in sides)
        self._begun_ts = received_ts

    def trim(self, side: Ladder) -> None:
        """Drop the levels that are farthest from the best price, if there are half as many again as the snapshot could have."""
        most = max(self._limit, self.levels)  # a thin market may have just as many levels as a smaller snapshot
        if self.strict and len(side.prices) > most * 3 // 2:
            side.trim(most)

    def suffices(self, side: Ladder) -> bool:
        """Whether a side is known as far as it is published."""
        return side.knows(self.depth if self.strict else min(self.depth, len(side.prices)))

    def is_ample(self, side: Ladder) -> bool:
        """Whether a side is known so far that the book need not be renewed yet."""
        if not self._is_roomy:
            return self.suffices(side)
        return not self._is_narrow and side.knows(max(2 * self.depth, self._limit // 5))

    def renew(self, now: int) -> None:
        """Choose the size of the next snapshot, because the market has come near the edge of this one."""
        lasted_ns = now - self._begun_ts
        if lasted_ns < SHORT_NS:
            self._choice = min(self._choice + 1, max(len(self._choices) - 1, 0))
        elif lasted_ns > LONG_NS:
            self._choice = max(self._choice - 1, 0)

    def clock_set(self, step: ClockStep) -> None:
        """Shift its time after our clock was set."""
        self._begun_ts = step.shifted(self._begun_ts)


def _is_narrow(side: Ladder) -> bool:
    best = side.best()
    return best is not None and side.edge is not None and abs(best[0] - side.edge) * NARROW < best[0]
