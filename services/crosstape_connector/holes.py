"""What is missing of one line of trades: by ids, where it is, and which gap told it. Pure.

A hole is told once, by a `gap` with its count. What of it comes after all, from the stream or by REST, is taken out of it here, each id
once, and told back: when nothing is missing any more, the gap is repeated as `repaired`, with the same times. Where that will not be, the
part that came is told as repaired, within narrower times. So the sum of `missed` over gaps, less that over repaired ones, is never less
than what is missing, and is exactly that once nobody is at work on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from crosstape_schemas import Gap, Trade

HOLES: Final = 256
"""Holes that a line remembers: of one that is forgotten, nothing that comes is published any more."""

PIECES: Final = 1_000
"""Into so many pieces a hole may fall: a late trade that would make one more is not published, and stays missing."""


class Hole:
    """One: what a gap told, and what is still missing of it."""

    __slots__ = ("_high_ts", "_low_ts", "_pieces", "back", "end", "first", "gap", "made_ts")

    def __init__(self, gap: Gap, first: int, end: int, made_ts: int) -> None:
        """Ids from `first` on, before `end`. `made_ts`: none of them was made before, by the venue's clock."""
        self.gap = gap
        self.first = first
        self.end = end
        self.made_ts = made_ts
        self.back = 0
        """So many came, and were not told back yet."""
        self._pieces = [(first, end)]  # what is missing, ascending
        self._low_ts = gap.to_ts
        self._high_ts = gap.from_ts

    @property
    def missing(self) -> int:
        """How many are."""
        return sum(end - first for first, end in self._pieces)

    def next_missing(self, after: int) -> int | None:
        """The first id above `after` that is missing; None: all above have come."""
        return next((max(first, after + 1) for first, end in self._pieces if end > after + 1), None)

    def take(self, number: int, trade: Trade) -> bool:
        """Whether this trade was missing, and from now on is not."""
        pieces = self._pieces
        at = bisect_right(pieces, number, key=_first) - 1
        if at < 0 or number >= pieces[at][1]:
            return False
        first, end = pieces[at]
        rest = [piece for piece in ((first, number), (number + 1, end)) if piece[0] < piece[1]]
        if len(pieces) - 1 + len(rest) > PIECES:
            return False
        pieces[at : at + 1] = rest
        self.back += 1
        made_ts = trade.received_ts if trade.venue_ts is None else trade.venue_ts
        self._low_ts, self._high_ts = min(self._low_ts, made_ts), max(self._high_ts, made_ts)
        return True

    def tell(self, now: int) -> list[Gap]:
        """What came is told back: the whole gap as repaired, or the part that came within times that do not span all of it."""
        gap = self.gap
        if not self.back:
            return []
        from_ts, to_ts = gap.from_ts, gap.to_ts
        if self._pieces:
            if from_ts == to_ts:
                return []  # no part of a moment can be told from the whole
            from_ts = min(max(self._low_ts, from_ts), to_ts - 1)
            to_ts = min(max(self._high_ts, from_ts), to_ts - 1)
        missed, self.back = self.back, 0
        return [Gap(gap.venue, gap.instrument, None, now, gap.kind, from_ts, to_ts, missed, gap.cause, repaired=True)]


class Holes:
    """Those of one line, the newest `HOLES`; their ids ascend, and no id is in two."""

    __slots__ = ("_holes",)

    def __init__(self) -> None:
        self._holes: list[Hole] = []

    def __iter__(self) -> Iterator[Hole]:
        return iter(self._holes)

    def __len__(self) -> int:
        return len(self._holes)

    def __contains__(self, hole: object) -> bool:
        return any(one is hole for one in self._holes)

    def add(self, hole: Hole, now: int) -> list[Gap]:
        """One more, above all others; what is to be told of the oldest, if that is forgotten for it."""
        self._holes.append(hole)
        return self._holes.pop(0).tell(now) if len(self._holes) > HOLES else []

    def take(self, number: int, trade: Trade) -> list[Gap] | None:
        """None if this trade is not missing; else it is not any more, and with it a hole may be whole."""
        at = bisect_right(self._holes, number, key=_first_of) - 1
        if at < 0 or not (hole := self._holes[at]).take(number, trade):
            return None
        if hole.missing:
            return []
        del self._holes[at]
        return hole.tell(trade.received_ts)

    def clear(self, now: int) -> list[Gap]:
        """No id that is missing will come."""
        holes, self._holes = self._holes, []
        return [gap for hole in holes for gap in hole.tell(now)]


def _first(piece: tuple[int, int]) -> int:
    return piece[0]


def _first_of(hole: Hole) -> int:
    return hole.first
