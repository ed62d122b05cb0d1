"""Reads the composites of the settings: `[aggregator.composites."BTC-USD*"]`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from crosstape.errors import SettingsError
from crosstape.settings import AggregatorSettings
from crosstape.settings.model import CompositeSettings
from crosstape_schemas import is_composite, spot
from crosstape_schemas.instruments import COMPOSITE

_NAME: Final = re.compile(r"([^\s:*{}-]+)-([^\s:*{}-]+)((?:-[^\s:*{}-]+)*)")


class PartSpec(NamedTuple):
    """One part of a composite."""

    instrument: str
    pair: str | None
    """The pair whose mid converts its prices; None: it has the composite's quote currency."""


class CompositeSpec(NamedTuple):
    """One composite."""

    name: str
    parts: tuple[PartSpec, ...]
    settings: CompositeSettings


def parse_all(settings: AggregatorSettings) -> tuple[CompositeSpec, ...]:
    """Read all composites. Raises `SettingsError`, with one line for each mistake."""
    mistakes: list[str] = []
    found = [CompositeSpec(name, _parts(name, one, settings, mistakes), one) for name, one in settings.composites.items()]
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return tuple(found)


def _parts(name: str, composite: CompositeSettings, settings: AggregatorSettings, mistakes: list[str]) -> tuple[PartSpec, ...]:
    path = f'aggregator.composites."{name}"'
    whole = _NAME.fullmatch(name.removesuffix(COMPOSITE))
    if not is_composite(name) or whole is None:
        mistakes.append(f'{path}: the name of a composite is an instrument\'s with a * behind it: "BTC-USD*"')
        return ()
    if not composite.parts:
        mistakes.append(f'{path}.parts: names the instruments of the composite, such as ["BTC-USD", "BTC-USDT"]')
    base, quote, suffix = whole.groups()
    found = []
    for at, part in enumerate(composite.parts):
        here = f'{path}.parts = "{part}"'
        form = _NAME.fullmatch(part)
        if form is None:
            mistakes.append(f"{here}: expected the name of an instrument, such as {base}-{quote}{suffix}")
            continue
        if (form[1], form[3]) != (base, suffix):
            mistakes.append(f"{here}: the parts of {name} are of the form {base}-QUOTE{suffix}")
        if part in composite.parts[:at]:
            mistakes.append(f"{here}: is named twice")
        pair = None if form[2] == quote else spot(form[2], quote)
        wanted = settings.instruments
        mistakes += [
            f"{here}: needs {one}, which is not in aggregator.instruments" for one in (part, pair) if one and wanted and one not in wanted
        ]
        found.append(PartSpec(part, pair))
    return tuple(found)
