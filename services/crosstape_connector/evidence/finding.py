"""One row of a report: a subject, what the venue's table says of it, what was seen, and whether the two agree."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

MILLI: Final = 1_000_000


class Verdict(Enum):
    """Whether what was seen agrees with the table."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOT_SEEN = "not seen"  # nothing that could show it came in this time
    NOTED = ""  # the table says nothing of it


class Finding(msgspec.Struct, frozen=True):
    """One row."""

    section: str
    subject: str
    seen: str
    claim: str = ""
    """What the venue's table says; empty: nothing."""
    verdict: Verdict = Verdict.NOTED


def share(part: int, of: int) -> str:
    """Return `17 of 20`."""
    return f"{part} of {of}"


def judge(good: int, of: int) -> Verdict:
    """Return the verdict on a claim that held `good` times of the `of` times that it could be seen."""
    return Verdict.NOT_SEEN if not of else Verdict.HOLDS if good == of else Verdict.BROKEN


def quantile(ordered: Sequence[int], part: float) -> int:
    """Return the value below which this part of an ascending sequence lies; the sequence is not empty."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def millis(ns: int) -> str:
    """Return ns as ms with one decimal, or as s from ten seconds on."""
    return f"{ns / 1e9:.1f} s" if abs(ns) >= 10_000 * MILLI else f"{ns / MILLI:.1f} ms"


def spread(values: Sequence[int]) -> str:
    """Return the least, the median, the 99th percentile and the greatest of some ns; the sequence is not empty."""
    ordered = sorted(values)
    middle, high = quantile(ordered, 0.5), quantile(ordered, 0.99)
    return f"min {millis(ordered[0])}, median {millis(middle)}, p99 {millis(high)}, max {millis(ordered[-1])}"
