"""Tracks the trade ids that are missing after a reported gap, until they are filled, found nonexistent, or given up. Pure.

A gap is reported once, with the number of missing ids. If a missing trade comes later, from the stream or by REST, its id is removed from
the open gap. When no id is missing any more, the gap is reported again as `repaired`, with the same times. If the gap is given up before
that, the recovered part is reported as repaired, within narrower times. So the sum of `missed` over gaps, minus the sum over repaired gaps,
is never less than the number of missing trades, and is equal to it once no gap is being filled.

Ids that the venue shows not to exist (`OpenGap.check_nonexistent`) are not missing either: the repaired gap counts them in `missed` and in
`nonexistent`. If a trade comes with such an id later, it is published, and one more repaired gap with `nonexistent` -1 corrects the count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from crosstape_schemas import AnyNumber, Gap, Trade

OPEN_GAPS: Final = 256
"""The most open gaps kept per instrument: the newest. A late trade of an older gap is not published any more."""

RUNS: Final = 1_000
"""The most runs of missing ids kept per gap. A late trade that would make one more run is not published, and stays missing."""

CONFIRM_S: Final = 5.0
"""Seconds between the two answers of a venue that prove ids nonexistent: a single one may be cached or late."""

IdRange: TypeAlias = tuple[int, int]
"""A run of ids: the first, and the one after the last."""


class OpenGap:
    """One reported gap and the trade ids still missing."""

    __slots__ = (
        "_high_ts",
        "_low_ts",
        "_missing",
        "_nonexistent",
        "_shown_s",
        "end",
        "first",
        "gap",
        "made_ts",
        "new_nonexistent",
        "recovered",
    )

    def __init__(self, gap: Gap, first: int, end: int, made_ts: int) -> None:
        """`first`: the first missing id; `end`: the id after the last. `made_ts`: no trade of the gap is older, by the venue's clock."""
        self.gap = gap
        self.first = first
        self.end = end
        self.made_ts = made_ts
        self.recovered = 0
        """Trades recovered since the last `repaired` event."""
        self.new_nonexistent = 0
        """Ids found nonexistent since the last `repaired` event; negative = trades came for more of them than were found."""
        self._missing: list[IdRange] = [(first, end)]  # runs of missing ids, ascending
        self._nonexistent: list[IdRange] = []  # runs of ids that never existed, ascending
        self._shown_s: dict[IdRange, float] = {}  # run → since when the venue has shown that it does not exist
        self._low_ts = gap.to_ts
        self._high_ts = gap.from_ts

    @property
    def missing(self) -> int:
        """Number of ids still missing."""
        return sum(end - first for first, end in self._missing)

    @property
    def nonexistent(self) -> int:
        """Number of ids of the gap that never existed."""
        return sum(end - first for first, end in self._nonexistent)

    def run_at(self, number: int) -> IdRange:
        """Return the run of missing ids that contains `number`; if it is not missing, a run of this one id."""
        return next((run for run in self._missing if run[0] <= number < run[1]), (number, number + 1))

    def next_missing(self, after: int) -> int | None:
        """Return the first missing id above `after`; None: there is none."""
        return next((max(first, after + 1) for first, end in self._missing if end > after + 1), None)

    def fill(self, number: int, trade: Trade[AnyNumber]) -> bool:
        """Remove the id of a trade from the gap. Returns whether it was missing, or counted as nonexistent."""
        was_nonexistent = _remove(self._nonexistent, number)
        if not was_nonexistent and not _remove(self._missing, number):
            return False
        self.new_nonexistent -= was_nonexistent
        self.recovered += 1
        made_ts = trade.received_ts if trade.venue_ts is None else trade.venue_ts
        self._low_ts, self._high_ts = min(self._low_ts, made_ts), max(self._high_ts, made_ts)
        return True

    def remove_nonexistent(self, number: int) -> bool:
        """Count an id as one that never existed. Returns whether it was missing."""
        if not _remove(self._missing, number):
            return False
        self._nonexistent.append((number, number + 1))
        self._nonexistent.sort()
        self.new_nonexistent += 1
        return True

    def check_nonexistent(self, page: Sequence[int], now: float) -> None:
        """Find ids that never existed in an answer of the venue. `page`: its ids, ascending and complete between its first and last.

        A run of missing ids never existed if the id before it and the id after it, which are both known to exist, follow each other in
        two answers that are `CONFIRM_S` apart. `now`: seconds of a steady clock.
        """
        before = {after: number for number, after in pairwise(page)}
        shown, kept = {}, []
        for run in self._missing:
            since = self._shown_s.get(run)
            if before.get(run[1]) == run[0] - 1:
                since = now if since is None else since
                if now - since >= CONFIRM_S:
                    self._nonexistent.append(run)
                    self.new_nonexistent += run[1] - run[0]
                    continue
            if since is not None:
                shown[run] = since
            kept.append(run)
        self._missing, self._shown_s = kept, shown
        self._nonexistent.sort()

    def report(self, now: int) -> list[Gap]:
        """Report what was filled since the last report: the complete gap as repaired, or a part, within narrower times."""
        gap = self.gap
        if not self.recovered and not self.new_nonexistent:
            return []
        from_ts, to_ts = gap.from_ts, gap.to_ts
        if self._missing:
            if to_ts - from_ts <= 1:
                return []  # a part with the times of the complete gap would look like the complete gap
            # `from` and `to` must differ: a gap within one frame has equal times, and another gap may have just these
            from_ts = min(max(self._low_ts, from_ts), to_ts - 2)
            to_ts = min(max(self._high_ts, from_ts + 1), to_ts - 1)
        nonexistent, self.new_nonexistent = self.new_nonexistent, 0
        missed, self.recovered = self.recovered + nonexistent, 0
        key = gap.venue, gap.instrument, None, now, gap.kind
        return [Gap(*key, from_ts, to_ts, missed, gap.cause, repaired=True, nonexistent=nonexistent)]


