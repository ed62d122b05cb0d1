"""Where the library is known to say something else than the exchange: what is left null, taken from elsewhere, or refused.

Seen by comparing its results with the exchanges' own frames and documents (version 4.5.90). What is not named here is not proven either.
"""

from __future__ import annotations

from typing import Final

NO_CANDLES: Final = {
    "gate": "the library gives the quote volume in place of the base volume",
    "gateeu": "the library gives the quote volume in place of the base volume",
}
"""Classes without candles, and why."""

NO_QUOTES: Final = frozenset({"kucoin", "kucoinfutures"})
"""Classes whose best prices come without their sizes: the quote is the top of the book instead."""

NULL_IN_TICKER: Final = {
    "deribit": frozenset({"quoteVolume"}),  # it is in base units
    "hyperliquid": frozenset({"last", "change"}),  # `last` is the mid price
}
"""Class → fields of its tickers that are something else. Volumes of contracts are left null everywhere: their unit is not said."""

TRADE_TIMES: Final = {"bitstamp": ("microtimestamp", 1_000), "upbit": ("trade_timestamp", 1_000_000)}
"""Class → the field of the exchange's own trade that says when it was made, and its unit in ns, where the library has another time, or cuts
it to ms."""

TEXTS: Final = {"bitstamp": ("price_str", "amount_str")}
"""Class → fields of the exchange's own trade that hold the text of price and size, where the library reads numbers with a binary point."""
