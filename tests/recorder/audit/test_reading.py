"""An audit of a store: rows in the order in which they came to the tape, within a time, of one instrument or all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from crosstape.history import text_events
from crosstape.history.batch import Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape_recorder.audit.findings import Audit
from crosstape_recorder.audit.instrument import InstrumentAudit
from crosstape_recorder.audit.reading import RowSource, Span, audit, entries
from crosstape_recorder.audit.rules import Rules
from crosstape_schemas import KIND_OF, Bar, encode
from tests.recorder.audit.market import NAME, SETTINGS, START, Row, tape

MS = 1_000_000
SECOND = 1_000_000_000
ALL = Span(START - SECOND, START + 1_000 * SECOND)


async def record(
    store: ParquetStore, rows: Sequence[Row], source: Source = Source.TAPE, keep: Literal["columns", "events"] = "events"
) -> None:
    """Write rows to a store, each kind in several commits."""
    kinds: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        kinds[KIND_OF[type(row.event)]].append(row)
    for kind, some in kinds.items():
        for at in range(0, len(some), 400):
            batch = BatchBuilder(kind, keep)
            for ms, n, event in some[at : at + 400]:
                data = encode(event)
                batch.add(ms, n, text_events.decode(data), data, source)
            assert await store.append(batch.build(), {}, after=(await store.position(kind)).number)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ParquetStore]:
    """An empty store."""
    made = ParquetStore(LocalFolder(tmp_path / "history"), keep="events")
    yield made
    await made.aclose()


async def test_a_store_gives_the_same_as_the_tape(store: ParquetStore) -> None:
    """All is compared that is compared on the tape itself, for one instrument as for all."""
    rows = tape(5, 600)
    await record(store, rows)
    direct = Audit()
    one = InstrumentAudit(NAME, Rules.of(SETTINGS), direct)
    for row in rows:
        one.take(*row)
    one.done()

    every = await audit(store, ALL, Rules.of(SETTINGS))
    single = await audit(store, ALL, Rules.of(SETTINGS), instrument=NAME)

    assert every.differences == []
    assert every.events == single.events == direct.events
    assert every.compared == single.compared
    assert every.compared > 0.99 * direct.compared


async def test_rows_come_in_the_order_of_the_tape(store: ParquetStore) -> None:
    """Also those whose own time is long before, as of a trade that was fetched later."""
    rows = tape(6, 400)
    await record(store, rows)
    sources = [RowSource(kind, NAME, 100 * SECOND) for kind in ("trade", "gap")]

    found = [(row.ms, row.n) async for row in entries(store, sources, ALL)]

    assert found == [(row.ms, row.n) for row in rows if KIND_OF[type(row.event)] in {"trade", "gap"}]


async def test_only_what_came_in_the_time_is_audited(store: ParquetStore) -> None:
    """Inputs from before are used, so that what is audited has no other result than in an audit of all."""
    rows = tape(7, 600)
    await record(store, rows)
    middle = rows[len(rows) * 3 // 4].ms * MS
    span = Span(middle, middle + 5 * SECOND)

    found = await audit(store, span, Rules.of(SETTINGS))

    published = [row for row in rows if span.from_ts <= row.ms * MS < span.to_ts]
    assert found.differences == []
    assert found.events["cbbo"] == sum(KIND_OF[type(row.event)] == "cbbo" for row in published)
    assert found.exact["window"] > 0


async def test_some_kinds_can_be_audited_alone(store: ParquetStore) -> None:
    """Then only their inputs are read."""
    await record(store, tape(8, 300))

    found = await audit(store, ALL, Rules.of(SETTINGS), kinds=("bar",))

    assert found.differences == []
    assert set(found.events) == {"bar"}


async def test_rows_that_were_not_on_the_tape_are_left_out(store: ParquetStore) -> None:
    """What was fetched by REST later was no input of anything."""
    rows = tape(9, 300)
    await record(store, rows)
    await record(store, [row for row in rows if KIND_OF[type(row.event)] == "quote"][:50], Source.REST)

    found = await audit(store, ALL, Rules.of(SETTINGS))

    assert found.differences == []


async def test_columns_alone_are_enough(tmp_path: Path, store: ParquetStore) -> None:
    """With `keep = "columns"`, as much of all is compared as with `events`; but of bars only closed ones are there."""
    columns = ParquetStore(LocalFolder(tmp_path / "columns"))
    rows = tape(10, 400)
    await record(columns, rows, keep="columns")
    await record(store, rows)

    found = await audit(columns, ALL, Rules.of(SETTINGS))
    whole = await audit(store, ALL, Rules.of(SETTINGS))
    await columns.aclose()

    for kind in ("cbbo", "window", "depth", "edge"):
        assert (found.exact[kind], found.justified[kind]) == (whole.exact[kind], whole.justified[kind])

    assert found.differences == []
    assert found.events["bar"] == sum(isinstance(row.event, Bar) and row.event.closed for row in rows)
