"""A history in memory, for tests of what reads and writes one: rows are Arrow tables, made as a store of files makes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.history import text_events
from crosstape.history.arrow import events_of, schema_of, table_of
from crosstape.history.batch import Batch, Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.query import Query
from crosstape.history.store import CheckResult, Position
from crosstape_schemas import Event, encode

SAME = {"trade": ("venue", "instrument", "trade_id"), "candle": ("venue", "instrument", "timeframe", "open_ts")}


class RowsInMemory:
    """The parts of a store that gaps and repairs use."""

    def __init__(self) -> None:
        self.commits: dict[str, list[pa.Table]] = {}
        self.part = 16
        self.races = 0
        """How many of the next commits another process is to be earlier than."""

    def add(self, kind: str, *events: Event, source: Source = Source.TAPE) -> None:
        """Write events as one commit, as a recorder does."""
        builder = BatchBuilder(kind)
        for number, event in enumerate(events):
            data = encode(event)
            builder.add(event.received_ts // 10**6, number, text_events.decode(data), data, source)
        self.commits.setdefault(kind, []).append(table_of(builder.build()))

    def rows(self, kind: str) -> pa.Table:
        """All rows that count, in order."""
        tables = self.commits.get(kind, [])
        table = pa.concat_tables(tables) if tables else schema_of(kind).empty_table()
        if kind in SAME:
            rows = table.to_pylist()
            taped = {tuple(row[name] for name in SAME[kind]) for row in rows if row["source"] != Source.REST.value}
            there = [row["source"] != Source.REST.value or tuple(row[name] for name in SAME[kind]) not in taped for row in rows]
            table = table.filter(pa.array(there, pa.bool_()))
        return table.sort_by([("ts", "ascending"), ("id_ms", "ascending"), ("id_n", "ascending")])

    @property
    def bytes_written(self) -> int:
        """See `Store`."""
        return 0

    async def tapes(self) -> Sequence[Identity]:
        """See `Store`."""
        return ()

    async def bind(self, tape: Identity, *, after: int) -> bool:
        """See `Store`."""
        return True

    async def position(self, kind: str) -> Position:
        """See `Store`."""
        return Position(len(self.commits.get(kind, [])), {})

    async def append(self, batch: Batch, marks: Mapping[str, Bookmark], *, after: int) -> int | None:
        """See `Store`."""
        if self.races:
            self.races -= 1
            self.commits.setdefault(batch.kind, []).append(schema_of(batch.kind).empty_table())
        commits = self.commits.setdefault(batch.kind, [])
        if after != len(commits):
            return None
        commits.append(table_of(batch))
        return len(commits)

    async def read(self, query: Query) -> AsyncIterator[pa.Table]:
        """See `Store`; in parts of `part` rows."""
        table = self.rows(query.kind)
        for name in ("instrument", "venue", "timeframe"):
            if (value := getattr(query, name)) is not None:
                table = table.filter(pc.equal(table.column(name), value))
        if query.from_ts is not None:
            table = table.filter(pc.greater_equal(table.column("ts"), query.from_ts))
        if query.to_ts is not None:
            table = table.filter(pc.less(table.column("ts"), query.to_ts))
        if query.newest_revisions and query.kind in {"bar", "candle"}:
            newest: dict[object, tuple[int, int]] = {}
            for at, row in enumerate(table.to_pylist()):
                key = row["venue"], row["instrument"], row["timeframe"], row["open_ts"]
                newest[key] = max(newest.get(key, (-1, 0)), (row["revision"], at))
            table = table.take(pa.array(sorted(at for _, at in newest.values()), pa.int64()))
        table = table if query.limit is None else table.slice(max(0, len(table) - query.limit))
        for start in range(0, len(table), self.part):
            yield table.slice(start, self.part)

    async def candles(self, query: Query, timeframe: str) -> pa.Table:
        """Not here."""
        raise NotImplementedError

    async def last(self, query: Query) -> bytes | None:
        """See `Store`."""
        newest = None
        async for table in self.read(query):
            newest = events_of(table, query.kind)[-1] if len(table) else newest
        return newest

    async def compact(self) -> int:
        """Not here."""
        return 0

    async def expire(self, *, before_ts: int | None = None, max_bytes: int | None = None) -> int:
        """Not here."""
        return 0

    async def check(self) -> CheckResult:
        """Not here."""
        return CheckResult(0, 0, ())

    async def aclose(self) -> None:
        """Nothing to close."""
