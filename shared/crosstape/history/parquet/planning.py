"""Chooses the row groups that may have rows of a query, from names and footers."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from crosstape.history.parquet.catalogue import DAY_NS, Catalogue, Footer, Group, day_ts
from crosstape.history.parquet.extents import Files
from crosstape.history.parquet.names import Name
from crosstape.history.query import Query
from crosstape.history.same_rows import MARGIN_NS


class Unit(msgspec.Struct, frozen=True):
    """A row group that may have rows of a query."""

    path: str
    group: Group


class Plan(msgspec.Struct, frozen=True):
    """What a query reads: row groups, and the range of time that they are in."""

    units: tuple[Unit, ...]
    from_ts: int
    to_ts: int

    def overlapping(self, from_ts: int, to_ts: int) -> list[Unit]:
        """Returns the row groups with rows of `[from_ts, to_ts)`."""
        return [unit for unit in self.units if unit.group.from_ts < to_ts and unit.group.to_ts >= from_ts]


def planned(catalogue: Catalogue, query: Query) -> Plan:
    """Returns what to read for a query. Raises `HistoryError`."""
    units = catalogue.retried(query.kind, lambda: _units(catalogue, query))
    first = min((unit.group.from_ts for unit in units), default=0)
    last = max((unit.group.to_ts + 1 for unit in units), default=0)
    from_ts = first if query.from_ts is None else max(first, query.from_ts)
    to_ts = last if query.to_ts is None else min(last, query.to_ts)
    return Plan(tuple(units), from_ts, to_ts)


def visible_files(catalogue: Catalogue, query: Query) -> Files:
    """Returns the files for a query, by their names; no file is read.

    They may be merged and deleted before they are read: then the files are asked for again.
    """
    listing = catalogue.listing(query.kind)
    names = tuple(listing.path(name) for name in listing.cover.names if _may_have(name, query))
    return Files(names, catalogue.file_system, catalogue.folder.local_path, catalogue.folder.url)


def _units(catalogue: Catalogue, query: Query) -> list[Unit]:
    listing = catalogue.listing(query.kind)
    return [
        Unit(listing.path(name), group)
        for name in listing.cover.names
        if _may_have(name, query)
        for group in _groups(catalogue.footer(listing, name), query)
    ]


def _planned_again(catalogue: Catalogue, query: Query, before: Plan, position: int) -> Plan:
    """Plan the rest of a query whose files have been merged. Rows that came meanwhile are read as far as they lie in what is left."""
    plan = planned(catalogue, query)
    return Plan(plan.units, position, min(plan.to_ts, before.to_ts))


def _may_have(name: Name, query: Query) -> bool:
    """Whether a file may have rows of this time or, for their doubles, shortly before or behind."""
    if not name.is_merged:
        return True
    day = day_ts(name.day)
    margin = MARGIN_NS
    return (query.from_ts is None or day + DAY_NS > query.from_ts - margin) and (query.to_ts is None or day < query.to_ts + margin)


def _groups(footer: Footer, query: Query) -> Iterable[Group]:
    margin = MARGIN_NS if query.kind == "trade" else 0
    for group in footer.groups:
        if query.from_ts is not None and group.to_ts < query.from_ts - margin:
            continue
        if query.to_ts is not None and group.from_ts >= query.to_ts + margin:
            continue
        if query.instrument is None or group.first_instrument <= query.instrument <= group.last_instrument:
            yield group
