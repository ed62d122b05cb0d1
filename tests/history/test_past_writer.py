"""Fetched trades and candles in every store: what it has is left out, what a venue has changed is a revision."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crosstape.history.batch import Source
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_recorder.backfill.spans import left, merged
from crosstape_recorder.backfill.writer import PastWriter, Written
from crosstape_schemas import Candle, Trade, encode
from tests.history.batches import NOON, SECOND, batch, candle, trade
from tests.history.stores import StoreFactory

MINUTE = 60 * SECOND


def rows(*ids: int) -> list[Trade | Candle]:
    """Trades of one venue."""
    return [trade(number) for number in ids]


async def ids(store: Store) -> list[str]:
    """The ids of all trades that the store shows."""
    return [row async for table in store.read(Query(kind="trade")) for row in table.column("trade_id").to_pylist()]


def writer(store: Store, timeframe: str | None = None) -> PastWriter:
    """The writer of the rows of these tests."""
    one = trade(1)
    return PastWriter(store, one.venue, one.instrument, timeframe)


async def test_what_the_store_has_is_left_out(store_factory: StoreFactory) -> None:
    """From the tape or from an earlier run, even if the tape has it at a slightly other time."""
    store = await store_factory()
    tape = [trade(1, ts=NOON + SECOND + 999_000_000), trade(2)]
    await store.append(batch(tape), {}, after=0)
    past = writer(store)
    assert await past.write(rows(1, 2, 3, 4, 4)) == Written(2, 3, 0, 2)
    assert await past.write(rows(3, 4, 5)) == Written(1, 2, 0, 3)
    assert await past.write(rows(5)) == Written(0, 1, 0, 3)
    assert await past.write([]) == Written(number=3)
    assert sorted(await ids(store)) == ["1", "2", "3", "4", "5"]


async def test_others_that_commit_meanwhile_are_seen(store_factory: StoreFactory) -> None:
    """Four writers of overlapping rows, each with a store object of its own."""
    stores = [await store_factory() for _ in range(4)]
    done = await asyncio.gather(*(writer(store).write(rows(*range(n * 5 + 1, n * 5 + 16))) for n, store in enumerate(stores)))
    assert sum(one.new for one in done) == 30
    assert sum(one.known for one in done) == 30
    shown = await ids(stores[0])
    assert sorted(map(int, shown)) == list(range(1, 31))


async def test_a_changed_candle_is_a_revision(store_factory: StoreFactory) -> None:
    """Of the tape's or of a fetched one; figures that only one of the two has are not compared."""
    store = await store_factory()
    tape = [candle(1), candle(2), msgspec.structs.replace(candle(3), trades=None, quote_volume=None)]
    await store.append(batch(tape), {}, after=0)
    past = writer(store, "1m")
    changed = candle(2, close=Decimal("1.7"))
    assert await past.write([candle(1), changed, candle(3), candle(4)]) == Written(1, 2, 1, 2)
    assert await past.write([candle(1), changed, candle(3), candle(4)]) == Written(0, 4, 0, 2)
    again = candle(2, close=Decimal("1.6"))
    assert (await past.write([again])).revised == 1
    found = [table.select(["ts", "revision", "source"]).to_pylist() async for table in store.read(Query(kind="candle"))]
    shown = [(row["revision"], row["source"]) for part in found for row in part]
    assert shown == [(0, Source.TAPE), (2, Source.REST), (0, Source.TAPE), (0, Source.REST)]
    assert encode(again) != encode(changed)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50))), st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_what_is_left_of_a_span(complete: list[tuple[int, int]], wanted: tuple[int, int]) -> None:
    """Every moment of the span that is in no complete one, and no other."""
    moments = {at for one in complete for at in range(*one)}
    assert {at for one in left(wanted, complete) for at in range(*one)} == set(range(*wanted)) - moments
    spans = merged(complete)
    assert {at for one in spans for at in range(*one)} == moments
    assert all(a[1] < b[0] for a, b in pairwise(spans))
