"""Which optional fields each venue fills, read off what its parsers make of the golden examples: for docs/reference/venues.md.

What a field means where that is the venue's own is beside its tests: `FIGURES` in `tests/connector/venues/VENUE/evidence.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import msgspec

from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import KINDS, Event
from tests.connector.venues import golden

SHOWN: Final = ("candle", "mark", "funding", "open_interest", "liquidation", "ticker")
HEADING: Final = ["venue", "kind", "filled", "null in every example", "what is the venue's own"]


def figures(kinds: Mapping[str, set[str]]) -> Iterator[str]:
    """A table with a row for each venue and kind. `kinds`: venue → the kinds of its feeds."""
    yield "## What the figures hold\n"
    yield "Fields that may be null, by the examples of each venue's documented frames and answers. A field that is filled in one can be"
    yield "null where the venue leaves it out: in a single frame, for an instrument, or in past candles by REST.\n"
    yield f"| {' | '.join(HEADING)} |"
    yield "|" + "---|" * len(HEADING)
    for venue in VENUES.values():
        found = filled(venue)
        notes: Mapping[str, str] = getattr(import_module(f"tests.connector.venues.{venue.id}.evidence"), "FIGURES", {})
        for kind in (kind for kind in SHOWN if kind in kinds[venue.id]):
            yield f"| {' | '.join(row(venue.id, kind, found.get(KINDS[kind].__name__), notes.get(kind, '')))} |"
    yield ""


def row(venue: str, kind: str, found: set[str] | None, note: str) -> list[str]:
    """One row. `found`: the fields that an example fills; None: there is no example."""
    names = optional(KINDS[kind])
    full = ", ".join(f"`{name}`" for name in names if found is not None and name in found)
    empty = ", ".join(f"`{name}`" for name in names if found is not None and name not in found)
    return [f"`{venue}`", f"`{kind}`", "no example" if found is None else full, empty, note]


def optional(event: type[Event]) -> list[str]:
    """The fields of a kind of event that may be null, without those of all events."""
    fields = [field for field in msgspec.structs.fields(event) if field.name not in Event.__struct_fields__]
    return [field.name for field in fields if _may_be_null(field.type)]


def filled(venue: Venue) -> dict[str, set[str]]:
    """Name of a class → the fields that at least one golden output of it fills."""
    found: dict[str, set[str]] = {}
    for line in golden.outputs(venue):
        for one in _structs(line.outputs):
            found.setdefault(one["is"], set()).update(name for name, value in one.items() if value is not None)
    return found


def _may_be_null(hint: Any) -> bool:
    info = msgspec.inspect.type_info(hint)
    return isinstance(info, msgspec.inspect.UnionType) and info.includes_none


def _structs(value: Any) -> Iterator[dict[str, Any]]:
    """All structs in outputs as JSON, also those within others."""
    if isinstance(value, dict):
        if "is" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _structs(one)
