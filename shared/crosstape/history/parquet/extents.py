"""Finds by the footers of files which of them can have rows that a question asks for, and what must be minded in them.

The files of a history are never changed, so that a footer is read once and kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from crosstape.errors import HistoryError
from crosstape.history.arrow import scale_name
from crosstape.history.query import Query

KEPT_GROUPS: Final = 200_000
"""Row groups whose extents are kept in memory, of all files together; about 60 MB."""


class Files(msgspec.Struct, frozen=True):
    """The files that count and may have rows of a query, or other rows of the same trades: see `doubles`.

    They are not changed. They may be merged and deleted: then reading one raises `FileNotFoundError`, and the files are asked for again.
    """

    names: tuple[str, ...]
    """Of the file system, in the order of their commits."""
    system: pafs.FileSystem
    root: str
    """Folder of the local disk to which the names are relative; empty: they are in a bucket."""
    place: str
    """Address of the history."""


class Numbers(msgspec.Struct, frozen=True):
    """What the statistics say of the numbers of a column."""

    most: Decimal
    """The greatest."""
    scale: int
    """Most digits behind the point."""


class Group(msgspec.Struct, frozen=True):
    """A row group: what its statistics say."""

    file: str
    rows: int
    first_ts: int
    last_ts: int
    instruments: tuple[str, str] | None
    """The lowest and the highest; None: not known."""
    prices: Numbers | None
    """None: not known."""
    sizes: Numbers | None
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


_kept: Final[OrderedDict[tuple[str, str, int], Extent]] = OrderedDict()
_lock: Final = threading.Lock()


def extents_of(files: Files) -> list[Extent]:
    """Returns the extents of files, in their order. Raises `HistoryError` for a torn one, `FileNotFoundError` if one is gone."""
    return [_extent(files, name) for name in files.names]


def _extent(files: Files, name: str) -> Extent:
    # A file is not changed, but a whole history may have been deleted and begun again: then its files have the same names.
    key = (files.place, name, (Path(files.root) / name).stat().st_mtime_ns if files.root else 0)
    with _lock:
        if (found := _kept.get(key)) is not None:
            _kept.move_to_end(key)
            return found
    try:
        with files.system.open_input_file(name) as file:
            made = _read(name, pq.read_metadata(file))
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as exc:
        what = str(exc).partition("\n")[0]
        raise HistoryError(
            f"{files.place}/{name}: is torn, or no Parquet file: {what:.300}; `crosstape recorder check` names all such files"
        ) from exc
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

    def numbers(column: str) -> Numbers | None:
        most, scale = statistics(column), statistics(scale_name(column))
        return None if most is None or scale is None else Numbers(most.max, scale.max)

    ts, instrument, source = map(statistics, ("ts", "instrument", "source"))
    return Group(
        name,
        group.num_rows,
        -(2**63) if ts is None else ts.min,
        2**63 - 1 if ts is None else ts.max,
        None if instrument is None else (instrument.min, instrument.max),
        numbers("price"),
        numbers("size"),
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
