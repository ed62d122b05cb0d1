"""What a user types is found on the tape, or corrected."""

from __future__ import annotations

import pytest

from crosstape.errors import SettingsError
from crosstape_cli.instrument_names import InstrumentNames

NAMES = InstrumentNames(["BTC-USDT", "BTC-USD", "BTC-USD*", "BTC-USDT-PERP", "ETH-USDT", "AB-CUSD", "ABC-USD"])


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTC-USDT", "BTC-USDT"),
        ("BTC/USDT", "BTC-USDT"),
        ("btcusdt", "BTC-USDT"),
        ("XBT/USD", "BTC-USD"),
        ("BTC-USD*", "BTC-USD*"),
        ("BTC/USDT:USDT", "BTC-USDT-PERP"),
        ("sol/usdt", "SOL-USDT"),
        ("SOL/USDT:USDT", "SOL-USDT-PERP"),
        ("SOLUSDT", "SOLUSDT"),
        ("", ""),
    ],
)
def test_a_spelling_means_an_instrument(symbol: str, name: str) -> None:
    """One that is not on the tape is written as ours are where that is clear: it may come."""
    assert NAMES.meant(symbol) == name


def test_a_spelling_of_two_instruments_is_refused() -> None:
    """Both are named."""
    with pytest.raises(SettingsError, match="abcusd may mean AB-CUSD or ABC-USD: write it as one of these"):
        NAMES.meant("abcusd")


def test_the_nearest_name_is_the_hint() -> None:
    """Of one that is on the tape there is none, nor where no name is near."""
    assert [NAMES.hint(name) for name in ("ETH-USDC", "BTC-USDT", "X")] == ["did you mean ETH-USDT?", "", ""]
    assert NAMES.listed(["ETH-USDC", "X"]) == "ETH-USDC (did you mean ETH-USDT?), X"
