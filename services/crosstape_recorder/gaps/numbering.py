"""Finds numbers (`seq`) that the history lacks. A producer numbers without a break per (stream, venue, epoch)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from crosstape_recorder.gaps.gap import Feed, Part, Seen
from crosstape_recorder.gaps.runs import Run, joined
from crosstape_schemas import GapCause


def missing_numbers(feed: Feed, numbers: Mapping[int, Iterable[Run]]) -> list[Part]:
    """Returns what is missing between the numbers of one stream and venue. `numbers`: epoch → its numbers, in any order.

    Nothing is known before the first number of an epoch and after its last one.
    """
    return [
        Part(
            feed, min(one.to_ts, other.from_ts), max(one.to_ts, other.from_ts), other.first - one.last - 1, GapCause.UNKNOWN.value, Seen.SEQ
        )
        for runs in numbers.values()
        for one, other in pairwise(joined(runs))
    ]
