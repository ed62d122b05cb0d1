"""Ranges of time that are complete, and what is left of a range. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
"""`[from_ts, to_ts)`, ns since the epoch."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the same times with as few spans as possible, in order; empty ones are left out."""
    found: list[Span] = []
    for from_ts, to_ts in sorted(spans):
        if from_ts >= to_ts:
            continue
        if found and from_ts <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], to_ts))
        else:
            found.append((from_ts, to_ts))
    return found


def left(wanted: Span, complete: Sequence[Span]) -> list[Span]:
    """Return what of a span is not complete, in order."""
    found: list[Span] = []
    at = wanted[0]
    for from_ts, to_ts in merged(complete):
        if to_ts <= at or from_ts >= wanted[1]:
            continue
        if from_ts > at:
            found.append((at, from_ts))
        at = max(at, to_ts)
    if at < wanted[1]:
        found.append((at, wanted[1]))
    return found
