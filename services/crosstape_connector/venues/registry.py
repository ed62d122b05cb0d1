"""The registry of venues: one line each. Those of the library ccxt are made when they are asked for."""

from __future__ import annotations

from typing import Any, Final

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


class Venues(dict[str, Venue]):
    """All venues by name. To go through them gives those that we speak to ourselves; those of the library are there for who names them."""

    def __missing__(self, name: str) -> Venue:
        try:
            return ccxt.venue(name)
        except UnknownVenue:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in ccxt.names()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the venue of this name, or the default."""
        try:
            return self[name]
        except KeyError:
            return default


VENUES: Final = Venues(
    (venue.id, venue)
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
)


def like(name: str) -> list[str]:
    """Return the names among which a mistyped one is to be looked for."""
    return ccxt.names() if name.startswith(ccxt.PREFIX) else list(VENUES)


def recorded(name: str) -> Venue:
    """Return the venue that the header of a capture names. Raises `UnknownVenue`."""
    return next((venue for venue in VENUES.values() if name in venue.aliases), None) or find(name)


def find(venue_id: str) -> Venue:
    """Return the venue with this id. Raises `UnknownVenue`."""
    try:
        return VENUES[venue_id]
    except KeyError:
        raise UnknownVenue(f"no venue {venue_id!r}; there are {', '.join(VENUES)}") from None
