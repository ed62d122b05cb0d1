"""Finds trades that the history lacks by their ids, where the venue's ids grow by one per instrument."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import NamedTuple

from crosstape_recorder.gaps.gap import Feed, Part, Seen
from crosstape_recorder.gaps.ranges import Range, overlap
from crosstape_schemas import GapCause


class TradeId(NamedTuple):
    """A recorded trade."""

    number: int
    ts: int
    """When it was made, ns."""


def trade_id(text: str, ts: int) -> TradeId | None:
    """Returns the id as a number; None: it is none."""
    return TradeId(int(text), ts) if text.isascii() and text.isdigit() and len(text) <= 40 else None


class TradeIds:
    """The ids of the trades of one feed that the history has."""

    def __init__(self, feed: Feed, ids: Iterable[TradeId]) -> None:
        self._feed = feed
        self._ids = sorted(ids)
        # The latest moment up to each id: times may go back by a little where ids do not.
        self._latest = list(accumulate((one.ts for one in self._ids), max))

    def missing(self, nonexistent: Iterable[tuple[Range, int]] = (), widen_ns: int = 0) -> list[Part]:
        """Returns the ids that are missing between two that are there, less those that never existed.

        `nonexistent`: range of time → how many ids in it never existed. `widen_ns`: the clocks of these times may differ by so much.
        """
        known = [(between, count) for between, count in nonexistent if count > 0]
        found: list[Part] = []
        for one, other in pairwise(self._ids):
            missing = other.number - one.number - 1
            if missing <= 0:
                continue
            from_ts, to_ts = sorted((one.ts, other.ts))
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
        return bool(self._latest) and self._latest[0] <= from_ts - widen_ns and self._latest[-1] >= to_ts + widen_ns
