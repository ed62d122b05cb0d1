"""Finds what differs between two settings, for services that read theirs again. Values are not shown: some are secret."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from crosstape.settings import Section, Settings


def changes(before: Settings, after: Settings) -> list[str]:
    """Paths of the keys that differ, in the order of the settings: `venues.kraken.kinds`. A venue that only one has is one path."""
    return list(_section((), before, after))


def _section(path: tuple[str, ...], before: Section, after: Section) -> Iterator[str]:
    for field in msgspec.structs.fields(before):
        yield from _value((*path, field.name), getattr(before, field.name), getattr(after, field.name))


def _value(path: tuple[str, ...], before: object, after: object) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, Section) and isinstance(after, Section):
        yield from _section(path, before, after)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from _value((*path, str(key)), before.get(key), after.get(key))
    else:
        yield ".".join(path)
