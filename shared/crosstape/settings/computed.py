"""Checks the settings of what is computed across venues, where one value does not say by itself whether it is right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Final, TypeVar

from crosstape.settings.model import AggregatorSettings, CompositeSettings
from crosstape.settings.words import dotted, nearest
from crosstape_schemas.timeframes import LENGTHS, SECOND, TIMEFRAMES

V = TypeVar("V", bound=Hashable)

_INSTRUMENT: Final = re.compile(r"([^-*:{}\s]+)-([^-*:{}\s]+)((?:-[^-*:{}\s]+)*)")
"""Base, quote, and what makes it a contract: `-PERP`."""
_LENGTH: Final = re.compile(r"([1-9][0-9]*)([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def mistakes(settings: AggregatorSettings) -> Iterator[str]:
    """Yields the mistakes, each with the path of its key."""
    for name in settings.bars:
        if name not in TIMEFRAMES:
            yield f'aggregator.bars: "{name}" is no timeframe; did you mean "{nearest_timeframe(name)}"? There are {", ".join(TIMEFRAMES)}'
    for name in _repeated(settings.bars):
        yield f'aggregator.bars: "{name}" is named twice'
    if settings.sweep_sizes and not settings.depth_levels:
        yield "aggregator.sweep_sizes: sizes are swept with each consolidated book, so aggregator.depth_levels must be above 0"
    for instrument, sizes in settings.sweep_sizes.items():
        for size in _repeated(sizes):
            yield f"{dotted(('aggregator', 'sweep_sizes', instrument))}: the size {size} is named twice"
    for name, composite in settings.composites.items():
        yield from _composite(name, composite, settings.instruments)


def nearest_timeframe(name: str) -> str:
    """Returns the timeframe that was probably meant: of the same length, or of the nearest, or with the most similar name."""
    if found := _LENGTH.fullmatch(name):
        wanted = int(found[1]) * _UNITS[found[2]] * SECOND
        return min(LENGTHS, key=lambda one: max(wanted, LENGTHS[one]) / min(wanted, LENGTHS[one]))
    return nearest(name, TIMEFRAMES) or "1m"


def _composite(name: str, composite: CompositeSettings, consolidated: tuple[str, ...]) -> Iterator[str]:
    path = dotted(("aggregator", "composites", name))
    names = _INSTRUMENT.fullmatch(name.removesuffix("*"))
    if names is None or not name.endswith("*"):
        yield f"{path}: the name of a composite is that of an instrument with a star behind it, as BTC-USD*"
        return
    base, quote, contract = names.groups()
    if not composite.parts:
        yield f"{path}.parts: none is named; a composite of {base} has parts like {name[:-1]} and {base}-USDT{contract}"
    for part in _repeated(composite.parts):
        yield f'{path}.parts: "{part}" is named twice'
    for part in dict.fromkeys(composite.parts):
        found = _INSTRUMENT.fullmatch(part)
        if found is None:
            yield f'{path}.parts: "{part}" is no instrument, as {name[:-1]}'
        elif (found[1], found[3]) != (base, contract):
            yield f'{path}.parts: "{part}" is not of the form {base}-QUOTE{contract}, as all parts of {name} are'
        elif consolidated:
            rate = f"{found[2]}-{quote}"
            needed = {part: "it"} if found[2] == quote else {part: "it", rate: f"{rate}, whose mid converts it,"}
            for instrument, what in needed.items():
                if instrument not in consolidated:
                    yield f'{path}.parts: "{part}": {what} is not in aggregator.instruments, so that it is not consolidated'


def _repeated(values: Iterable[V]) -> list[V]:
    return [value for value, count in Counter(values).items() if count > 1]