class OpenGaps:
    """The newest `OPEN_GAPS` gaps of one instrument. Their ids ascend, and no id is in two."""

    __slots__ = ("_closed", "_open")

    def __init__(self) -> None:
        self._open: list[OpenGap] = []
        self._closed: list[OpenGap] = []  # nothing is missing any more, but some ids never existed; the newest `OPEN_GAPS`

    def __iter__(self) -> Iterator[OpenGap]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, gap: object) -> bool:
        return any(one is gap for one in self._open)

    def free_start(self, from_ts: int, to_ts: int) -> int:
        """Return when a gap that ends at `to_ts` begins: at `from_ts`, or up to some ns before if another gap has just these moments.

        Trades of one frame have one receive time, and readers know a gap by its moments.
        """
        taken = {one.gap.from_ts for one in (*self._open, *self._closed) if one.gap.to_ts == to_ts}
        start = min(from_ts, to_ts)
        while start in taken:
            start -= 1
        return start

    def add(self, gap: OpenGap, now: int) -> list[Gap]:
        """Append a gap, above all others. Returns the last report of the oldest, if that is dropped for it."""
        self._open.append(gap)
        return self._open.pop(0).report(now) if len(self._open) > OPEN_GAPS else []

    def fill(self, number: int, trade: Trade[AnyNumber]) -> list[Gap] | None:
        """Fill a missing id with its trade. Returns the repaired gap if it is complete now; None: the trade was not missing."""
        for gaps in (self._open, self._closed):
            at = bisect_right(gaps, number, key=_first_of) - 1
            if at >= 0 and (found := gaps[at]).fill(number, trade):
                return self._settle(found, trade.received_ts)
        return None

    def remove_nonexistent(self, number: int, now: int) -> list[Gap]:
        """Count an id that the stream showed to be no trade. Returns the repaired gap if nothing is missing any more."""
        at = bisect_right(self._open, number, key=_first_of) - 1
        return self._settle(self._open[at], now) if at >= 0 and self._open[at].remove_nonexistent(number) else []

    def check_nonexistent(self, gap: OpenGap, page: Sequence[int], *, now_s: float, now: int) -> list[Gap]:
        """See `OpenGap.check_nonexistent`. Returns the repaired gap if nothing is missing any more."""
        gap.check_nonexistent(page, now_s)
        return self._settle(gap, now)

    def _settle(self, gap: OpenGap, now: int) -> list[Gap]:
        """Return the gap as repaired, if none of its ids is missing."""
        if gap.missing:
            return []
        if gap in self._open:
            self._open.remove(gap)
            if gap.nonexistent:
                self._closed.append(gap)
                self._closed.sort(key=_first_of)
                del self._closed[:-OPEN_GAPS]
        return gap.report(now)

    def close_all(self, now: int) -> list[Gap]:
        """Give up all gaps: no missing id will come any more. Returns their last reports."""
        gaps, self._open, self._closed = self._open, [], []
        return [report for gap in gaps for report in gap.report(now)]


def _remove(runs: list[IdRange], number: int) -> bool:
    """Remove an id from ascending runs. Returns whether it was there; it stays if its removal would make too many runs."""
    at = bisect_right(runs, number, key=_first) - 1
    if at < 0 or number >= runs[at][1]:
        return False
    first, end = runs[at]
    rest = [run for run in ((first, number), (number + 1, end)) if run[0] < run[1]]
    if len(runs) - 1 + len(rest) > RUNS:
        return False
    runs[at : at + 1] = rest
    return True


def _first(run: IdRange) -> int:
    return run[0]


def _first_of(gap: OpenGap) -> int:
    return gap.first
