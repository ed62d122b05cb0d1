"""Reads the composites of the settings: `[aggregator.composites."BTC-USD*"]`."""

from __future__ import annotations

from typing import NamedTuple

from crosstape.errors import SettingsError
from crosstape.settings import AggregatorSettings
from crosstape.settings.computed import composite_mistakes
from crosstape.settings.model import CompositeSettings
from crosstape.settings.words import dotted
from crosstape_schemas import spot
from crosstape_schemas.instruments import COMPOSITE, parsed


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
    """Read all composites. Raises `SettingsError`, with one line for each mistake: settings need not come from the loader."""
    if mistakes := [f"{dotted(mistake.path)}: {mistake.text}" for mistake in composite_mistakes(settings)]:
        raise SettingsError("\n".join(mistakes))
    return tuple([CompositeSpec(name, _parts(name, one), one) for name, one in settings.composites.items()])


def _parts(name: str, composite: CompositeSettings) -> tuple[PartSpec, ...]:
    whole = parsed(name.removesuffix(COMPOSITE))
    parts = [(part, parsed(part)) for part in composite.parts]
    return tuple(
        [
            PartSpec(part, None if form.quote == whole.quote else spot(form.quote, whole.quote))
            for part, form in parts
            if whole is not None and form is not None  # both are: there was no mistake
        ]
    )
