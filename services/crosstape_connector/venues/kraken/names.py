"""Kraken's names of itself and of pairs. Pure."""

from __future__ import annotations

from typing import Final

ID: Final = "kraken"
OLD_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""The WebSocket's names → those of REST."""


def rest_name(symbol: str) -> str:
    """`BTC/USD` → `XBTUSD`: the pair's `altname`, which is that of `wsname` without the slash."""
    base, _, quote = symbol.partition("/")
    return OLD_NAMES.get(base, base) + OLD_NAMES.get(quote, quote)
