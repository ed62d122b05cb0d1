"""Candles that PostgreSQL computes from recorded trades are exact."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstape.history.exact_candles import PricedTrade, candles_of
from crosstape.history.postgres.store import PostgresStore
from crosstape.history.query import Query
from crosstape_schemas import TIMEFRAMES, Trade
from tests.history.batches import DAY, NOON, batch, trade

_NUMBERS = st.tuples(st.integers(0, 10**9), st.integers(0, 12)).map(lambda one: Decimal(one[0]).scaleb(-one[1]))
_ODD_NUMBERS = st.sampled_from(
    [Decimal(0), Decimal("1E+24"), Decimal("1E-25"), Decimal("0." + "3" * 60), Decimal("7" * 20 + ".0" + "1" * 40)]
)
_TRADES = st.builds(
    lambda ts, price, size, **fields: trade(0, ts=ts, price=price, size=size, **fields),
    st.integers(NOON, NOON + 1) | st.integers(NOON - 40 * DAY, NOON + 40 * DAY) | st.just(NOON + DAY // 2 - 1),
    _NUMBERS | _ODD_NUMBERS,
    _NUMBERS | _ODD_NUMBERS,
    venue=st.sampled_from(["kraken", "okx"]),
    trade_id=st.integers(1, 12).map(str) | st.sampled_from(["", "007", "x1", "\u0663", "1" * 41, "9" * 40]),
)


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(_TRADES, min_size=1, max_size=40), st.sampled_from(TIMEFRAMES), st.sampled_from([None, "kraken"]))
def test_candles_are_exact(postgres: str, trades: list[Trade], timeframe: str, venue: str | None) -> None:
    """As computed in Python from each trade alone; those of one moment by the order of `bar/1`; unusable trades are in none."""
    rows = batch(trades)
    counted = [
        PricedTrade(ts, one.venue, one.trade_id, 7, number, one.price, one.size)
        for number, (one, ts) in enumerate(zip(trades, rows.columns["ts"], strict=True), 1)
        if isinstance(ts, int) and venue in (None, one.venue)
    ]

    async def computed() -> list[dict[str, object]]:
        schema = f"test_{uuid.uuid4().hex}"
        async with contextlib.aclosing(PostgresStore(f"{postgres}?schema={schema}")) as store:
            await store.append(rows, {}, after=0)
            query = Query(kind="trade", instrument="BTC-USDT", venue=venue)
            whole: list[dict[str, object]] = (await store.candles(query, timeframe)).to_pylist()
            newest = msgspec.structs.replace(query, limit=2)
            assert (await store.candles(newest, timeframe)).to_pylist() == whole[-2:]
            return whole

    assert asyncio.run(computed()) == list(candles_of(counted, timeframe).values())


async def test_trades_of_one_moment_are_ordered_by_their_ids(postgres: str) -> None:
    """As numbers; what is none comes first. A venue's trades come before those of a venue whose name follows, whatever their ids."""
    ids = {"okx": ["10", "9", "007"], "kraken": ["500", "x", "1" * 41, "20"]}
    trades = [
        trade(0, ts=NOON, venue=venue, trade_id=one, price=Decimal(number + 1)) for venue in ids for number, one in enumerate(ids[venue])
    ]
    async with contextlib.aclosing(PostgresStore(f"{postgres}?schema=test_{uuid.uuid4().hex}")) as store:
        await store.append(batch(trades), {}, after=0)

        found = {}
        for venue in ("okx", "kraken", None):
            (candle,) = (await store.candles(Query(kind="trade", instrument="BTC-USDT", venue=venue), "1s")).to_pylist()
            found[venue] = candle["open"], candle["close"], candle["trades"]

    assert found == {"okx": ("3", "1", 3), "kraken": ("2", "1", 4), None: ("2", "1", 7)}
