"""Finds trades that the history lacks by their ids, where the venue's ids grow by one per instrument."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from crosstape_recorder.gaps.gap import Feed, Part, Seen
from crosstape_recorder.gaps.ranges import Range, overlap
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

    def missing(self, nonexistent: Iterable[tuple[Range, int]] = (), widen_ns: int = 0) -> list[Part]:
        """Returns the ids that are missing between two that are there, less those that never existed.

        `nonexistent`: range of time → how many ids in it never existed. `widen_ns`: the clocks of these times may differ by so much.
        """
        known = [(between, count) for between, count in nonexistent if count > 0]
        found: list[Part] = []
        for one, other in pairwise(self._runs):
            missing = other.first - one.last - 1
            from_ts, to_ts = sorted((one.to_ts, other.from_ts))
            for at, (between, count) in enumerate(known):
                if missing and count and overlap((from_ts, to_ts), between, widen_ns):
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

    def absent(self, fetched: Iterable[Run]) -> int:
        """Returns how many ids never existed: the venue has those on both sides, one after the other, as these fetched ones show."""
        shown = {(one.last, other.first) for one, other in pairwise(joined(fetched))}
        return sum(other.first - one.last - 1 for one, other in pairwise(self._runs) if (one.last, other.first) in shown)
