"""Runs of whole numbers, with the times at their ends: how many millions of ids or numbers stay small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Run(NamedTuple):
    """Numbers from `first` to `last`, all of which are there."""

    first: int
    last: int
    from_ts: int
    """The earliest time of one of them, ns."""
    to_ts: int
    """The latest."""


def run(number: int, ts: int) -> Run:
    """Returns the run of one number."""
    return Run(number, number, ts, ts)


def joined(runs: Iterable[Run]) -> list[Run]:
    """Returns the same numbers as runs that neither overlap nor follow each other without a break, in order."""
    found: list[Run] = []
    for one in sorted(runs):
        if found and one.first <= (last := found[-1]).last + 1:
            found[-1] = Run(last.first, max(last.last, one.last), min(last.from_ts, one.from_ts), max(last.to_ts, one.to_ts))
        else:
            found.append(one)
    return found
