"""The venues that tests of a real connector run on, from what the venues' tables say."""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.registry import VENUES
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues.registry import VENUES as SIMULATED

ALL: Final = tuple(name for name in VENUES if name in SIMULATED)
NUMBERED: Final = tuple(name for name in ALL if VENUES[name].trade_ids == "contiguous" and VENUES[name].trades is not None)
"""Venues whose trade ids show how many trades are missing, and that have these by REST."""
HALTS: Final = tuple((name, how) for name in ALL for how in (*SIMULATED[name].rest.halted, "gone"))
"""(venue, how one of its instruments can be halted)."""


def pair(name: str) -> tuple[Listing, Listing]:
    """The venue's listings of bitcoin and ether that the tests are about: in USDT where it has these, no dated contract."""
    wanted = [one for one in SIMULATED[name].listings if one.expiry is None]
    first, second = ([one for one in wanted if one.base == base] for base in ("BTC", "ETH"))
    quote = "USDT" if any(one.quote == "USDT" for one in first) else first[0].quote
    return next(one for one in first if one.quote == quote), next(one for one in second if one.quote == quote)
