"""Finds numbers (`seq`) that the history lacks. A producer numbers without a break per (stream, venue, epoch)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from crosstape_recorder.gaps.gap import Feed, Part, Seen
from crosstape_schemas import GapCause


class Number(NamedTuple):
    """What numbers one recorded event."""

    epoch: int
    seq: int
    received_ts: int


def missing_numbers(feed: Feed, numbers: Iterable[Number]) -> list[Part]:
    """Returns what is missing between the numbers of one stream and venue, which come in any order.

    Nothing is known before the first number of an epoch and after its last one. Number 0 is none.
    """
    found: list[Part] = []
    for one, other in pairwise(sorted(number for number in numbers if number.seq)):
        if one.epoch == other.epoch and other.seq > one.seq + 1:
            from_ts, to_ts = sorted((one.received_ts, other.received_ts))
            found.append(Part(feed, from_ts, to_ts, other.seq - one.seq - 1, GapCause.UNKNOWN.value, Seen.SEQ))
    return found
