"""What is missing of one line of trades: by ids, where it is, and which gap told it. Pure.

A hole is told once, by a `gap` with its count. What of it comes after all, from the stream or by REST, is taken out of it here, each id
once, and told back: when nothing is missing any more, the gap is repeated as `repaired`, with the same times. Where that will not be, the
part that came is told as repaired, within narrower times. So the sum of `missed` over gaps, less that over repaired ones, is never less
than what is missing, and is exactly that once nobody is at work on it.

Ids that the venue shows not to exist (`OpenGap.prove`) are not missing either: the repaired gap counts them in `missed` and `nonexistent`.
If a trade comes with such an id after all, it is published, and the count corrected by one more repaired gap with `nonexistent` -1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from crosstape_schemas import Gap, Trade

OPEN_GAPS: Final = 256
"""Holes that a line remembers: of one that is forgotten, nothing that comes is published any more."""

PIECES: Final = 1_000
"""Into so many pieces a hole may fall: a late trade that would make one more is not published, and stays missing."""

CONFIRM_S: Final = 5.0
"""Ids are taken to have never existed when two answers of the venue, at least so long apart, show it: one may be cached or behind."""

IdRange: TypeAlias = tuple[int, int]
"""Consecutive ids: from the first on, before the second."""


class OpenGap:
    """One: what a gap told, and what is still missing of it."""

    __slots__ = ("_high_ts", "_low_ts", "_pieces", "_shown", "_void", "end", "first", "gap", "made_ts", "new_nonexistent", "recovered")

    def __init__(self, gap: Gap, first: int, end: int, made_ts: int) -> None:
        """Ids from `first` on, before `end`. `made_ts`: none of them was made before, by the venue's clock."""
        self.gap = gap
        self.first = first
        self.end = end
        self.made_ts = made_ts
        self.recovered = 0
        """So many came, and were not told back yet."""
        self.new_nonexistent = 0
        """How many ids were found to have never existed since the last `repaired` event; negative: trades came for more than that."""
        self._pieces: list[IdRange] = [(first, end)]  # what is missing, ascending
        self._void: list[IdRange] = []  # ids that never existed, ascending
        self._shown: dict[IdRange, float] = {}  # since when the venue has shown that a piece does not exist
        self._low_ts = gap.to_ts
        self._high_ts = gap.from_ts

    @property
    def missing(self) -> int:
        """How many are."""
        return sum(end - first for first, end in self._pieces)

    @property
    def nonexistent(self) -> int:
        """How many ids of the gap never existed."""
        return sum(end - first for first, end in self._void)

    def run_at(self, number: int) -> IdRange:
        """The run of missing ids that this one is in, or else only itself."""
        return next((run for run in self._pieces if run[0] <= number < run[1]), (number, number + 1))

    def next_missing(self, after: int) -> int | None:
        """The first id above `after` that is missing; None: all above have come."""
        return next((max(first, after + 1) for first, end in self._pieces if end > after + 1), None)

    def fill(self, number: int, trade: Trade) -> bool:
        """Whether this trade was missing, or thought to have never existed, and from now on is not."""
        was_void = _remove(self._void, number)
        if not was_void and not _remove(self._pieces, number):
            return False
        self.new_nonexistent -= was_void
        self.recovered += 1
        made_ts = trade.received_ts if trade.venue_ts is None else trade.venue_ts
        self._low_ts, self._high_ts = min(self._low_ts, made_ts), max(self._high_ts, made_ts)
        return True

    def check_nonexistent(self, page: Sequence[int], now: float) -> None:
        """Learn from an answer of the venue which ids never existed. `page`: all its ids, ascending, between which it has no others.

        A run of missing ids never existed if the id before it and the id after it, both of which are known to exist, follow each other in
        two answers that are `CONFIRM_S` apart. `now`: seconds of a steady clock.
        """
        before = {after: number for number, after in pairwise(page)}
        shown, kept = {}, []
        for run in self._pieces:
            since = self._shown.get(run)
            if before.get(run[1]) == run[0] - 1:
                since = now if since is None else since
                if now - since >= CONFIRM_S:
                    self._void.append(run)
                    self.new_nonexistent += run[1] - run[0]
                    continue
            if since is not None:
                shown[run] = since
            kept.append(run)
        self._pieces, self._shown = kept, shown
        self._void.sort()

    def report(self, now: int) -> list[Gap]:
        """What came is told back: the whole gap as repaired, or the part that came within times that do not span all of it."""
        gap = self.gap
        if not self.recovered and not self.new_nonexistent:
            return []
        from_ts, to_ts = gap.from_ts, gap.to_ts
        if self._pieces:
            if to_ts - from_ts <= 1:
                return []  # no part of a moment can be told from the whole
            # never a single moment, as a gap within one frame has: another of this line may have just these times
            from_ts = min(max(self._low_ts, from_ts), to_ts - 2)
            to_ts = min(max(self._high_ts, from_ts + 1), to_ts - 1)
        void, self.new_nonexistent = self.new_nonexistent, 0
        missed, self.recovered = self.recovered + void, 0
        where = gap.venue, gap.instrument, None, now, gap.kind
        return [Gap(*where, from_ts, to_ts, missed, gap.cause, repaired=True, nonexistent=void)]


