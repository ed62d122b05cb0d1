"""Divides a range of time into slices of about equally many rows, from what footers say of row groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

ONE: Final = 1 << 80
"""One row a ns. Densities are multiples of its parts, so that adding and taking away leaves nothing."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """So many rows lie from one moment to another, both included."""

    from_ts: int
    to_ts: int
    rows: int


def slices(spans: Iterable[Span], from_ts: int, to_ts: int, rows: int) -> list[tuple[int, int]]:
    """Returns ranges `[from, to)` that together are `[from_ts, to_ts)`, each with about `rows` rows if spans are even."""
    changes: dict[int, int] = {}
    for span in spans:
        start, end = max(span.from_ts, from_ts), min(span.to_ts + 1, to_ts)
        if start < end:
            density = span.rows * ONE // (span.to_ts + 1 - span.from_ts)
            changes[start] = changes.get(start, 0) + density
            changes[end] = changes.get(end, 0) - density
    wanted = rows * ONE
    found: list[tuple[int, int]] = []
    begin = position = from_ts
    density = collected = 0
    for moment in sorted(changes):
        while density and collected + density * (moment - position) >= wanted:
            position = min(moment, position + max((wanted - collected) // density, 1))
            found.append((begin, position))
            begin, collected = position, 0
        collected += density * (moment - position)
        position = moment
        density += changes[moment]
    if begin < to_ts:
        found.append((begin, to_ts))
    return found
