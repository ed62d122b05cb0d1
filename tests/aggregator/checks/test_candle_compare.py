"""A difference between a bar and a candle is one that matters, and none is passed over."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from crosstape_aggregator.checks.candle_compare import Difference, can_be_compared, differences, is_sound
from crosstape_schemas import CONSOLIDATED
from tests.aggregator.checks.candles import D, bar, candle


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume", "quote_volume"])
@pytest.mark.parametrize("odd", ["NaN", "sNaN", "Infinity", "-1", "1E+200", "1." + "1" * 100])
def test_a_candle_that_no_connector_publishes_is_not_sound(field: str, odd: str) -> None:
    """To compute with it would end the check of all others."""
    assert is_sound(candle())
    assert is_sound(replace(candle(), quote_volume=None, volume=D("0E-8")))
    assert not is_sound(replace(candle(), **{field: D(odd)}))


def test_equal_numbers_do_not_differ() -> None:
    """Whatever zeros are behind them."""
    assert differences(bar(), candle()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("open", D("100.01")), ("high", D(102)), ("low", D("98.99")), ("close", D(100)), ("volume", D("0.30000001")), ("trades", 4)],
)
def test_each_field_that_differs_is_found(field: str, value: Decimal | int) -> None:
    """With both values."""
    assert differences(bar(), replace(candle(), **{field: value})) == [Difference(field, getattr(bar(), field), value)]


@pytest.mark.parametrize(
    ("venue", "instrument", "changed"),
    [
        ("bingx_swap", "BTC-USDT-PERP", {"open": D(1)}),  # nobody says what its open is
        ("binance_usdm", "BTC-USDT-PERP", {"trades": 9}),  # its trades are aggregates
        ("binance", "BTC-USDT", {"trades": None, "quote_volume": D(1)}),
        ("kucoin_futures", "BTC-USD-PERP", {"volume": D("0.2985"), "trades": None}),  # at the closing price
        ("kucoin_futures", "BTC-USD-PERP", {"quote_volume": None, "volume": D(1), "trades": None}),
        ("binance_coinm", "BTC-USD-PERP", {"volume": D("0.30000003")}),  # one unit for each trade
        ("binance_coinm", "BTC-USD-PERP", {"quote_volume": D("30.1000000000000000000000000001")}),
    ],
)
def test_what_means_something_else_is_not_compared(venue: str, instrument: str, changed: dict[str, Any]) -> None:
    """Neither what the candle does not say."""
    assert differences(bar(venue, instrument), replace(candle(venue, instrument), **changed)) == []


@pytest.mark.parametrize(
    ("venue", "changed", "fields"),
    [
        ("binance_coinm", {"volume": D("0.30000004")}, ["volume"]),
        ("binance_coinm", {"quote_volume": D("30.10000000000000000000001")}, ["quote_volume"]),
        ("kucoin_futures", {"volume": D(0), "quote_volume": D(31), "trades": None}, ["quote_volume"]),
        ("binance_coinm", {"volume": D("1E+200"), "quote_volume": D("1E+200")}, ["volume", "quote_volume"]),
    ],
)
def test_an_inverse_contract_differs_beyond_rounding(venue: str, changed: dict[str, Any], fields: list[str]) -> None:
    """Its quote volume is exact."""
    found = differences(bar(venue, "BTC-USD-PERP"), replace(candle(venue, "BTC-USD-PERP"), **changed))

    assert [one.field for one in found] == fields


def test_an_interval_without_trades_has_no_open_of_its_own() -> None:
    """Both are flat at the close before, or the bar knows none yet; if only one has trades, the volume says so."""
    price, zero = D(100), {"volume": D(0), "trades": 0}
    flat = replace(bar(), open=price, high=price, low=price, close=price, **zero)
    theirs = replace(candle(), open=D(99), high=price, low=price, close=price, **zero)

    assert differences(flat, theirs) == []
    assert differences(replace(flat, open=None, high=None, low=None, close=None), theirs) == []
    assert [one.field for one in differences(flat, replace(theirs, close=D(99), low=D(99)))] == ["low", "close"]
    assert [one.field for one in differences(flat, candle())] == ["volume", "trades"]


def test_values_are_shown_with_their_own_digits() -> None:
    """Without an exponent."""
    assert Difference("volume", D("6.1E-7"), D("0E-8")).texts == ("0.00000061", "0.00000000")
    assert Difference("trades", 3, 4).texts == ("3", "4")


def test_only_complete_bars_of_one_venue_can_be_compared() -> None:
    """An open one or one that lacks trades must differ; a consolidated one has no candle."""
    assert can_be_compared(bar())
    for other in (replace(bar(), closed=False), replace(bar(), complete=False), replace(bar(), venue=CONSOLIDATED)):
        assert not can_be_compared(other)
