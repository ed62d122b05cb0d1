"""Merges the levels of several books, best first, and computes what it costs to trade a size there.

Levels are merged one by one and only as far as they are used. The caller computes within `decimals.exact`, so all sums and products are
exact, or `decimal.Inexact` is raised, which needs a number of more than 96 digits; an average is rounded to 16 digits. A level that no
connector publishes, whose price or size is outside of [LOW, HIGH) or no number, raises `decimal.InvalidOperation`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from crosstape_aggregator.decimals import HIGH, LOW, ZERO, average
from crosstape_schemas import DepthLevel, Level, Side

_Head = tuple[Decimal, int, Decimal, str, Iterator[Level]]
"""The best level of a book that is not merged yet: price, rank of the venue, size, venue, and the levels behind it."""
BIDS: Final = Side.BUY
ASKS: Final = Side.SELL


Cost = tuple[Decimal | None, Decimal | None]
"""Average and worst price of trading one size; None where the books do not hold it."""


def merged(books: Sequence[tuple[str, Iterable[Level]]], side: Side) -> Iterator[DepthLevel]:
    """Yield the levels of one side of several books, best price first. `books`: venue and levels, best first; sorted by venue.

    A level of several venues has the sum of their sizes, and its price as the first of them writes it.
    """
    best, sign = (-1, -1) if side is BIDS else (0, 1)  # the best of the sorted heads is the last one for bids, the first one for asks
    heads: list[_Head] = []
    for rank, (venue, levels) in enumerate(books):
        rest = iter(levels)
        for price, size in rest:
            heads.append((*_checked(price, sign * rank, size), venue, rest))
            break
    heads.sort()
    while heads:
        price, rank, size, venue, rest = heads.pop(best)
        parts: tuple[tuple[str, Decimal], ...] = ((venue, size),)
        for level in rest:
            insort(heads, (*_checked(level[0], rank, level[1]), venue, rest))
            break
        while heads and heads[best][0] == price:
            _, rank, more, venue, rest = heads.pop(best)
            size += more
            parts += ((venue, more),)
            for level in rest:
                insort(heads, (*_checked(level[0], rank, level[1]), venue, rest))
                break
        yield price, size, parts


def _checked(price: Decimal, rank: int, size: Decimal) -> tuple[Decimal, int, Decimal]:
    if LOW <= price < HIGH and LOW <= size < HIGH:
        return price, rank, size
    raise InvalidOperation(f"no level: {price} × {size}")


def costs(levels: Iterable[DepthLevel], sizes: Sequence[Decimal]) -> list[Cost]:
    """Compute what it costs to trade each of the sizes, which are ascending.

    `levels` is read only as far as the largest size needs.
    """
    found: list[Cost] = []
    wanted, largest = sizes[0], sizes[-1]
    value = volume = ZERO
    for price, size, _ in levels:
        after = volume + size
        while wanted <= after:
            found.append((average(value + price * (wanted - volume), wanted), price))
            if wanted is largest:
                return found
            wanted = sizes[len(found)]
        value += price * size
        volume = after
    return found + [(None, None)] * (len(sizes) - len(found))
