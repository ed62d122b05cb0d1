"""The venue's name, and its names of assets."""

from __future__ import annotations

from typing import Final

from crosstape_schemas import asset

ID: Final = "kraken"
ASSETS: Final = {"XBT": "BTC", "XDG": "DOGE", "LUNA": "LUNC", "LUNA2": "LUNA", "UST": "USTC", "REP": "REPV1", "REPV2": "REP"}
"""Their name of an asset → ours. Terra Classic stayed LUNA here, its dollar UST, and the new Terra is LUNA2:
https://support.kraken.com/hc/en-us/articles/6548163943956-LUNA-and-UST-updates-on-Kraken. Augur's second token, REP everywhere else, is
REPV2. The WebSocket says BTC and DOGE, and all others as REST does."""


def ours(name: str) -> str:
    """Our name of their asset."""
    return ASSETS.get(name) or asset(name)
