"""The units of the venues' times: a time on the tape may be too early by what a venue cuts off."""

from __future__ import annotations

from typing import Final

MILLISECOND: Final = 1_000_000
UNIT_NS: Final = {
    "binance": MILLISECOND,
    "binance_coinm": MILLISECOND,
    "binance_us": MILLISECOND,
    "binance_usdm": MILLISECOND,
    "bingx": MILLISECOND,
    "bingx_swap": MILLISECOND,
    "bitfinex": MILLISECOND,
    "bybit": MILLISECOND,
    "bybit_inverse": MILLISECOND,
    "bybit_linear": MILLISECOND,
    "deribit": MILLISECOND,
    "hyperliquid": MILLISECOND,
    "hyperliquid_spot": MILLISECOND,
    "gateio_futures": MILLISECOND,
    "gemini": 1,
    "htx": MILLISECOND,
    "htx_swap": MILLISECOND,
    "bitget": MILLISECOND,
    "bitget_futures": MILLISECOND,
    "kraken_futures": MILLISECOND,
    "kucoin": 1,
    "kucoin_futures": 1,
    "okx": MILLISECOND,
    "okx_swap": MILLISECOND,
}
"""ns; of the others it is one µs."""


WITHOUT_IDS: Final = frozenset({"bingx_swap", "bybit_inverse", "bybit_linear", "hyperliquid", "hyperliquid_spot"})
"""Venues whose trades have no ids that grow: those on the tape are of our own making, or texts in no order."""


def unit_ns(venue: str) -> int:
    """The unit of the times of a venue's trades."""
    return UNIT_NS.get(venue, 1_000)
