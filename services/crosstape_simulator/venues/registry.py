"""All simulated venues. A new venue is one line here."""

from __future__ import annotations

from typing import Final

from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues import binance_us, bitstamp, gemini
from crosstape_simulator.venues.binance import venue as binance
from crosstape_simulator.venues.binance_futures import venue as binance_futures
from crosstape_simulator.venues.bingx import spot as bingx
from crosstape_simulator.venues.bingx import swap as bingx_swap
from crosstape_simulator.venues.bitfinex import venue as bitfinex
from crosstape_simulator.venues.coinbase import venue as coinbase
from crosstape_simulator.venues.kraken import venue as kraken
from crosstape_simulator.venues.kraken_futures import venue as kraken_futures
from crosstape_simulator.venues.kucoin import futures as kucoin_futures
from crosstape_simulator.venues.kucoin import spot as kucoin
from crosstape_simulator.venues.spec import SimulatedVenue

VENUES: Final[dict[str, SimulatedVenue]] = {
    made.id: made
    for made in (
        binance.VENUE,
        binance_futures.COINM,
        binance_us.VENUE,
        binance_futures.USDM,
        bingx.VENUE,
        bingx_swap.VENUE,
        bitfinex.VENUE,
        bitstamp.VENUE,
        coinbase.VENUE,
        gemini.VENUE,
        kraken.VENUE,
        kraken_futures.VENUE,
        kucoin.VENUE,
        kucoin_futures.VENUE,
    )
}
"""By id."""

DEFAULT: Final = ("binance", "coinbase", "kraken")
"""The venues that are simulated unless others are named."""


def find(venue: str) -> SimulatedVenue:
    """The venue of this id. Raises `SimulatorError` if it is not simulated."""
    try:
        return VENUES[venue]
    except KeyError:
        raise SimulatorError(f"no such venue: {venue}") from None


def default_listings(venue: str, *, stablecoins: bool = False) -> tuple[Listing, ...]:
    """All pairs that a venue lists by default, with `stablecoins` also those against the dollar; none for an unknown venue."""
    if venue not in VENUES:
        return ()
    return VENUES[venue].listings + (VENUES[venue].stablecoins if stablecoins else ())
