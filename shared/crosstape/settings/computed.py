"""Checks the settings of what is computed across venues, where one value does not say by itself whether it is right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Final, TypeVar

from crosstape.settings.mistakes import Mistake
from crosstape.settings.model import AggregatorSettings, CompositeSettings
from crosstape.settings.words import nearest
from crosstape_schemas.instruments import COMPOSITE, is_composite, parsed, spot
from crosstape_schemas.timeframes import LENGTHS, SECOND, TIMEFRAMES

V = TypeVar("V", bound=Hashable)

ALL_OTHERS: Final = "*"
"""Key of `aggregator.sweep_sizes` for the instruments without an own one."""

_LENGTH: Final = re.compile(r"([1-9][0-9]*)([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_INSTRUMENTS: Final = ("aggregator", "instruments")


def mistakes(settings: AggregatorSettings) -> Iterator[Mistake]:
    """Yields the mistakes, each with the path of its key."""
    bars = ("aggregator", "bars")
    for name in settings.bars:
        if name not in TIMEFRAMES:
            meant = nearest_timeframe(name)
            yield Mistake(bars, f'"{name}" is no timeframe; did you mean "{meant}"? There are {", ".join(TIMEFRAMES)}')
    for name in _repeated(settings.bars):
        yield Mistake(bars, f'"{name}" is named twice')
    yield from _sweeps(settings)
    fees = settings.taker_fees_bps
    if len(fees) == 1:
        path = ("aggregator", "taker_fees_bps")
        yield Mistake(path, f"only {next(iter(fees))} has a fee; an edge needs two venues, each with its fee", path)
    yield from composite_mistakes(settings)


def composite_mistakes(settings: AggregatorSettings) -> Iterator[Mistake]:
    """Yields the mistakes of the composites, each with the path of its key."""
    for name, composite in settings.composites.items():
        yield from _composite(name, composite, settings.instruments)


def nearest_timeframe(name: str) -> str:
    """Returns the timeframe that was probably meant: of the same length, or of the nearest, or with the most similar name."""
    if found := _LENGTH.fullmatch(name):
        wanted = int(found[1]) * _UNITS[found[2]] * SECOND
        return min(LENGTHS, key=lambda one: max(wanted, LENGTHS[one]) / min(wanted, LENGTHS[one]))
    return nearest(name, TIMEFRAMES) or "1m"


def _sweeps(settings: AggregatorSettings) -> Iterator[Mistake]:
    path = ("aggregator", "sweep_sizes")
    if settings.sweep_sizes and not settings.depth_levels:
        text = "sizes are swept with each consolidated book, so aggregator.depth_levels must be above 0"
        yield Mistake(path, text, ("aggregator", "depth_levels"))
    for name, sizes in settings.sweep_sizes.items():
        if name != ALL_OTHERS and parsed(name.removesuffix(COMPOSITE)) is None:
            yield Mistake((*path, name), "the name is that of an instrument, as BTC-USDT, or of a composite, as BTC-USD*; *: all others")
        for size in _repeated(sizes):
            yield Mistake((*path, name), f"the size {size} is named twice")


def _composite(name: str, composite: CompositeSettings, consolidated: tuple[str, ...]) -> Iterator[Mistake]:
    path = ("aggregator", "composites", name)
    names = parsed(name.removesuffix(COMPOSITE))
    if names is None or not is_composite(name):
        yield Mistake(path, "the name of a composite is that of an instrument with a star behind it, as BTC-USD*")
        return
    base, quote, contract = names
    where = (*path, "parts")
    if not composite.parts:
        yield Mistake(where, f"none is named; a composite of {base} has parts like {name[:-1]} and {base}-USDT{contract}", where)
    for part in _repeated(composite.parts):
        yield Mistake(where, f'"{part}" is named twice')
    for part in dict.fromkeys(composite.parts):
        found = parsed(part)
        if found is None:
            yield Mistake(where, f'"{part}" is no instrument, as {name[:-1]}')
        elif (found.base, found.contract) != (base, contract):
            yield Mistake(where, f'"{part}" is not of the form {base}-QUOTE{contract}, as all parts of {name} are')
        elif consolidated:
            rate = spot(found.quote, quote)
            needed = {part: "it"} if found.quote == quote else {part: "it", rate: f"{rate}, whose mid converts it,"}
            for instrument, what in needed.items():
                if instrument not in consolidated:
                    text = f'"{part}": {what} is not in aggregator.instruments, so that it is not consolidated'
                    yield Mistake(where, text, _INSTRUMENTS)


def _repeated(values: Iterable[V]) -> list[V]:
    return [value for value, count in Counter(values).items() if count > 1]
