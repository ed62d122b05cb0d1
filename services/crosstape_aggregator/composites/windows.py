"""Merges the windows of the parts of a composite. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from crosstape_aggregator.decimals import ZERO, add, average, plain, times, usable
from crosstape_schemas import Cbbo, Vwap


def merge_windows(quotes: Sequence[Cbbo | None], factors: Sequence[Decimal | None]) -> dict[str, Vwap]:
    """Merge the windows of the newest quotes of all parts. `factors`: what each price is multiplied by; None: the part does not count.

    The average is Σ price × volume × factor / Σ volume of the published numbers, rounded half-even to 16 significant digits. A window is
    complete only if all parts count and have it complete.
    """
    names = dict.fromkeys(name for quote in quotes if quote is not None for name in quote.vwap)
    parts = [({} if quote is None or factor is None else quote.vwap, factor) for quote, factor in zip(quotes, factors, strict=True)]
    return {name: _merge([(vwap.get(name), factor) for vwap, factor in parts]) for name in names}


def _merge(parts: Sequence[tuple[Vwap | None, Decimal | None]]) -> Vwap:
    value = volume = ZERO
    trades, complete = 0, True
    for window, factor in parts:
        if window is None or factor is None:
            complete = False
            continue
        complete = complete and window.complete
        if window.price is None and not window.volume:
            continue
        if not usable(window.price, window.volume) or window.price is None:
            complete = False
            continue
        value = add(value, times(times(window.price, window.volume), factor))
        volume = add(volume, window.volume)
        trades += window.trades
    return Vwap(average(value, volume) if volume else None, plain(volume), trades, complete)
