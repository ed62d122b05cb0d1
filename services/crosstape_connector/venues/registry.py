"""The registry of venues: one line each. Those of the library ccxt are made when they are looked up by name."""

from __future__ import annotations

from typing import Final

from crosstape_connector.errors import UnknownVenue
from crosstape_connector.venues import (
    binance,
    binance_coinm,
    binance_us,
    binance_usdm,
    bingx,
    bitfinex,
    bitget,
    bitstamp,
    bybit,
    ccxt,
    coinbase,
    deribit,
    gateio,
    gemini,
    htx,
    hyperliquid,
    kraken,
    kraken_futures,
    kucoin,
    okx,
)
from crosstape_connector.venues.spec import Venue

VENUES: Final[dict[str, Venue]] = {
    venue.id: venue
    for venue in (
        binance.VENUE,
        binance_coinm.VENUE,
        binance_us.VENUE,
        binance_usdm.VENUE,
        bingx.SPOT,
        bingx.SWAP,
        bitfinex.VENUE,
        bitget.SPOT,
        bitget.FUTURES,
        bitstamp.VENUE,
        bybit.SPOT,
        bybit.LINEAR,
        bybit.INVERSE,
        coinbase.VENUE,
        deribit.VENUE,
        gateio.SPOT,
        gateio.FUTURES,
        gemini.VENUE,
        htx.SPOT,
        htx.SWAP,
        hyperliquid.PERPETUALS,
        hyperliquid.SPOT,
        kraken.VENUE,
        kraken_futures.VENUE,
        kucoin.SPOT,
        kucoin.FUTURES,
        okx.SPOT,
        okx.SWAP,
    )
}
"""The venues that we speak to ourselves."""


def like(name: str) -> list[str]:
    """Return the names among which a mistyped one is to be looked for."""
    return ccxt.names() if name.startswith(ccxt.PREFIX) else list(VENUES)


def recorded(name: str) -> Venue:
    """Return the venue that the header of a capture names. Raises `UnknownVenue`."""
    return next((venue for venue in VENUES.values() if name in venue.aliases), None) or find(name)


def find(name: str) -> Venue:
    """Return the venue of this name, one of ours or of the library. Raises `UnknownVenue`."""
    if name.startswith(ccxt.PREFIX):
        return ccxt.venue(name)
    if name not in VENUES:
        raise UnknownVenue(f"no venue {name!r}; there are {', '.join(VENUES)}")
    return VENUES[name]


def get(name: str) -> Venue | None:
    """Return the venue of this name; None: there is none."""
    try:
        return find(name)
    except UnknownVenue:
        return None
