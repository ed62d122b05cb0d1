"""Knows which files of a history count, and what their footers say. Everything here blocks."""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from crosstape.errors import HistoryError
from crosstape.history.parquet import file
from crosstape.history.parquet.folder import Folder, Found
from crosstape.history.parquet.names import Cover, Name, cover, parse
from crosstape_schemas import KINDS

EPOCH: Final = dt.date(1970, 1, 1)
DAY_NS: Final = 86_400 * 10**9
EXPIRED: Final = "expired"
"""Folder of a kind whose file's name says before which day all was deleted."""
ATTEMPTS: Final = 5
"""How often something is read again because files were merged and deleted meanwhile."""
MOST_FOOTERS: Final = 20_000
"""How many footers are remembered; some hundred bytes each."""

T = TypeVar("T")


class Group(msgspec.Struct, frozen=True, gc=False):
    """What the footer says of one row group."""

    index: int
    rows: int
    from_ts: int
    to_ts: int
    """The greatest `ts` in it."""
    first_instrument: str
    last_instrument: str
    size: int
    """Bytes without compression."""


class Footer(msgspec.Struct, frozen=True):
    """What the footer of a file says."""

    rows: int
    groups: tuple[Group, ...]

    @property
    def from_ts(self) -> int:
        """The smallest `ts`; 0 without rows."""
        return min((group.from_ts for group in self.groups), default=0)

    @property
    def to_ts(self) -> int:
        """The greatest `ts`; 0 without rows."""
        return max((group.to_ts for group in self.groups), default=0)


class Listing(msgspec.Struct, frozen=True):
    """The files of one kind at one moment."""

    kind: str
    cover: Cover
    found: Mapping[Name, Found]
    foreign: tuple[Found, ...]
    """Files that are not named as ours."""
    expired: str
    """All days before this one were deleted; empty: none."""

    def path(self, name: Name) -> str:
        """Returns the name of a file relative to the folder of the history."""
        return f"{self.kind}/{name.text}"

    @property
    def sizes(self) -> dict[Name, int]:
        """Bytes of each file."""
        return {name: found.size for name, found in self.found.items()}


class Catalogue:
    """The files of one history, for the threads of one store."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.file_system = folder.file_system()
        self._footers: OrderedDict[tuple[str, int], Footer] = OrderedDict()
        self._lock = threading.Lock()

    def kinds(self) -> list[str]:
        """Returns the kinds of which anything is recorded."""
        tops = {found.name.partition("/")[0] for found in self.folder.files()}
        return sorted(tops & KINDS.keys())

    def listing(self, kind: str) -> Listing:
        """Returns the files of a kind, and which of them count."""
        found: dict[Name, Found] = {}
        foreign: list[Found] = []
        expired = ""
        for one in self.folder.files(f"{kind}/"):
            name = parse(one.name.removeprefix(f"{kind}/"))
            if name is None:
                folder, _, last = one.name.removeprefix(f"{kind}/").rpartition("/")
                if folder == EXPIRED:
                    expired = max(expired, last)
                else:
                    foreign.append(one)
            else:
                found[name] = one
        return Listing(kind, cover(found), found, tuple(foreign), expired)

    def open(self, path: str) -> pq.ParquetFile:
        """Opens a file. Raises `FileNotFoundError` if it is gone, `HistoryError` if it is torn or no Parquet file.

        Close it: it holds a file, or connections.
        """
        with reading(self.folder, path):
            source = self.file_system.open_input_file(path)
            try:
                return pq.ParquetFile(source, pre_buffer=True, page_checksum_verification=True)
            except BaseException:
                source.close()
                raise

    def footer(self, listing: Listing, name: Name) -> Footer:
        """Returns what the footer of a file says, from memory if it was asked for before: files do not change. Raises as `open`."""
        path = listing.path(name)
        key = (path, listing.found[name].changed_ts)
        with self._lock:
            if known := self._footers.get(key):
                self._footers.move_to_end(key)
                return known
        with self.open(path) as opened, reading(self.folder, path):
            footer = footer_of(opened.metadata)
        with self._lock:
            self._footers[key] = footer
            while len(self._footers) > MOST_FOOTERS:
                self._footers.popitem(last=False)
        return footer

    def written(self, path: str) -> file.Footer:
        """Returns what the writer of a file has put into its footer, the marks among it. Raises as `open`."""
        with reading(self.folder, path), self.file_system.open_input_file(path) as source:
            return file.read_footer(source, f"{self.folder.url}/{path}")

    def retried(self, what: str, call: Callable[[], T]) -> T:
        """Returns what a call returns that reads files which may be merged and deleted meanwhile: then it is made again."""
        for _ in range(ATTEMPTS):
            try:
                return call()
            except FileNotFoundError:
                continue
        raise HistoryError(f"{self.folder.url}/{what}: files are deleted faster than they can be read; try again")


class reading:  # noqa: N801 - it is used as a function
    """Names the file where it cannot be read. One that is gone stays `FileNotFoundError`."""

    def __init__(self, folder: Folder, path: str) -> None:
        self._place = f"{folder.url}/{path}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, FileNotFoundError):
            return
        if isinstance(exc, pa.ArrowInvalid | pa.ArrowNotImplementedError):
            raise HistoryError(
                f"{self._place}: is torn, or no file of a history: {_first_line(exc)}; `crosstape recorder check` names all such files"
            ) from exc
        if isinstance(exc, OSError | pa.ArrowException):
            raise HistoryError(f"{self._place}: cannot be read: {_first_line(exc)}") from exc


def _first_line(exc: BaseException) -> str:
    return f"{str(exc).partition(chr(10))[0]:.300}"


def footer_of(metadata: Any) -> Footer:
    """Returns what pyarrow's metadata of a file say."""
    names = {metadata.schema.column(index).name: index for index in range(metadata.num_columns)}
    ts, instrument = names.get("ts"), names.get("instrument")
    if ts is None or instrument is None:
        raise pa.ArrowInvalid("it has no column ts or instrument")
    groups: list[Group] = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if not group.num_rows:
            continue
        times, instruments = group.column(ts).statistics, group.column(instrument).statistics
        if times is None or instruments is None or not (times.has_min_max and instruments.has_min_max):
            raise pa.ArrowInvalid("its columns ts and instrument have no statistics")
        groups.append(Group(index, group.num_rows, times.min, times.max, instruments.min, instruments.max, group.total_byte_size))
    return Footer(metadata.num_rows, tuple(groups))


def day_ts(day: str) -> int:
    """Returns when a day begins, `2026-11-30`: ns since the epoch."""
    return (dt.date.fromisoformat(day) - EPOCH).days * DAY_NS


def day_of(ts: int) -> str:
    """Returns the day of a moment, in UTC; the first or last day there is, for one beyond."""
    days = min(max(ts // DAY_NS, (dt.date.min - EPOCH).days), (dt.date.max - EPOCH).days)
    return (EPOCH + dt.timedelta(days=days)).isoformat()
