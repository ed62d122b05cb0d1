"""Kraken Futures' names of itself and of contracts. Pure."""

from __future__ import annotations

import re
from typing import Final

from crosstape_schemas import asset, future, perpetual, spot

ID: Final = "kraken_futures"
INVERSE: Final = "futures_inverse"
LINEAR: Final = frozenset({"flexible_futures", "futures_vanilla"})
WORD: Final = "LINEAR"
"""In the name of a linear contract, because the venue may have an inverse one of the same pair."""
TOKENISED: Final = re.compile(r"[A-Z0-9.]+x")
"""The base of a tokenised stock: `AAPLx`."""
_QUOTE: Final = 3
"""Letters of a quote asset, where a symbol alone says it."""


def divided(symbol: str) -> tuple[str, str]:
    """Return base and quote of `PI_XBTUSD` or `FI_XBTUSD_210924`, in the venue's words; empty if it has not that form."""
    pair = symbol.upper().split("_")[1] if "_" in symbol else ""
    return pair[:-_QUOTE], pair[-_QUOTE:]


def named(base: str, quote: str, *, inverse: bool, expiry: int | None) -> str:
    """Return our name of a contract."""
    if inverse:
        return perpetual(base, quote) if expiry is None else future(base, quote, expiry)
    pair = spot(asset(base), asset(quote))
    contract = "PERP" if expiry is None else future(base, quote, expiry).rpartition("-")[2]
    return f"{pair}-{WORD}-{contract}"