class OpenGaps:
    """Those of one line, the newest `OPEN_GAPS`; their ids ascend, and no id is in two."""

    __slots__ = ("_closed", "_holes")

    def __init__(self) -> None:
        self._holes: list[OpenGap] = []
        self._closed: list[OpenGap] = []  # nothing is missing, but some ids never existed: the newest `OPEN_GAPS`

    def __iter__(self) -> Iterator[OpenGap]:
        return iter(self._holes)

    def __len__(self) -> int:
        return len(self._holes)

    def __contains__(self, hole: object) -> bool:
        return any(one is hole for one in self._holes)

    def add(self, hole: OpenGap, now: int) -> list[Gap]:
        """One more, above all others; what is to be told of the oldest, if that is forgotten for it."""
        self._holes.append(hole)
        return self._holes.pop(0).report(now) if len(self._holes) > OPEN_GAPS else []

    def fill(self, number: int, trade: Trade) -> list[Gap] | None:
        """None if this trade is not missing; else it is not any more, and with it a hole may be whole."""
        for holes in (self._holes, self._closed):
            at = bisect_right(holes, number, key=_first_of) - 1
            if at >= 0 and (hole := holes[at]).fill(number, trade):
                return self._settle(hole, trade.received_ts)
        return None

    def check_nonexistent(self, hole: OpenGap, page: Sequence[int], *, now_s: float, now: int) -> list[Gap]:
        """See `OpenGap.prove`; what is to be said if nothing of it is missing any more."""
        hole.check_nonexistent(page, now_s)
        return self._settle(hole, now)

    def _settle(self, hole: OpenGap, now: int) -> list[Gap]:
        """The hole as repaired, if nothing of it is missing."""
        if hole.missing:
            return []
        if hole in self._holes:
            self._holes.remove(hole)
            if hole.nonexistent:
                self._closed.append(hole)
                self._closed.sort(key=_first_of)
                del self._closed[:-OPEN_GAPS]
        return hole.report(now)

    def close_all(self, now: int) -> list[Gap]:
        """No id that is missing will come."""
        holes, self._holes, self._closed = self._holes, [], []
        return [gap for hole in holes for gap in hole.report(now)]


def _remove(runs: list[IdRange], number: int) -> bool:
    """Take this id out of ascending runs: whether it was there, and they are not too many without it."""
    at = bisect_right(runs, number, key=_first) - 1
    if at < 0 or number >= runs[at][1]:
        return False
    first, end = runs[at]
    rest = [run for run in ((first, number), (number + 1, end)) if run[0] < run[1]]
    if len(runs) - 1 + len(rest) > PIECES:
        return False
    runs[at : at + 1] = rest
    return True


def _first(run: IdRange) -> int:
    return run[0]


def _first_of(hole: OpenGap) -> int:
    return hole.first
