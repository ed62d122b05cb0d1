"""Verifies a history: reads every file that counts, and compares it with its footer, its name, its neighbours and the marks.

Everything here blocks. A file that cannot be read is named, and the others are read all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history.arrow import DATA, DECIMAL, scale_name
from crosstape.history.columns import ColumnType, columns_of
from crosstape.history.numbers import Hole, Numbered, Numbers, Reported
from crosstape.history.parquet.catalogue import DAY_NS, Catalogue, Listing, day_ts, reading
from crosstape.history.parquet.committing import TAPES
from crosstape.history.parquet.compaction import KEPT_S
from crosstape.history.parquet.file import ORDER, added, sums_of
from crosstape.history.parquet.names import Name
from crosstape.history.parquet.rows import conformed
from crosstape.history.store import CheckResult, Finding
from crosstape_schemas import KINDS

SHOWN: Final = 20
"""Findings of one sort that are listed, at most."""


class Check:
    """Verifies one history."""

    def __init__(self, catalogue: Catalogue, clock: Callable[[], int] = time.time_ns) -> None:
        self._catalogue = catalogue
        self._folder = catalogue.folder
        self._clock = clock
        self._numbers = Numbers()
        self._reported: list[Reported] = []
        self._marks: dict[str, Mapping[str, Bookmark]] = {}
        self._expired: dict[str, str] = {}
        self._unread: set[str] = set()
        """Kinds of which a file could not be read."""
        self._findings: list[Finding] = []
        self._commits = 0
        self._rows = 0

    def steps(self) -> Iterator[int]:
        """Reads a file after the other; yields 0 after each. Then `result` has what was found."""
        self._find_strangers()
        for kind in self._catalogue.kinds():
            yield from self._kind(kind)
        self._check_numbers()

    def result(self) -> CheckResult:
        """Returns what was read and found."""
        return CheckResult(self._commits, self._rows, tuple(self._findings))

    def _found(self, where: str, what: str) -> None:
        self._findings.append(Finding(f"{self._folder.url}/{where}".rstrip("/"), what))

    def _find_strangers(self) -> None:
        """Find what is not part of the history."""
        tops = {found.name.partition("/")[0] for found in self._folder.files()} - KINDS.keys() - {TAPES}
        for top in islice(sorted(tops), SHOWN):
            self._found(top, "it is no part of the history, and nothing reads it: move it away")
        old = self._clock() - KEPT_S * 10**9
        for found in islice((found for found in self._folder.leftovers() if found.changed_ts < old), SHOWN):
            self._found(found.name, "a process left it that was killed while it wrote; the next merging deletes it")

    def _kind(self, kind: str) -> Iterator[int]:
        listing = self._catalogue.listing(kind)
        self._expired[kind] = listing.expired
        for one in listing.foreign[:SHOWN]:
            self._found(one.name, "its name is none of the history's, and nothing reads it: move it away")
        for first, last in listing.cover.missing:
            which = f"commit {first} is" if first == last else f"commits {first} to {last} are"
            self._found(kind, f"{which} missing, or some of the files of merged ones")
        for stretch in listing.cover.stretches:
            self._commits += stretch.last - stretch.first + 1
            for name in stretch.names:
                self._file(listing, name)
                yield 0

    def _file(self, listing: Listing, name: Name) -> None:
        path = listing.path(name)
        try:
            self._verify(listing, name)
        except FileNotFoundError:
            if name in self._catalogue.listing(listing.kind).cover.names:
                self._unread.add(listing.kind)
                self._found(path, "it is listed, and cannot be opened")
        except HistoryError as exc:
            self._unread.add(listing.kind)
            self._found(path, f"it cannot be read: {str(exc).removeprefix(f'{self._folder.url}/{path}: ')}")

    def _verify(self, listing: Listing, name: Name) -> None:
        kind, path = listing.kind, listing.path(name)
        written = self._catalogue.written(path)
        if written.kind != kind:
            self._unread.add(kind)
            self._found(path, f"its events are of the kind {written.kind}")
            return
        if listing.cover.newest == name.last and name.has_marks:
            self._marks[kind] = written.marks
        rows, sums, before = 0, [], None
        wrong: dict[str, int] = {}
        with self._catalogue.open(path) as file, reading(self._folder, path):
            names = [one.name for one in conformed(file.schema_arrow.empty_table(), kind, _names(kind)).schema]
            for index in range(file.num_row_groups):
                table = conformed(file.read_row_group(index), kind, names)
                if not len(table):
                    continue
                rows += len(table)
                sums.append(sums_of(table))
                for what in _wrong(table, kind, name):
                    wrong[what] = wrong.get(what, 0) + 1
                ends = table.select([column for column, _ in ORDER])
                first = tuple(ends.slice(0, 1).to_pylist()[0].values())
                if not _is_sorted(ends) or (before is not None and first < before):
                    wrong["rows are not in the order of instrument and time: questions may miss some"] = 1
                before = tuple(ends.slice(len(ends) - 1).to_pylist()[0].values())
                self._numbers.add(kind, table)
                if kind == "gap":
                    gaps = table.select(["venue", "instrument", "kind", "from_ts", "to_ts"]).to_pylist()
                    self._reported += [Reported(**gap) for gap in gaps]
        self._rows += rows
        if rows != written.rows:
            self._found(path, f"it has {rows} rows, and its footer says {written.rows}")
        for column, total in added(sums).items():
            if total != written.sums.get(column, total):
                self._found(path, f"the sum of {column} is {total:f}, and its footer says {written.sums[column]:f}")
        for what in wrong:
            self._found(path, what)

    def _check_numbers(self) -> None:
        """Find numbers that are missing or there twice, and rows that a recorder would record again."""
        for of, first, last in islice(self._numbers.repeated(), SHOWN):
            self._found(_kind(of), f"{_which(of, first, last)} there more than once")
        unexplained = [hole for hole in self._numbers.holes() if not self._is_explained(hole)]
        hidden = {_kind(hole.of) for hole in unexplained if self._may_be_unread(hole)}
        for kind in sorted(hidden):
            self._found(kind, "numbers are missing that a file that cannot be read may have, or explain: they are not listed")
        for hole in islice((hole for hole in unexplained if _kind(hole.of) not in hidden), SHOWN):
            self._found(_kind(hole.of), f"{_which(hole.of, hole.first, hole.last)} missing, and no gap event says so")
        for (kind, stream), newest in self._numbers.newest_ids.items():
            ids = [_id(mark.id) for name, mark in self._marks.get(kind, {}).items() if name.endswith(f":{stream}")]
            if kind in self._marks and (not ids or max(ids) < newest):
                mark = f"its mark is {max(ids)[0]}-{max(ids)[1]}" if ids else "it has no mark"
                self._found(kind, f"the newest row of {stream} is of entry {newest[0]}-{newest[1]}, and {mark}: it would be recorded again")

    def _may_be_unread(self, hole: Hole) -> bool:
        """Whether a file that could not be read may have the missing events, or the gap that says why they are missing."""
        return not self._unread.isdisjoint({_kind(hole.of), "gap"})

    def _is_explained(self, hole: Hole) -> bool:
        expired = max((self._expired.get(kind, "") for kind in (_kind(hole.of), "gap")), default="")
        if expired and hole.to_ts < day_ts(expired) + DAY_NS:  # events near the end of a day are not in the order of their time
            return True
        return any(reported.explains(hole) for reported in self._reported)


def _names(kind: str) -> list[str]:
    names: list[str] = []
    for column in columns_of(kind):
        names += [column.name, scale_name(column.name)] if column.type is ColumnType.DECIMAL else [column.name]
    return [*names, DATA]


def _wrong(table: pa.Table, kind: str, name: Name) -> Iterator[str]:
    """Yield what is wrong with rows that can be read."""
    times = pc.min_max(table.column("ts")).as_py()
    if name.is_merged and not (day_ts(name.day) <= times["min"] and times["max"] < day_ts(name.day) + DAY_NS):
        yield f"rows are of another day than {name.day}"
    without = pc.is_null(table.column(DATA))
    for column in columns_of(kind):
        values = table.column(column.name)
        if not column.nullable and values.null_count and pc.any(pc.and_(pc.is_null(values), without)).as_py():
            yield f"{column.name} is null where an event has a value, and {DATA} is, too"
        if column.type is ColumnType.DECIMAL and not _has_scale(values, table.column(scale_name(column.name))):
            yield f"{column.name} has more digits than {scale_name(column.name)} says"


def _has_scale(values: pa.ChunkedArray, scales: pa.ChunkedArray) -> bool:
    """Whether each decimal has at most so many digits behind the point as its scale says, and a scale where it has a value."""
    if pc.any(pc.xor(pc.is_null(values), pc.is_null(scales))).as_py():
        return False
    for scale in pc.unique(scales).to_pylist():
        if scale is None:
            continue
        if not 0 <= scale <= DECIMAL.scale:
            return False
        try:
            values.filter(pc.equal(scales, scale)).cast(pa.decimal128(DECIMAL.precision, scale))
        except pa.ArrowInvalid:
            return False
    return True


def _is_sorted(table: pa.Table) -> bool:
    before, following = table.slice(0, len(table) - 1), table.slice(1)
    equal, wrong = pa.scalar(True), pa.scalar(False)
    for name in table.column_names:
        one, other = before.column(name), following.column(name)
        wrong = pc.or_(wrong, pc.and_(equal, pc.greater(one, other)))
        equal = pc.and_(equal, pc.equal(one, other))
    return len(table) < 2 or not pc.any(wrong).as_py()


def _kind(of: Numbered) -> str:
    return "status" if of.stream.startswith("venue:") else of.kind.partition(":")[0]


def _which(of: Numbered, first: int, last: int) -> str:
    of_what = f"of {of.venue} in {of.stream}, epoch {of.epoch},"
    return f"number {first} {of_what} is" if first == last else f"numbers {first} to {last} {of_what} are"


def _id(text: str) -> tuple[int, int]:
    ms, _, n = text.partition("-")
    return int(ms), int(n or 0)
