"""Finds trades that the history lacks by their ids, where the venue's ids grow by one per instrument."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from crosstape_recorder.gaps.gap import Feed, Part, Seen
from crosstape_recorder.gaps.ranges import Range
from crosstape_recorder.gaps.runs import Run, joined
from crosstape_schemas import GapCause


def number_of(trade_id: str) -> int | None:
    """Returns an id as a number; None: it is none, or too long for one."""
    return int(trade_id) if trade_id.isascii() and trade_id.isdigit() and len(trade_id) <= 18 else None


class TradeIds:
    """The ids of the trades of one feed that are there."""

    def __init__(self, feed: Feed, ids: Iterable[Run]) -> None:
        self._feed = feed
        self._runs = joined(ids)
        self._latest_ts = max((one.to_ts for one in self._runs), default=0)

    def missing(self, nonexistent: Iterable[tuple[Range, int]] = ()) -> list[Part]:
        """Returns the ids that are missing between two that are there, less those that never existed.

        `nonexistent`: range of time → how many ids in it never existed.
        """
        known = [(between, count) for between, count in nonexistent if count > 0]
        known.sort(key=lambda one: one[0][1] - one[0][0])  # those of which is known best where they are come first
        found: list[Part] = []
        for one, other in pairwise(self._runs):
            missing = other.first - one.last - 1
            from_ts, to_ts = _sides(one, other)
            for at, (between, count) in enumerate(known):
                if missing and count and _concerns(between, (from_ts, to_ts)):
                    used = min(missing, count)
                    missing -= used
                    known[at] = between, count - used
            if missing:
                found.append(Part(self._feed, from_ts, to_ts, missing, GapCause.SEQUENCE.value, Seen.TRADE_IDS))
        return found

    def decide(self, from_ts: int, to_ts: int, widen_ns: int) -> bool:
        """Whether the ids show what is missing between these moments: there is a trade before and one after them.

        `widen_ns`: how far from them the trades must be, because the moments are by another clock.
        """
        return bool(self._runs) and self._runs[0].from_ts <= from_ts - widen_ns and self._latest_ts >= to_ts + widen_ns

    def left(self, fetched: Iterable[Run], between: Range) -> tuple[int, int]:
        """Returns how many ids that are missing in a range never existed, and how many others are missing.

        An id never existed if the venue has those on both sides, one after the other. `fetched`: the ids of its answers.
        """
        shown = {(one.last, other.first) for one, other in pairwise(joined(fetched))}
        never = missing = 0
        for one, other in pairwise(self._runs):
            if _concerns(between, _sides(one, other)):
                count = other.first - one.last - 1
                if (one.last, other.first) in shown:
                    never += count
                else:
                    missing += count
        return never, missing


def _sides(one: Run, other: Run) -> Range:
    """Return the times of the trades on both sides of what is missing between two runs."""
    return min(one.to_ts, other.from_ts), max(one.to_ts, other.from_ts)


def _concerns(between: Range, sides: Range) -> bool:
    """Whether what is missing between two trades may be in a range. One that only ends at one of them is of another gap."""
    return between == sides or (between[0] < sides[1] and sides[0] < between[1])
