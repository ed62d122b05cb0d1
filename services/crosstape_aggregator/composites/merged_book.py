"""Merges the consolidated books of the parts of a composite, and computes what it costs to trade through the result. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from crosstape_aggregator.decimals import ZERO, add, average, subtract, times
from crosstape_schemas import DepthLevel, Sweep


def merge_side(levels: Iterable[DepthLevel], limit: int, *, descending: bool) -> tuple[DepthLevel, ...]:
    """Return the best `limit` levels. Sizes at the same price are added, by venue, the venues in alphabetical order."""
    sizes: dict[Decimal, dict[str, Decimal]] = {}
    for price, _, venues in levels:
        at = sizes.setdefault(price, {})
        for venue, size in venues:
            at[venue] = add(at[venue], size) if venue in at else size
    best = sorted(sizes, reverse=descending)[:limit]
    return tuple([(price, _total(sizes[price].values()), tuple(sorted(sizes[price].items()))) for price in best])


def _total(sizes: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for size in sizes:
        total = add(total, size)
    return total


def sweep(size: Decimal, bids: Sequence[DepthLevel], asks: Sequence[DepthLevel]) -> Sweep:
    """Return what it costs to trade this size through these levels; None where they do not hold it."""
    return Sweep(size, *_walk(size, asks), *_walk(size, bids))


def _walk(size: Decimal, levels: Sequence[DepthLevel]) -> tuple[Decimal | None, Decimal | None]:
    left, value = size, ZERO
    for price, there, _ in levels:
        if there >= left:
            return average(add(value, times(price, left)), size), price
        value = add(value, times(price, there))
        left = subtract(left, there)
    return None, None
