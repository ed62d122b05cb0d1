"""What the figures of each venue's candles are, where that decides whether a bar can be compared with them. Pure.

The connector's venue modules say the same for the reference of the venues. Services do not import each other, so it is repeated here, and
a test compares the two.
"""

from __future__ import annotations

from typing import Final

OPEN_IS_FIRST_TRADE: Final = frozenset(
    {
        "binance", "binance_coinm", "binance_us", "binance_usdm", "bingx", "bitfinex", "coinbase", "deribit", "gateio", "gateio_futures",
        "hyperliquid", "hyperliquid_spot", "kraken", "kucoin", "kucoin_futures", "okx", "okx_swap",
    }
)  # fmt: skip
"""Venues whose candles open with their first trade, as bars do. Elsewhere `open` is the close before, or nobody says what it is."""

TRADES_ARE_AGGREGATES: Final = frozenset({"binance_coinm", "binance_us", "binance_usdm"})
"""Venues that give several executions of one order as one trade, and count each execution in their candles."""

_INVERSE: Final = {
    "binance_coinm": "", "bybit_inverse": "", "deribit": "-USD-", "gateio_futures": "-USD-", "htx_swap": "-USD-", "kucoin_futures": "-USD-",
    "okx_swap": "-USD-",
}  # fmt: skip
"""Venue with inverse contracts → what the names of these instruments contain."""

VOLUME_AT_CLOSE: Final = frozenset({"gateio_futures", "kucoin_futures"})
"""Venues whose candles of inverse contracts have their base volume at the closing price, not at the price of each trade."""


def is_inverse(venue: str, instrument: str) -> bool:
    """Whether this instrument is an inverse contract: its quote volume is exact, and its base volume is made of quotients."""
    part = _INVERSE.get(venue)
    return part is not None and part in instrument
