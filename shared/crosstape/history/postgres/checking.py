"""Verifies a history in PostgreSQL: reads every row, and compares it with its event, with the other rows and with the marks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history import arrow
from crosstape.history.batch import Batch, Source
from crosstape.history.columns import columns_of
from crosstape.history.postgres import copying, layout, selecting
from crosstape.history.postgres.reading import batch_of
from crosstape.history.postgres.tables import Partition, Tables
from crosstape.history.query import Query
from crosstape.history.store import Finding
from crosstape_schemas.event import VENUE_WIDE
from crosstape_schemas.timeframes import DAY

if TYPE_CHECKING:
    from crosstape.history.postgres.connections import Connection

SHOWN: Final = 20
"""Findings of one sort that are listed for one day of a kind, at most."""
ROWS: Final = 10_000
DAY_S: Final = 3_600
"""Longest wait for the server to go through the rows of one day."""


class Day:
    """Verifies the rows of one kind and day."""

    def __init__(self, connection: Connection, tables: Tables, partition: Partition) -> None:
        """`connection`: in a transaction."""
        self.rows = 0
        """How many were read."""
        self.findings: list[Finding] = []
        self._connection = connection
        self._tables = tables
        self._kind = partition.kind
        self._query = Query(
            kind=partition.kind, from_ts=partition.day * DAY, to_ts=(partition.day + 1) * DAY, newest_revisions=False
        )  # fmt: skip
        self._where = layout.partition(tables.schema, partition.kind, partition.day).replace('"', "")

    async def run(self) -> None:
        """Reads all rows, and adds what is wrong to `findings`."""
        await self._find_doubles()
        existing = await self._tables.columns(self._connection, self._kind)
        rows = selecting.rows(self._tables.schema, self._query, selecting.names(self._kind, existing), rest=False)
        cursor = await self._connection.cursor(rows.sql, *rows.arguments)
        differing: list[Finding] = []
        while records := await cursor.fetch(ROWS, timeout=DAY_S):
            self.rows += len(records)
            differing += islice(self._differences(batch_of(self._kind, records)), SHOWN - len(differing))
        self.findings += differing

    async def _find_doubles(self) -> None:
        """Find entries of a stream that are there twice: with the same number of the same producer."""
        timeframe = ", timeframe" if self._kind in layout.REVISED else ""
        of = selecting.where(self._query)
        doubles = await self._connection.fetch(
            f"select venue, instrument{timeframe or ', null as timeframe'}, epoch, seq, count(*) as rows "
            f"from {layout.table(self._tables.schema, self._kind)} where {of.sql} and source = '{Source.TAPE.value}' and seq > 0 "
            f"group by venue, instrument{timeframe}, epoch, seq having count(*) > 1 order by epoch, seq limit {SHOWN}",
            *of.arguments,
            timeout=DAY_S,
        )
        for row in doubles:
            of_what = " ".join(filter(None, (row["venue"], row["instrument"], row["timeframe"])))
            what = f"{row['rows']} rows of {of_what} have the number {row['seq']} of epoch {row['epoch']}: an entry is there more than once"
            self.findings.append(Finding(self._where, what))

    def _differences(self, batch: Batch) -> list[Finding]:
        """Return the rows whose columns are not those of the event that they give back."""
        found: list[Finding] = []
        try:
            again = arrow.batch_of(arrow.table_of(batch), self._kind)
        except (HistoryError, ValueError):  # one of them; the others are to be verified, too
            if len(batch) == 1:
                return [Finding(self._row(batch, 0), "it does not give back an event of its kind")]
            half = len(batch) // 2
            return self._differences(_rows(batch, slice(0, half))) + self._differences(_rows(batch, slice(half, None)))
        if len(again) != len(batch):
            return [Finding(self._where, f"{len(batch) - len(again)} rows do not give back an event")]
        for column in columns_of(self._kind):
            values, expected = batch.columns[column.name], again.columns[column.name]
            if values == expected:
                continue
            for row, (value, right) in enumerate(zip(values, expected, strict=True)):
                if value != right and value != copying.storable(right):
                    found.append(Finding(self._row(batch, row), f"{column.name} is {value!r:.100}, and {right!r:.100} in its event"))
        return found

    def _row(self, batch: Batch, row: int) -> str:
        return f"{self._where}, entry {batch.columns['id_ms'][row]}-{batch.columns['id_n'][row]}"


def _rows(batch: Batch, rows: slice) -> Batch:
    columns = {name: values[rows] for name, values in batch.columns.items()}
    return Batch(batch.kind, columns, batch.data[rows], batch.exact[rows])


async def beyond_marks(connection: Connection, schema: str, kind: str, marks: Mapping[str, Bookmark]) -> list[Finding]:
    """Returns the streams of a kind whose newest row is not covered by a mark: a recorder would record it again."""
    timeframe = "timeframe" if kind in layout.REVISED else "null"
    rows = await connection.fetch(
        f"select venue, instrument, {timeframe} as timeframe, max(array[id_ms, id_n]) as id "
        f"from {layout.table(schema, kind)} where source = '{Source.TAPE.value}' group by 1, 2, 3 order by 1, 2, 3",
        timeout=DAY_S,
    )
    found: list[Finding] = []
    for row in rows:
        stream = _stream(kind, row["venue"], row["instrument"], row["timeframe"])
        ids = [_id(mark.id) for name, mark in marks.items() if name.endswith(stream)]
        newest: Any = tuple(row["id"])
        if not ids or max(ids) < newest:
            mark = f"the mark is {max(ids)[0]}-{max(ids)[1]}" if ids else "there is no mark"
            what = f"its newest row is of entry {newest[0]}-{newest[1]}, and {mark}: a recorder would record it again"
            found.append(Finding(f"{schema}.{kind}, stream …{stream}", what))
    return found


def _stream(kind: str, venue: str, instrument: str, timeframe: str | None) -> str:
    """Return how the name of the stream of such an event ends."""
    if instrument == VENUE_WIDE:
        return f":venue:{venue}"
    return f":{kind}:{timeframe}:{instrument}" if timeframe else f":{kind}:{instrument}"


def _id(text: str) -> tuple[int, int]:
    ms, _, n = text.partition("-")
    return int(ms), int(n or 0)
