"""What the simulated venues list, with the ticks and lots that the real ones have (or had) for the same pairs.

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
    """Theirs, as their WebSocket writes it."""
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
"""Where each asset's fair price starts and what it is drawn back to, in USDT."""

USD_PER_USDT_PPM: Final = 999_700
"""USD pairs have books of their own, around a price that differs a little."""

WEIGHTS: Final = {"BTC": 6, "ETH": 4, "SOL": 2}
"""How busy an asset is, next to 1 for the others."""

_USDT: Final = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA")
_USD: Final = ("BTC", "ETH", "SOL")

_BINANCE: Final = {"BTC": (2, 5), "ETH": (2, 4), "SOL": (2, 3), "XRP": (4, 1), "DOGE": (5, 0), "ADA": (4, 1)}
_COINBASE: Final = {"BTC": (2, 8), "ETH": (2, 8), "SOL": (2, 8), "XRP": (4, 6), "DOGE": (5, 1), "ADA": (4, 8)}
_KRAKEN: Final = {"BTC": (1, 8), "ETH": (2, 8), "SOL": (2, 8), "XRP": (5, 8), "DOGE": (7, 8), "ADA": (6, 8)}


def default_listings(venue: str) -> tuple[Listing, ...]:
    """All pairs of a venue: six against USDT everywhere, three against USD where dollars are traded. None for an unknown venue."""
    usdt, usd = [(base, "USDT") for base in _USDT], [(base, "USD") for base in _USD]
    match venue:
        case "binance":
            return tuple(Listing(venue, f"{base}{quote}", base, quote, *_BINANCE[base]) for base, quote in usdt)
        case "coinbase":
            return tuple(Listing(venue, f"{base}-{quote}", base, quote, *_COINBASE[base]) for base, quote in usdt + usd)
        case "kraken":
            return tuple(Listing(venue, f"{base}/{quote}", base, quote, *_KRAKEN[base]) for base, quote in usdt + usd)
        case _:
            return ()
