"""The registry of venues: one line each."""

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
    bitstamp,
    coinbase,
    gemini,
    kraken,
    kraken_futures,
    kucoin,
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
        bitstamp.VENUE,
        coinbase.VENUE,
        gemini.VENUE,
        kraken.VENUE,
        kraken_futures.VENUE,
        kucoin.SPOT,
        kucoin.FUTURES,
    )
}


def recorded(name: str) -> Venue:
    """Return the venue that the header of a capture names. Raises `UnknownVenue`."""
    return next((venue for venue in VENUES.values() if name in venue.aliases), None) or find(name)


def find(venue_id: str) -> Venue:
    """Return the venue with this id. Raises `UnknownVenue`."""
    try:
        return VENUES[venue_id]
    except KeyError:
        raise UnknownVenue(f"no venue {venue_id!r}; there are {', '.join(VENUES)}") from None
