"""Other spellings of an instrument mean the same one, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape.tape.symbols import meant_by, plain

KNOWN = ["BTC-USD", "BTC-USDT", "BTC-USDT-PERP", "BTC-USD-PERP", "BTC-USDT-20261225", "BTC-USD*", "ETH-BTC", "DOGE-USD", "AB-CD", "A-BCD"]


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTCUSD", "BTC-USD"),
        ("BTC/USD", "BTC-USD"),
        ("BTC-USD", "BTC-USD"),
        ("btc_usd", "BTC-USD"),
        ("XBT/USD", "BTC-USD"),
        ("XDGUSD", "DOGE-USD"),
        ("BTC-USD*", "BTC-USD*"),
        ("btcusd*", "BTC-USD*"),
        ("BTCUSDT", "BTC-USDT"),
        ("BTCUSDT-PERP", "BTC-USDT-PERP"),
        ("BTC/USDT:USDT", "BTC-USDT-PERP"),
        ("BTC/USD:BTC", "BTC-USD-PERP"),
        ("BTC/USDT:USDT-261225", "BTC-USDT-20261225"),
        ("ETHBTC", "ETH-BTC"),
    ],
)
def test_a_spelling_means_one_instrument(symbol: str, name: str) -> None:
    """Of exchanges, of ccxt, and ours."""
    assert meant_by(symbol, KNOWN) == [name]


@pytest.mark.parametrize("symbol", ["", "/", "BTC", "USD", "BTCUSDC", "BTC/USDC:USDC", "*", "-", "BTC-USD-20261225"])
def test_other_symbols_mean_nothing(symbol: str) -> None:
    """Nor does a part of a name."""
    assert meant_by(symbol, KNOWN) == []


def test_an_ambiguous_spelling_means_all_that_it_may() -> None:
    """A name of ours is never ambiguous."""
    assert meant_by("ABCD", KNOWN) == ["A-BCD", "AB-CD"]
    assert meant_by("AB-CD", KNOWN) == ["AB-CD"]


@given(st.text(max_size=30))
def test_any_text_is_a_symbol(symbol: str) -> None:
    """Of which nothing is known: no error."""
    assert all(plain(name) for name in meant_by(symbol, KNOWN))
