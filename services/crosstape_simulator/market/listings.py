"""What a listing is, and where the prices of the listed assets start.

Prices and sizes are integers everywhere in the simulator: prices in ticks of 10^-price_decimals, sizes in lots of 10^-size_decimals.
"""

from __future__ import annotations

from typing import Final

import msgspec

SCALE: Final = 10
"""Decimals of a fair price, finer than any tick."""


class Listing(msgspec.Struct, frozen=True):
    """One pair on one venue."""

    venue: str
    symbol: str
    """The venue's name of the pair, as its WebSocket writes it."""
    base: str
    quote: str
    price_decimals: int
    size_decimals: int


PRICES: Final = {
    "BTC": 64_250 * 10**SCALE,
    "ETH": 3_120 * 10**SCALE,
    "SOL": 148 * 10**SCALE,
    "XRP": 5_230 * 10 ** (SCALE - 4),
    "DOGE": 12_345 * 10 ** (SCALE - 5),
    "ADA": 4_321 * 10 ** (SCALE - 4),
}
"""Start of each asset's fair price, to which it is drawn back, in USDT."""

USD_PER_USDT_PPM: Final = 999_700
"""USD pairs have books of their own, around a price that differs a little."""

WEIGHTS: Final = {"BTC": 6, "ETH": 4, "SOL": 2}
"""How busy an asset is, compared to 1 for the others."""
