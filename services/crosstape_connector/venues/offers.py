"""Which kinds of feeds a venue has of an instrument. What it does not have is left out, whatever the settings name. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Instrument

NO_FEED: Final = "status"
"""The kind of events that belongs to no feed, though a venue may have a channel for it."""
DERIVATIVES_ONLY: Final = frozenset({"mark", "open_interest", "liquidation"})
PERPETUALS_ONLY: Final = frozenset({"funding"})


def channel_kinds(venue: Venue) -> frozenset[str]:
    """Return the kinds that the venue has a channel for."""
    return frozenset(kind for endpoint in venue.endpoints for kind in endpoint.channels)


def polled_kinds(venue: Venue) -> frozenset[str]:
    """Return the kinds that the venue has only by REST, so that they are polled all the time."""
    return frozenset(kind for source in venue.polled for kind in source.kinds) - channel_kinds(venue)


def offered(venue: Venue, kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds of feeds, of those that are named, that the venue has, in the same order."""
    found = (channel_kinds(venue) | polled_kinds(venue)) - {NO_FEED}
    return tuple(kind for kind in kinds if kind in found)


def concerns(kind: str, instrument: Instrument) -> bool:
    """Whether an instrument can have a feed of this kind: spot has no mark price, and only perpetuals have funding."""
    is_perpetual = instrument.name.endswith("-PERP")
    if kind in PERPETUALS_ONLY:
        return is_perpetual
    return kind not in DERIVATIVES_ONLY or is_perpetual or instrument.expiry is not None
