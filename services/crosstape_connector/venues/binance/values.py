"""The venue's name, and the sides as names of this package: looking them up in their class takes as long as a dict look-up and a half."""

from __future__ import annotations

from typing import Final

from crosstape_schemas import Side

ID: Final = "binance"
BUY: Final = Side.BUY
SELL: Final = Side.SELL
