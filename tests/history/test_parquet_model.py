"""The history in files does what a list of rows would do, in whatever order it is written, merged, emptied and read."""

from __future__ import annotations

import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstape.bus import Bookmark
from crosstape.history.parquet import compaction
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.merging import merges
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from tests.history.batches import DAY, NOON, SECOND, batch, ids, trade

BTC = "tape:trade:BTC-USDT"
DAYS = 4
MIDNIGHT = NOON - DAY // 2


class Machine:
    """A store, and a list of (ts, number) of the rows that should be in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ahead = 0
        self._written = 0
        self.rows: list[tuple[int, int]] = []
        self.commits = 0
        self._expired = False
        self.store = self._open()

    def _open(self) -> ParquetStore:
        return ParquetStore(LocalFolder(self._path), clock=lambda: time.time_ns() + self._ahead)

    async def commit(self, moments: list[int]) -> None:
        """Append rows of these moments, in this order."""
        first = self._written + 1
        numbers = range(first, first + len(moments))
        rows = [trade(number, ts=MIDNIGHT + moment) for number, moment in zip(numbers, moments, strict=True)]
        marks = {BTC: Bookmark(f"{numbers[-1]}-0", (("kraken", 7, numbers[-1]),))}
        assert await self.store.append(batch(rows, first_ms=first, first_seq=first), marks, after=self.commits) == self.commits + 1
        self.commits += 1
        self._written += len(moments)
        self.rows += [(MIDNIGHT + moment, number) for number, moment in zip(numbers, moments, strict=True)]

    async def merge(self) -> None:
        """Merge, and delete what was merged an hour ago."""
        await self.store.compact()

    async def wait(self) -> None:
        """Let two hours pass."""
        self._ahead += 7_200 * SECOND

    async def expire(self, day: int) -> None:
        """Delete the days before one."""
        before = MIDNIGHT + day * DAY
        self._expired = True
        gone = [row for row in self.rows if row[0] < before]
        assert await self.store.expire(before_ts=before + DAY - 1) == len(gone)
        self.rows = [row for row in self.rows if row[0] >= before]

    async def reopen(self) -> None:
        """Go on as another process."""
        await self.store.aclose()
        self.store = self._open()

    async def verify(self) -> None:
        """Compare."""
        expected = [str(number) for _, number in sorted(self.rows)]
        assert await ids(self.store, Query(kind="trade")) == expected
        assert await ids(self.store, Query(kind="trade", limit=5)) == expected[-5:]
        middle = MIDNIGHT + 3 * DAY // 2
        assert await ids(self.store, Query(kind="trade", from_ts=middle)) == [str(n) for ts, n in sorted(self.rows) if ts >= middle]
        position = await self.store.position("trade")
        assert position.number == self.commits
        assert not self.commits or position.marks[BTC].id == f"{self._written}-0"
        result = await self.store.check()
        # Rows here may be days late, as no venue sends them: if they are deleted before their neighbours, their numbers seem to be missing.
        assert [one for one in result.findings if not (self._expired and "no gap event says so" in one.what)] == []
        assert result.rows == len(self.rows)


MOMENTS = st.lists(st.one_of(st.integers(0, DAYS * DAY - 1), st.integers(0, DAYS - 1).map(lambda day: day * DAY)), min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), MOMENTS),
        st.tuples(st.just("commit"), MOMENTS),
        st.tuples(st.sampled_from(["merge", "wait", "reopen"]), st.none()),
        st.tuples(st.just("expire"), st.integers(1, DAYS)),
    ),
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_history_is_a_list_of_rows(steps: list[tuple[str, object]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Merging shows in nothing; expiry takes away days and nothing else."""
    monkeypatch.setattr(compaction, "merges", partial(merges, blocks=(2, 4, 8)))

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            machine = Machine(Path(folder))
            for name, argument in steps:
                await getattr(machine, name)(*([] if argument is None else [argument]))
                if name != "commit":
                    await machine.verify()
            await machine.verify()
            await machine.store.aclose()

    asyncio.run(run())
