"""Verifies a history in PostgreSQL: reads every row, and compares it with its event, with the numbers of the others and with the marks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history import arrow
from crosstape.history.batch import Batch
from crosstape.history.columns import columns_of
from crosstape.history.numbers import Hole, Numbered, Numbers, Reported
from crosstape.history.postgres import copying, layout, selecting
from crosstape.history.postgres.reading import batch_of
from crosstape.history.postgres.tables import Partition, Tables
from crosstape.history.query import Query
from crosstape.history.store import CheckResult, Finding
from crosstape_schemas.timeframes import DAY

if TYPE_CHECKING:
    from crosstape.history.postgres.connections import Connection

SHOWN: Final = 20
"""Findings of one sort that are listed, at most; of rows, for each day."""
ROWS: Final = 10_000
FETCH_S: Final = 600
"""Longest wait for some rows of a day."""
BORDER_NS: Final = 3_600 * 1_000_000_000
"""How far behind the beginning of its oldest day a kind may lack numbers: of rows that belonged to the day before, which was deleted."""


class Check:
    """Verifies one history, one kind after the other."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._numbers = Numbers()
        self._reported: list[Reported] = []
        self._marks: dict[str, Mapping[str, Bookmark]] = {}
        self._oldest_ts: dict[str, int] = {}
        self._findings: list[Finding] = []
        self._commits = 0
        self._rows = 0

    async def kind(self, connection: Connection, kind: str, number: int, marks: Mapping[str, Bookmark]) -> None:
        """Reads all rows of a kind. `connection`: in a transaction of one moment, in which these are its newest commit and its marks."""
        self._commits += number
        self._marks[kind] = marks
        names = selecting.names(kind, await self._tables.columns(connection, kind))
        for partition in await self._tables.partitions(connection, kind):
            self._oldest_ts.setdefault(kind, partition.day * DAY)
            await self._day(connection, partition, names)

    def result(self) -> CheckResult:
        """Returns what was read and found, after all kinds."""
        for of, first, last in islice(self._numbers.repeated(), SHOWN):
            self._found(_kind(of), f"{_which(of, first, last)} there more than once")
        for hole in islice((hole for hole in self._numbers.holes() if not self._is_explained(hole)), SHOWN):
            self._found(_kind(hole.of), f"{_which(hole.of, hole.first, hole.last)} missing, and no gap event says so")
        for (kind, stream), newest in self._numbers.newest_ids.items():
            ids = [_id(mark.id) for name, mark in self._marks[kind].items() if name.endswith(f":{stream}")]
            if not ids or max(ids) < newest:
                mark = f"its mark is {max(ids)[0]}-{max(ids)[1]}" if ids else "it has no mark"
                self._found(kind, f"the newest row of {stream} is of entry {newest[0]}-{newest[1]}, and {mark}: it would be recorded again")
        return CheckResult(self._commits, self._rows, tuple(self._findings))

    def _found(self, where: str, what: str) -> None:
        self._findings.append(Finding(f"{self._tables.schema}.{where}", what))

    async def _day(self, connection: Connection, partition: Partition, names: str) -> None:
        kind = partition.kind
        where = layout.partition_name(kind, partition.day)
        query = Query(kind=kind, from_ts=partition.day * DAY, to_ts=(partition.day + 1) * DAY, newest_revisions=False)
        rows = selecting.rows(self._tables.schema, query, names, rest=False)
        cursor = await connection.cursor(rows.sql, *rows.arguments)
        shown = 0
        while records := await cursor.fetch(ROWS, timeout=FETCH_S):
            self._rows += len(records)
            batch = batch_of(kind, records)
            for entry, what in islice(_differences(batch), SHOWN - shown):
                self._found(f"{where}, entry {entry}", what)
                shown += 1
            self._numbers.add(kind, arrow.table_of(batch))
            if kind == "gap":
                named = (batch.columns[name] for name in Reported._fields)
                self._reported += [Reported(*gap) for gap in zip(*named, strict=True)]

    def _is_explained(self, hole: Hole) -> bool:
        oldest_ts = max((self._oldest_ts.get(kind, 0) for kind in (_kind(hole.of), "gap")), default=0)
        return hole.to_ts < oldest_ts + BORDER_NS or any(reported.explains(hole) for reported in self._reported)


def _differences(batch: Batch) -> list[tuple[str, str]]:
    """Return the entries of the rows whose columns are not those of the event that they give back, and what is wrong."""
    try:
        again = arrow.batch_of(arrow.table_of(batch), batch.kind)
    except (HistoryError, ValueError):  # one of them; the others are to be verified, too
        again = None
    if again is None or len(again) != len(batch):
        if len(batch) == 1:
            return [(_entry(batch, 0), "it does not give back an event of its kind")]
        half = len(batch) // 2
        return _differences(_rows(batch, slice(0, half))) + _differences(_rows(batch, slice(half, None)))
    found: list[tuple[str, str]] = []
    for column in columns_of(batch.kind):
        values, expected = batch.columns[column.name], again.columns[column.name]
        if values == expected:
            continue
        for row, (value, right) in enumerate(zip(values, expected, strict=True)):
            if value != right and value != copying.storable(right):
                found.append((_entry(batch, row), f"{column.name} is {value!r:.100}, and {right!r:.100} in its event"))
    return found


def _rows(batch: Batch, rows: slice) -> Batch:
    columns = {name: values[rows] for name, values in batch.columns.items()}
    return Batch(batch.kind, columns, batch.data[rows], batch.exact[rows])


def _entry(batch: Batch, row: int) -> str:
    return f"{batch.columns['id_ms'][row]}-{batch.columns['id_n'][row]}"


def _kind(of: Numbered) -> str:
    """Return the kind whose table these events are in."""
    return "status" if of.stream.startswith("venue:") else of.kind.partition(":")[0]


def _which(of: Numbered, first: int, last: int) -> str:
    of_what = f"of {of.venue} in the stream {of.stream}, epoch {of.epoch},"
    return f"number {first} {of_what} is" if first == last else f"numbers {first} to {last} {of_what} are"


def _id(text: str) -> tuple[int, int]:
    ms, _, n = text.partition("-")
    return int(ms), int(n or 0)
