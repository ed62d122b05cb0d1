"""Trades whose numbers fit into 64 bits are added up as whole numbers, and no digit is lost."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape.history.parquet import whole
from crosstape.history.parquet.extents import extents_of, matching
from crosstape.history.query import Query
from crosstape_schemas import Trade
from crosstape_schemas.timeframes import SECOND

from .test_questions import START, Row, computed, expected, files, trade

QUERY = Query(kind="trade", instrument="BTC-USDT")


@given(st.lists(st.integers(0, 2**63 - 1), max_size=9), st.integers(0, 18), st.integers(0, 9))
def test_decimals_become_whole_numbers(numbers: list[int], scale: int, start: int) -> None:
    """All numbers of 63 bits, in all scales, also in a part of an array."""
    decimals = pa.array([Decimal(number).scaleb(-scale) for number in numbers], pa.decimal128(38, 18))

    assert whole.whole(pa.chunked_array([decimals, decimals.slice(start)]), scale).to_pylist() == numbers + numbers[start:]


FITTING = st.builds(
    trade,
    st.one_of(st.integers(START, START + 150 * SECOND), st.integers(START, START + 2), st.just(START + 60 * SECOND)),
    st.one_of(st.integers(0, 10**9).map(lambda n: f"{Decimal(n).scaleb(-2):f}"), st.just("92233720368.5")),
    st.one_of(st.integers(0, 10**9).map(lambda n: f"{Decimal(n).scaleb(-8):f}"), st.just("92233720368.00000001")),
    venue=st.sampled_from(["binance", "kraken"]),
    trade_id=st.sampled_from(["", "7", "007", "12", "x"]),
    seq=st.integers(1, 10**6),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(FITTING, min_size=1, max_size=30, unique_by=lambda one: (one.venue, one.seq)), st.sampled_from(["1s", "1m", "1h"]))
def test_candles_of_whole_numbers(trades: list[Trade], timeframe: str) -> None:
    """Also where rows are taken in many slices, and several trades are the first or last of an interval."""
    rows = [Row(one, START // 10**6 + place) for place, one in enumerate(trades)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole, "SLICE_ROWS", 4)
        of = files(Path(folder), rows)

        assert whole.scales_of(matching(extents_of(of), QUERY)) is not None
        assert computed(of, QUERY, timeframe) == expected(rows, QUERY, timeframe)


@pytest.mark.parametrize("price", ["92233720368547758.08", "0.1234567890123456789", "99999999999999999999"])
def test_a_number_that_does_not_fit_goes_another_way(tmp_path: Path, price: str) -> None:
    """One of 64 bits, one of 19 digits behind the point, and one of 20 before it."""
    rows = [Row(trade(START, price, "0.5"), 1), Row(trade(START + 1, "2.25"), 2)]
    of = files(tmp_path, rows)

    assert price == "0.1234567890123456789" or whole.scales_of(matching(extents_of(of), QUERY)) is None
    assert computed(of, QUERY, "1m") == expected(rows, QUERY, "1m")
