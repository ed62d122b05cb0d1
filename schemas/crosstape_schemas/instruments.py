"""Instruments: our names for what is traded, the same on every venue.

Spot `BTC-USDT`, perpetual `BTC-USDT-PERP`, dated future `BTC-USDT-20261225`. The name is the key that data are consolidated by, so market
kinds and quote assets never mix.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

ALIASES: Final = {"XBT": "BTC", "XDG": "DOGE"}
"""Venue-independent other names of assets; a venue's own (Bitfinex `UST`) live in its module."""


class Instrument(msgspec.Struct, frozen=True):
    """What one venue says of one instrument."""

    name: str
    """Ours: `BTC-USDT`."""
    venue: str
    symbol: str
    """Theirs, as their WebSocket wants it: `BTCUSDT`, `BTC/USDT`."""
    base: str
    quote: str
    price_tick: Decimal | None = None
    size_step: Decimal | None = None
    contract_size: Decimal = Decimal(1)
    """Base units (or quote units, for an inverse contract) of one contract; 1 for spot."""
    active: bool = True
    """False: listed but not trading now."""


def asset(name: str) -> str:
    """The one name an asset has here: `XBT` → `BTC`."""
    return ALIASES.get(name, name)


def spot(base: str, quote: str) -> str:
    """The name of a spot instrument: `spot("XBT", "USDT")` is `BTC-USDT`."""
    return f"{asset(base)}-{asset(quote)}"
