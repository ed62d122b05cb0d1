"""Keeps the history in PostgreSQL: see `layout` for the tables, and docs/how-to/keep-history-in-postgresql.md for its user's view."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import asyncpg
import msgspec
import pyarrow as pa

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import HistoryError
from crosstape.history import arrow
from crosstape.history.batch import Batch
from crosstape.history.postgres import address, candles, checking, copying, layout
from crosstape.history.postgres.connections import Connections
from crosstape.history.postgres.reading import Reading, batch_of
from crosstape.history.postgres.selecting import IN_ORDER
from crosstape.history.postgres.tables import Tables
from crosstape.history.query import Query
from crosstape.history.store import CheckResult, Position
from crosstape_schemas import KINDS
from crosstape_schemas.timeframes import DAY

if TYPE_CHECKING:
    from crosstape.history.postgres.connections import Connection

ROWS: Final = 10_000
"""Rows of one table that `read` yields, at most."""
WRITE_S: Final = 120
"""A writer that stops in the middle of a commit, as a machine does that loses its network, holds up others no longer than this."""
_FOR_WRITING: Final = (
    f"set local lock_timeout = '{WRITE_S}s'; set local statement_timeout = '{WRITE_S}s'; "
    f"set local idle_in_transaction_session_timeout = '{WRITE_S}s'; set local tcp_keepalives_idle = {WRITE_S // 2}; "
    f"set local tcp_keepalives_interval = {WRITE_S // 12}; set local tcp_keepalives_count = 6; "
    # what is committed is on the disk, whatever the server's default
    "select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'"
)
_FOR_SUMMARIZING: Final = "set local lock_timeout = '50ms'; set local synchronous_commit = off"
"""The server's own cleaning of the table goes first; the next commit extends the index for this one, too."""
_FOR_READING: Final = "set local jit = off; set local work_mem = '64MB'; set local enable_seqscan = off"
"""A plan that takes milliseconds is not worth compiling; a day's rows of all instruments are to be sorted in memory. For a new day the
server has no statistics: it would read all pages, not those that the index names."""
_numbers = msgspec.json.Decoder(tuple[tuple[str, int, int], ...])


