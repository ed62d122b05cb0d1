"""Names instruments: one name of ours for what is traded, the same for every venue.

Spot `BTC-USDT`, perpetual `BTC-USDT-PERP`, dated future `BTC-USDT-20261225`. Data are consolidated by this name, so market kinds and quote
assets never mix. A composite, which converts quotes of several quote currencies into one, has a name of its own: `BTC-USD*`.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

ALIASES: Final = {"XBT": "BTC", "XDG": "DOGE"}
"""Other name of an asset → our name. Names that only one venue uses (Bitfinex `UST`) are in its module."""


COMPOSITE: Final = "*"
"""The last character of a composite's name. An instrument named only this is venue-wide (`VENUE_WIDE`)."""

_FORM: Final = re.compile(r"([^-*:{}\s]+)-([^-*:{}\s]+)((?:-[^-*:{}\s]+)*)")


class Name(NamedTuple):
    """The name of an instrument, divided."""

    base: str
    quote: str
    contract: str
    """What follows, with its dash: `-PERP`; empty for spot."""


class Instrument(msgspec.Struct, frozen=True):
    """One instrument of one venue, as the venue describes it."""

    name: str
    """Our name: `BTC-USDT`."""
    venue: str
    symbol: str
    """The venue's name, as its WebSocket expects it: `BTCUSDT`, `BTC/USDT`."""
    base: str
    quote: str
    price_tick: Decimal | None = None
    """The smallest step between prices; null where the venue has none, or where it depends on the price."""
    size_step: Decimal | None = None
    """The smallest step between sizes of orders, in base units; of an inverse contract in quote units."""
    contract_size: Decimal = Decimal(1)
    """Base units (or quote units, for an inverse contract) of one contract; 1 for spot."""
    active: bool = True
    """False: listed but not trading now."""
    inverse: bool = False
    """The contract is worth a fixed amount of the quote asset, and is settled in the base asset."""
    expiry: int | None = None
    """When a dated future expires, ns since the epoch; null for spot and perpetuals."""
    funding_s: int | None = None
    """Seconds between two settlements of a perpetual's funding; null where the venue's list of instruments does not say."""


def asset(name: str) -> str:
    """Returns our name of an asset: `XBT` → `BTC`."""
    return ALIASES.get(name, name)


def spot(base: str, quote: str) -> str:
    """Returns the name of a spot instrument: `spot("XBT", "USDT")` is `BTC-USDT`."""
    return f"{asset(base)}-{asset(quote)}"


def perpetual(base: str, quote: str) -> str:
    """Returns the name of a perpetual: `perpetual("XBT", "USDT")` is `BTC-USDT-PERP`."""
    return f"{spot(base, quote)}-PERP"


def future(base: str, quote: str, expiry: int) -> str:
    """Returns the name of a future that expires on the UTC day of `expiry` (ns since the epoch): `BTC-USDT-20261225`."""
    day = dt.datetime.fromtimestamp(expiry // 1_000_000_000, dt.UTC)
    return f"{spot(base, quote)}-{day:%Y%m%d}"


def is_composite(name: str) -> bool:
    """Whether this is the name of a composite, as `BTC-USD*`."""
    return name.endswith(COMPOSITE) and name != COMPOSITE


def parsed(name: str) -> Name | None:
    """Divides the name of an instrument; None: it has not the form of one."""
    found = _FORM.fullmatch(name)
    return None if found is None else Name(*found.groups())
