"""Reads the rows of one query in the moment of one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from crosstape.errors import HistoryError
from crosstape.history.batch import Batch
from crosstape.history.columns import columns_of
from crosstape.history.postgres import layout, selecting
from crosstape.history.postgres.selecting import Statement
from crosstape.history.postgres.tables import Tables
from crosstape.history.query import Query
from crosstape.history.same_rows import SAME
from crosstape_schemas import KINDS
from crosstape_schemas.timeframes import DAY, SECOND

if TYPE_CHECKING:
    from crosstape.history.postgres.connections import Connection

WIDER: Final = 8
"""The newest rows are looked for in the newest second and day first, then each time in so many times as many."""
KEY: Final = "ts, id_ms, id_n"


class Beginning(msgspec.Struct, frozen=True):
    """Where the newest rows begin, in the order of `ts`, `id_ms`, `id_n`."""

    ts: int
    id_ms: int
    id_n: int
    skip: int = 0
    """Rows with exactly this time and id that are too many."""


class Reading:
    """A query, and what the server has for it."""

    def __init__(self, connection: Connection, schema: str, query: Query, existing: set[str], days: Sequence[int]) -> None:
        self._connection = connection
        self._schema = schema
        self._query = query
        self._table = layout.table(schema, query.kind)
        self._names = selecting.names(query.kind, existing)
        first, last = selecting.from_ts(query), selecting.to_ts(query)
        self.days = [day for day in days if day * DAY < last and (day + 1) * DAY > first]
        """Days of its range that have a partition, oldest first."""

    @classmethod
    async def of(cls, connection: Connection, tables: Tables, query: Query) -> Reading | None:
        """Returns the reading of a query; None: nothing of its kind was ever recorded. `connection`: in a transaction."""
        if query.kind not in KINDS:
            raise HistoryError(f"there is no kind {query.kind!r:.50}; there are {', '.join(KINDS)}")
        existing = await tables.columns(connection, query.kind)
        if not existing:
            return None
        days = [one.day for one in await tables.partitions(connection, query.kind)]
        return cls(connection, tables.schema, query, existing, days)

    async def rows(self, from_ts: int | None = None, to_ts: int | None = None, names: str = "") -> Statement:
        """Returns the statement of the query's rows in this range; `names`: what to select of each, without it all columns."""
        query = self._narrowed(from_ts, to_ts)
        rest = False
        if query.kind in SAME:
            any_rest = selecting.any_rest(self._schema, query)
            rest = await self._connection.fetchval(any_rest.sql, *any_rest.arguments)
        return selecting.rows(self._schema, query, names or self._names, rest=rest)

    async def beginning(self) -> Beginning | None:
        """Returns where the newest `limit` rows begin; None: there are no rows. Without a limit, it is before all of them."""
        limit = self._query.limit
        if limit is None:
            return Beginning(selecting.LEAST, selecting.LEAST, selecting.LEAST)
        found: asyncpg.Record | None = None
        for day in reversed(self.days):
            if limit <= 0:
                break
            record = await self._first_of_newest(day, limit)
            if record is not None:
                found = record
                limit -= record["rows"]
        if found is None:
            return None
        ts, id_ms, id_n = found["ts"], found["id_ms"], found["id_n"]
        # Trades that were fetched together may have one time and one id: some of them are in, some out.
        same = (await self.rows(ts, ts + 1, KEY)).within("select count(*) from ({0}) as rows where id_ms = {1} and id_n = {2}", id_ms, id_n)
        return Beginning(ts, id_ms, id_n, await self._connection.fetchval(same.sql, *same.arguments) - found["same"])

    async def _first_of_newest(self, day: int, limit: int) -> asyncpg.Record | None:
        """Return where the newest `limit` rows of a day begin, and how many they are; None: there are none."""
        record: asyncpg.Record | None = None
        for first_ts in await self._beginnings(day, selecting.to_ts(self._query)):
            rows = await self.rows(first_ts, (day + 1) * DAY, KEY)
            newest = rows.within(f"select * from ({{0}}) as rows {selecting.NEWEST_FIRST} limit {{1}}::bigint", limit)
            counted = f"select {KEY}, count(*) over () as rows, count(*) over (partition by {KEY}) as same from ({{0}}) as newest"
            first = newest.within(f"{counted} {selecting.IN_ORDER} limit 1")
            record = await self._connection.fetchrow(first.sql, *first.arguments)
            if record is not None and record["rows"] == limit:
                break
        return record

    async def newest(self) -> asyncpg.Record | None:
        """Returns the newest row, with all columns."""
        end, days, width = selecting.to_ts(self._query), self.days, 1
        while days:
            of = selecting.where(self._narrowed(days[-width:][0] * DAY, end))
            if await self._connection.fetchval(f"select exists (select from {self._table} where {of.sql})", *of.arguments):
                for day in reversed(days[-width:]):
                    record = await self._newest_of(day, end)
                    if record is not None:
                        return record
            days, width = days[:-width], width * WIDER
        return None

    async def _newest_of(self, day: int, end: int) -> asyncpg.Record | None:
        """Return the newest row of a day before `end`."""
        for first_ts in await self._beginnings(day, end):
            while True:
                of = selecting.where(self._narrowed(first_ts, min(end, (day + 1) * DAY)))
                ts = await self._connection.fetchval(f"select max(ts) from {self._table} where {of.sql}", *of.arguments)
                if ts is None:
                    break
                rows = (await self.rows(ts, ts + 1)).within(f"select * from ({{0}}) as rows {selecting.NEWEST_FIRST} limit 1")
                record: asyncpg.Record | None = await self._connection.fetchrow(rows.sql, *rows.arguments)
                if record is not None:
                    return record
                end = ts  # all that is there came by REST, and the tape has it at another moment
        return None

    async def _beginnings(self, day: int, end: int) -> list[int]:
        """Return times from which on the newest rows of a day may be found, each further back than the one before; the last is its first.

        Rows are written nearly as they happen, so those at the table's end say about when the newest was.
        """
        if self._query.kind in layout.SMALL:
            return [day * DAY]
        name = layout.partition(self._schema, self._query.kind, day)
        pages = await self._connection.fetchval(f"select pg_relation_size('{name}') / current_setting('block_size')::int")
        near = await self._connection.fetchval(f"select max(ts) from {name} where ctid >= '({max(0, pages - layout.PAGES)},0)'::tid")
        near = (day + 1) * DAY if near is None else near
        near, found, length = min(near, end), [], SECOND
        while near - length > day * DAY:
            found.append(near - length)
            length *= WIDER
        return [*found, day * DAY]

    def _narrowed(self, from_ts: int | None, to_ts: int | None) -> Query:
        """Return the query for the part of its range that is in `[from_ts, to_ts)`."""
        first, last = selecting.from_ts(self._query), selecting.to_ts(self._query)
        first = first if from_ts is None else max(first, from_ts)
        last = last if to_ts is None else min(last, to_ts)
        return msgspec.structs.replace(self._query, from_ts=first, to_ts=last)


def batch_of(kind: str, records: Sequence[asyncpg.Record]) -> Batch:
    """Returns rows that were selected by `selecting.names` as a batch."""
    *columns, data = map(list, zip(*records, strict=True))
    exact = [one is None for one in data]
    names = (column.name for column in columns_of(kind))
    found: dict[str, list[Any]] = dict(zip(names, columns, strict=True))
    return Batch(kind, found, [one or b"" for one in data], exact)