class PostgresStore:
    """A `Store` in PostgreSQL 14 or later."""

    def __init__(
        self,
        url: str,
        *,
        keep: Literal["columns", "events"] = "columns",
        connections: int = 8,
        connect_s: float = 10.0,
        command_s: float = 120.0,
    ) -> None:
        """`url`: see `address.parse`. `keep`: the setting `recorder.keep`. No connection is made before it is needed.

        `connections`: how many are used at the same time; whoever needs one more waits at most `connect_s`. `command_s`: longest wait for
        the answer to one statement.
        """
        self._address = address.parse(url)
        self._connections = Connections(self._address, size=connections, connect_s=connect_s, command_s=command_s)
        self._tables = Tables(self._connections)
        self._keep_data = keep == "events"
        self._bytes_written = 0
        self._in_doubt: set[str] = set()
        """Kinds with a commit that was made or not, as far as we know."""

    def __repr__(self) -> str:
        return f"PostgresStore({self._address.shown!r})"

    @property
    def bytes_written(self) -> int:
        """See `Store`."""
        return self._bytes_written

    async def tapes(self) -> Sequence[Identity]:
        """See `Store`."""
        async with self._connections.use("the tapes of the history cannot be read") as connection:
            if not await self._tables.columns(connection, "tapes"):
                return []
            rows = await connection.fetch(f'select id, origin from "{self._address.schema}".tapes order by number')
        return [Identity(row["id"], row["origin"]) for row in rows]

    async def bind(self, tape: Identity, *, after: int) -> bool:
        """See `Store`."""
        await self._tables.prepare_base()
        tapes = f'"{self._address.schema}".tapes'
        async with self._connections.transaction("the history cannot be bound to a tape") as connection:
            await connection.execute(_FOR_WRITING)
            done = await connection.execute(
                f"insert into {tapes} select $1::int + 1, $2, $3 where (select count(*) from {tapes}) = $1::int on conflict do nothing",
                after,
                tape.id,
                tape.origin,
            )
        return bool(done == "INSERT 0 1")

    async def position(self, kind: str) -> Position:
        """See `Store`."""
        async with self._connections.transaction("the position of the history cannot be read") as connection:
            if kind in self._in_doubt:  # wait until the server is through with what it may still have got
                await connection.execute(f'select from "{self._address.schema}".commits where kind = $1 for share', kind)
            position = await self._position(connection, kind)
        self._in_doubt.discard(kind)
        return position

    async def _position(self, connection: Connection, kind: str) -> Position:
        if not await self._tables.columns(connection, kind):
            return Position(0, {})
        schema = self._address.schema
        rows = await connection.fetch(  # one statement: number and marks are of the same commit
            f'select number, stream, id, numbers::text from "{schema}".commits left join "{schema}".marks using (kind) where kind = $1',
            kind,
        )
        marks = {row["stream"]: Bookmark(row["id"], _numbers.decode(row["numbers"])) for row in rows if row["stream"] is not None}
        return Position(rows[0]["number"] if rows else 0, marks)

    async def append(self, batch: Batch, marks: Mapping[str, Bookmark], *, after: int) -> int | None:
        """See `Store`."""
        days = layout.days_of(batch.columns["ts"])  # type: ignore[arg-type]
        for last_attempt in (False, True):
            await self._tables.prepare(batch.kind, days)
            try:
                number = await self._commit(batch, marks, after)
            except HistoryError as exc:
                self._in_doubt.add(batch.kind)
                # No partition for a row, or no table: another process has deleted this day, or everything, since we made it.
                if last_attempt or not isinstance(exc.__cause__, asyncpg.CheckViolationError | asyncpg.UndefinedTableError):
                    raise
                self._tables.forget(batch.kind)
                continue
            if number is not None and len(batch):
                await self._summarize(batch.kind, days)
            return number
        raise AssertionError("unreachable")

    async def _summarize(self, kind: str, days: set[int]) -> None:
        """Say in the index what the new pages have. Until it is done, by us or the server, readers read them all: no reason to fail."""
        statement = layout.summarize(self._address.schema, kind, days)
        if statement is None:
            return
        with contextlib.suppress(HistoryError):
            async with self._connections.transaction("the index of the history cannot be extended") as connection:
                await connection.execute(_FOR_SUMMARIZING)
                await connection.execute(statement)

    async def _commit(self, batch: Batch, marks: Mapping[str, Bookmark], after: int) -> int | None:
        schema, kind = self._address.schema, batch.kind
        async with self._connections.transaction("a commit of the history cannot be made") as connection:
            await connection.execute(_FOR_WRITING)
            # Whoever updates first holds the row until it commits; then this statement finds another number.
            updated = await connection.execute(
                f'update "{schema}".commits set number = number + 1 where kind = $1 and number = $2',
                kind,
                after,
            )
            if updated != "UPDATE 1":
                return None
            if len(batch):
                await connection.copy_to_table(
                    kind, schema_name=schema, columns=layout.column_names(kind), format="csv", source=self._parts(batch)
                )
            await connection.execute(
                f'insert into "{schema}".marks select $1, * from unnest($2::text[], $3::text[], $4::text[]::jsonb[]) '
                "on conflict (kind, stream) do update set id = excluded.id, numbers = excluded.numbers",
                kind,
                list(marks),
                [mark.id for mark in marks.values()],
                [msgspec.json.encode(mark.numbers).decode() for mark in marks.values()],
            )
        return after + 1

    async def _parts(self, batch: Batch) -> AsyncIterator[bytes]:
        """Yield the parts of a batch; asyncpg lets other tasks run after each."""
        for part in copying.parts(batch, self._keep_data):
            self._bytes_written += len(part)
            yield part

    async def read(self, query: Query) -> AsyncIterator[pa.Table]:
        """See `Store`. Everything it yields is of one moment, that of the first part.

        It sorts one day at a time, so days with many rows of all instruments take the server's temporary files, not its memory.
        """
        async with self._snapshot("the history cannot be read") as connection:
            reading = await Reading.of(connection, self._tables, query)
            beginning = None if reading is None else await reading.beginning()
            if reading is None or beginning is None:
                return
            ts, id_ms, id_n, skip = msgspec.structs.astuple(beginning)
            for day in reading.days:
                if (day + 1) * DAY <= ts:
                    continue
                rows = await reading.rows(max(day * DAY, ts), (day + 1) * DAY)
                statement = rows.within(
                    "select * from ({0}) as rows where (ts, id_ms, id_n) >= ({1}, {2}, {3}) " + IN_ORDER + " offset {4}::bigint",
                    ts, id_ms, id_n, skip,
                )  # fmt: skip
                skip = 0
                cursor = await connection.cursor(statement.sql, *statement.arguments)
                while records := await cursor.fetch(ROWS):
                    yield arrow.table_of(batch_of(query.kind, records))

    async def candles(self, query: Query, timeframe: str) -> pa.Table:
        """See `Store`."""
        limit, query = query.limit, msgspec.structs.replace(query, kind="trade", timeframe=None, limit=None)
        async with self._snapshot("candles cannot be computed") as connection:
            reading = await Reading.of(connection, self._tables, query)
            if reading is None:
                return candles.SCHEMA.empty_table()
            trades = await reading.rows(names=candles.TRADE)
            sums = candles.sums(trades, timeframe)
            intervals = await connection.fetch(sums.sql, *sums.arguments)
            ends = candles.at(trades, {row[name] for row in intervals for name in ("first_ts", "last_ts")})
            table = candles.table_of(intervals, await connection.fetch(ends.sql, *ends.arguments))
        return table if limit is None else table.slice(max(0, len(table) - limit))

    async def last(self, query: Query) -> bytes | None:
        """See `Store`."""
        async with self._snapshot("the newest event cannot be read") as connection:
            reading = await Reading.of(connection, self._tables, query)
            record = None if reading is None else await reading.newest()
        if record is None:
            return None
        return arrow.events_of(arrow.table_of(batch_of(query.kind, [record])), query.kind)[0]

    async def compact(self) -> int:
        """See `Store`. Always 0: a commit is rows in the partition of its day, not a file, so there is nothing to merge."""
        return 0

    async def expire(self, *, before_ts: int | None = None, max_bytes: int | None = None) -> int:
        """See `Store`. A day that somebody is reading is deleted by a later call: a reader's rows never vanish under it."""
        async with self._connections.use("the days of the history cannot be listed") as connection:
            partitions = await self._tables.partitions(connection, sizes=True)
        total = sum(one.size for one in partitions)
        rows = 0
        days = sorted({one.day for one in partitions})
        for day in days:
            old = before_ts is not None and (day + 1) * DAY <= before_ts
            large = max_bytes is not None and total > max_bytes and day != days[-1]
            if not old and not large:
                break
            for one in partitions:
                if one.day == day:
                    rows += await self._tables.drop(one) or 0
                    total -= one.size
        return rows

    async def check(self) -> CheckResult:
        """See `Store`."""
        check = checking.Check(self._tables)
        for kind in KINDS:
            async with self._snapshot("the history cannot be verified") as connection:
                if await self._tables.columns(connection, kind):
                    position = await self._position(connection, kind)
                    await check.kind(connection, kind, position.number, position.marks)
        return check.result()

    async def aclose(self) -> None:
        """See `Store`."""
        await self._connections.aclose()

    @contextlib.asynccontextmanager
    async def _snapshot(self, doing: str) -> AsyncIterator[Connection]:
        """Yield a connection on which all statements see the same commits."""
        async with self._connections.transaction(doing, isolation="repeatable_read", readonly=True) as connection:
            await connection.execute(_FOR_READING)
            yield connection
