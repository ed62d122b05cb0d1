"""Finds by the footers of files which of them can have rows that a question asks for, and how many.

The files of a history are never changed, so that a footer is read once and kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from crosstape.errors import HistoryError
from crosstape.history.parquet.folder import Folder, LocalFolder
from crosstape.history.query import Query

KEPT_GROUPS: Final = 200_000
"""Row groups whose extents are kept in memory, of all files together; about 60 MB."""
PART_ROWS: Final = 100_000
"""Rows of one part of an answer, about."""

Span: TypeAlias = tuple[int, int]
"""From this `ts` on, and before that one; ns."""


class Files(msgspec.Struct, frozen=True):
    """Files of one kind that are asked together: each row of the history is in one of them."""

    names: tuple[str, ...]
    """Of the file system, in any order."""
    system: pafs.FileSystem
    root: str
    """Folder of the local disk to which the names are relative; empty: they are read by `system` alone."""
    place: str
    """What tells these from files of the same names elsewhere: the address of the store."""

    @classmethod
    def in_folder(cls, folder: Folder, names: Iterable[str]) -> Files:
        """Returns files of a folder, by their names in it."""
        root = str(folder.path) if isinstance(folder, LocalFolder) else ""
        return cls(tuple(names), folder.file_system(), root, folder.url)

    def of(self, names: Iterable[str]) -> Files:
        """Returns some of these files."""
        return msgspec.structs.replace(self, names=tuple(names))


class Group(msgspec.Struct, frozen=True):
    """A row group: what its statistics say."""

    file: str
    rows: int
    first_ts: int
    last_ts: int
    instruments: tuple[str, str] | None
    """The lowest and the highest; None: not known."""
    scale: int | None
    """Most digits behind the point of a price; None: not known."""
    odd: bool
    """Whether a price or size may be null, because its digits do not fit."""
    fetched: bool
    """Whether rows may come from `Source.REST`."""

    def matches(self, query: Query) -> bool:
        """Whether rows of it may be wanted."""
        if query.instrument is not None and self.instruments is not None:
            lowest, highest = self.instruments
            if not lowest <= query.instrument <= highest:
                return False
        return (query.to_ts is None or self.first_ts < query.to_ts) and (query.from_ts is None or self.last_ts >= query.from_ts)


class Extent(msgspec.Struct, frozen=True):
    """What the footer of a file says."""

    columns: tuple[str, ...]
    groups: tuple[Group, ...]


_kept: Final[OrderedDict[tuple[str, str], Extent]] = OrderedDict()
_lock: Final = threading.Lock()


def extents_of(files: Files) -> list[Extent]:
    """Returns the extents of files, in their order. Raises `HistoryError` for one that cannot be read."""
    return [_extent(files, name) for name in files.names]


def _extent(files: Files, name: str) -> Extent:
    key = (files.place, name)
    with _lock:
        if (found := _kept.get(key)) is not None:
            _kept.move_to_end(key)
            return found
    try:
        with files.system.open_input_file(name) as file:
            made = _read(name, pq.read_metadata(file))
    except (OSError, pa.ArrowException) as exc:
        raise HistoryError(f"{files.place}/{name}: cannot be read: {str(exc).partition(chr(10))[0]:.300}") from exc
    with _lock:
        _kept[key] = made
        groups = sum(len(extent.groups) for extent in _kept.values()) if len(_kept) % 64 == 0 else 0
        while groups > KEPT_GROUPS and len(_kept) > 1:
            _, dropped = _kept.popitem(last=False)
            groups -= len(dropped.groups)
    return made


def _read(name: str, footer: Any) -> Extent:
    columns = tuple(footer.schema.to_arrow_schema().names)
    places = {column: place for place, column in enumerate(columns)}
    groups = (_group(name, footer.row_group(number), places) for number in range(footer.num_row_groups))
    return Extent(columns, tuple(group for group in groups if group.rows))


def _group(name: str, group: Any, places: dict[str, int]) -> Group:
    def statistics(column: str) -> Any:
        place = places.get(column)
        found = None if place is None else group.column(place).statistics
        return found if found is not None and found.has_min_max else None

    ts, instrument, source, scale = map(statistics, ("ts", "instrument", "source", "price_scale"))
    return Group(
        name,
        group.num_rows,
        -(2**63) if ts is None else ts.min,
        2**63 - 1 if ts is None else ts.max,
        None if instrument is None else (instrument.min, instrument.max),
        None if scale is None else scale.max,
        any(_may_have_null(group, places.get(column)) for column in ("price", "size")),
        source is None or source.min <= "rest" <= source.max,
    )


def _may_have_null(group: Any, place: int | None) -> bool:
    if place is None:
        return True
    found = group.column(place).statistics
    return found is None or not found.has_null_count or found.null_count > 0


def matching(extents: Iterable[Extent], query: Query) -> list[Group]:
    """Returns the row groups that may have rows of the query."""
    return [group for extent in extents for group in extent.groups if group.matches(query)]


def parts(groups: Sequence[Group], query: Query) -> Iterator[tuple[Span, tuple[str, ...]]]:
    """Yields spans of time, oldest first, of about `PART_ROWS` rows each, with the files that have rows of them.

    Row groups say when they begin and end: in between, rows are taken to be spread evenly. Two spans never share a moment.
    """
    low = min((group.first_ts for group in groups), default=0) if query.from_ts is None else query.from_ts
    high = max((group.last_ts for group in groups), default=-1) + 1 if query.to_ts is None else query.to_ts
    edges = _edges(groups, low, high)
    ordered = sorted(groups, key=lambda group: group.first_ts)
    active: list[Group] = []
    at = 0
    for begin, end in pairwise(edges):
        active = [group for group in active if group.last_ts >= begin]
        while at < len(ordered) and ordered[at].first_ts < end:
            if ordered[at].last_ts >= begin:
                active.append(ordered[at])
            at += 1
        if active:
            yield (begin, end), tuple(dict.fromkeys(group.file for group in active))


def _edges(groups: Sequence[Group], low: int, high: int) -> list[int]:
    """Return the moments between which there are about `PART_ROWS` rows."""
    changes: dict[int, float] = {low: 0.0, high: 0.0}
    for group in groups:
        length = group.last_ts - group.first_ts + 1
        for moment, sign in ((group.first_ts, 1), (group.last_ts + 1, -1)):
            within = min(max(moment, low), high)
            changes[within] = changes.get(within, 0.0) + sign * group.rows / length
    edges, rows, density = [low], 0.0, 0.0
    moments = sorted(changes)
    for begin, end in pairwise(moments):
        density += changes[begin]
        at = begin
        while density > 0 and rows + density * (end - at) > PART_ROWS:
            at += max(1, int((PART_ROWS - rows) / density))
            if at >= end:
                break
            edges.append(at)
            rows = 0.0
        rows += max(0.0, density) * max(0, end - at)
        if not density > 1e-12 and rows:  # an empty stretch: begin behind it
            edges.append(end)
            rows = 0.0
    edges.append(high)
    return sorted(set(edges))
