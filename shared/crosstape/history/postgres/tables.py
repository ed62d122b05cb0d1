"""Makes the tables and partitions of a history in PostgreSQL as they are needed, lists them, and drops old ones.

All changes of tables happen under one lock of the schema (`pg_advisory_xact_lock`), so any number of processes may begin at the same time.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from crosstape.errors import HistoryError
from crosstape.history.postgres import layout
from crosstape.history.postgres.connections import Connections
from crosstape_schemas import KINDS

if TYPE_CHECKING:
    from crosstape.history.postgres.connections import Connection

LOCK_S: Final = 10
"""Longest wait for another process that changes tables."""
DROP_LOCK_S: Final = 2
"""Longest wait for those who read a partition that is to be dropped: meanwhile nobody else can read or write its kind."""


class Partition(msgspec.Struct, frozen=True, order=True):
    """The rows of one kind and UTC day."""

    day: int
    """Days since 1970-01-01."""
    kind: str
    size: int
    """Bytes on the disk, with indexes."""


class Tables:
    """The tables of one schema. It remembers what it has made, so that a commit asks the server for nothing."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._schema = connections.address.schema
        self._made: dict[str, set[int]] = {}
        self._has_base = False

    async def prepare_base(self) -> None:
        """Makes the schema, and the tables that all kinds share, if they are not there."""
        if not self._has_base:
            async with self._changing() as connection:
                await self._make_base(connection)
            self._has_base = True

    async def prepare(self, kind: str, days: Iterable[int]) -> None:
        """Makes what is not there of the tables of a kind, and partitions for these days."""
        missing = set(days) - self._made.get(kind, set())
        if kind in self._made and not missing:
            return
        async with self._changing() as connection:
            if kind not in self._made:
                await self._make_base(connection)
                await self._make_kind(connection, kind)
            there = {one.day for one in await self.partitions(connection, kind)}
            for day in missing - there:
                for statement in layout.create_partition(self._schema, kind, day):
                    await connection.execute(statement)
        self._has_base = True
        self._made.setdefault(kind, set()).update(missing, there)

    @property
    def schema(self) -> str:
        """Name of the schema that they are in."""
        return self._schema

    def forget(self, kind: str) -> None:
        """Makes the next `prepare` look again: another process has dropped a partition."""
        self._made.pop(kind, None)

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[Connection]:
        """Yield a connection in a transaction that may change tables."""
        async with self._connections.transaction("the tables of the history cannot be made") as connection:
            await connection.execute(f"set local lock_timeout = '{LOCK_S}s'")
            await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"crosstape {self._schema}")
            yield connection

    async def _make_base(self, connection: Connection) -> None:
        # A user who may not make a schema need not be asked to if it is there.
        if await connection.fetchval("select to_regnamespace($1)::oid", f'"{self._schema}"') is None:
            await self._check_encoding(connection)
            await connection.execute(f'create schema "{self._schema}"')
        if await connection.fetchval("select to_regclass($1)::oid", f'"{self._schema}".marks') is None:
            for statement in layout.create_base(self._schema):
                await connection.execute(statement)

    async def _check_encoding(self, connection: Connection) -> None:
        encoding = await connection.fetchval("select current_setting('server_encoding')")
        if encoding != "UTF8":
            shown = self._connections.address.shown
            raise HistoryError(
                f"{shown}: the encoding of the database is {encoding}; a history needs UTF8, which has every character of a name"
            )

    async def _make_kind(self, connection: Connection, kind: str) -> None:
        existing = await self.columns(connection, kind)
        for statement in layout.add_columns(self._schema, kind, existing) if existing else layout.create_kind(self._schema, kind):
            await connection.execute(statement)
        await connection.execute(f'insert into "{self._schema}".commits values ($1, 0) on conflict do nothing', kind)

    async def columns(self, connection: Connection, kind: str) -> set[str]:
        """Returns the names of the columns that the table of a kind (or another of ours) has now; none if there is no such table."""
        rows = await connection.fetch(
            "select attname::text from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
            layout.table(self._schema, kind),
        )
        return {row["attname"] for row in rows}

    async def partitions(self, connection: Connection, kind: str | None = None, *, sizes: bool = False) -> list[Partition]:
        """Returns the partitions of a kind, or of all, by their days. `sizes`: with their sizes, which are 0 otherwise."""
        names = [layout.table(self._schema, name) for name in ([kind] if kind else KINDS)]
        rows = await connection.fetch(
            f"select relname::text as name, {'pg_total_relation_size(c.oid)' if sizes else '0'} as size "
            "from pg_inherits join pg_class c on c.oid = inhrelid "
            "where inhparent = any (select to_regclass(name) from unnest($1::text[]) name)",
            names,
        )
        found = ((layout.day_of(row["name"]), row["name"].rpartition("_")[0], row["size"]) for row in rows)
        return sorted(Partition(day, of, size) for day, of, size in found if day is not None)

    async def drop(self, one: Partition) -> int | None:
        """Drops a partition. Returns how many rows it had; None: it is being read, or is not there any more."""
        name = layout.partition(self._schema, one.kind, one.day)
        try:
            async with self._connections.use("a day of the history cannot be deleted") as connection, connection.transaction():
                await connection.execute(f"set local lock_timeout = '{DROP_LOCK_S}s'")
                rows: int = await connection.fetchval(f"select count(*) from {name}", timeout=None)
                await connection.execute(f"drop table {name}")
        except Exception as exc:
            if isinstance(exc.__cause__, asyncpg.LockNotAvailableError | asyncpg.UndefinedTableError | asyncpg.DeadlockDetectedError):
                return None
            raise
        finally:
            self.forget(one.kind)
        return rows
