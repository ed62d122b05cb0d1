"""All simulated venues. A new venue is one line here."""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.market.listings import PRICES, STEADY, Listing
from crosstape_simulator.venues import binance_us, bitstamp, gemini
from crosstape_simulator.venues.binance import venue as binance
from crosstape_simulator.venues.binance_futures import venue as binance_futures
from crosstape_simulator.venues.bingx import spot as bingx
from crosstape_simulator.venues.bingx import swap as bingx_swap
from crosstape_simulator.venues.bitfinex import venue as bitfinex
from crosstape_simulator.venues.bitget import venue as bitget
from crosstape_simulator.venues.bybit import venue as bybit
from crosstape_simulator.venues.coinbase import venue as coinbase
from crosstape_simulator.venues.deribit import venue as deribit
from crosstape_simulator.venues.gateio import futures as gateio_futures
from crosstape_simulator.venues.gateio import spot as gateio
from crosstape_simulator.venues.htx import spot as htx
from crosstape_simulator.venues.htx import swap as htx_swap
from crosstape_simulator.venues.hyperliquid import venue as hyperliquid
from crosstape_simulator.venues.kraken import venue as kraken
from crosstape_simulator.venues.kraken_futures import venue as kraken_futures
from crosstape_simulator.venues.kucoin import futures as kucoin_futures
from crosstape_simulator.venues.kucoin import spot as kucoin
from crosstape_simulator.venues.okx import spot as okx
from crosstape_simulator.venues.okx import swap as okx_swap
from crosstape_simulator.venues.spec import SimulatedVenue

VENUES: Final[dict[str, SimulatedVenue]] = {
    made.id: made
    for made in (
        binance.VENUE,
        binance_futures.COINM,
        binance_futures.USDM,
        binance_us.VENUE,
        bingx.VENUE,
        bingx_swap.VENUE,
        bitfinex.VENUE,
        bitget.SPOT,
        bitget.FUTURES,
        bitstamp.VENUE,
        bybit.SPOT,
        bybit.LINEAR,
        bybit.INVERSE,
        coinbase.VENUE,
        deribit.VENUE,
        gateio.VENUE,
        gateio_futures.VENUE,
        gemini.VENUE,
        htx.VENUE,
        htx_swap.VENUE,
        hyperliquid.PERPETUALS,
        hyperliquid.SPOT,
        kraken.VENUE,
        kraken_futures.VENUE,
        kucoin.VENUE,
        kucoin_futures.VENUE,
        okx.VENUE,
        okx_swap.VENUE,
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


def default_listings(venue: str, *, stablecoins: bool = False, pairs: int = 0) -> tuple[Listing, ...]:
    """All pairs that a venue lists by default, with `stablecoins` also those against the dollar; none for an unknown venue.

    `pairs`: as many pairs in place of all: further ones are like its pair of ether, in their decimals, contract and quote asset.
    Raises `SimulatorError` if there are not as many.
    """
    if venue not in VENUES:
        return ()
    made = VENUES[venue]
    listed = made.listings
    if pairs:
        model = min((one for one in listed if one.base == "ETH" and one.expiry is None), key=lambda one: one.quote != "USDT")
        new = [base for base in PRICES if base not in STEADY and all(one.base != base for one in listed)]
        further = (msgspec.structs.replace(model, base=base, symbol=made.symbol_of(model, base)) for base in new)
        listed = (*listed, *further)[:pairs]
        if len(listed) < pairs:
            raise SimulatorError(f"{venue} can list {len(listed)} pairs, not {pairs}")
    return listed + (made.stablecoins if stablecoins else ())
