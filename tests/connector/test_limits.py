"""The venues' tables stay within what the venues allow: figures from their documents, as of 2026-11."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from crosstape_connector.venues.registry import VENUES


class Limit(NamedTuple):
    """Of one endpoint; None: the venue states none."""

    topics: int | None
    messages_per_s: float
    shared: bool
    """The messages are counted over all connections of an address."""
    connects_per_s: float
    lifetime_s: float


LIMITS = {
    ("binance", "stream"): Limit(1024, 5, shared=False, connects_per_s=300 / 300, lifetime_s=86_400),
    ("coinbase", "advanced"): Limit(None, 8, shared=True, connects_per_s=8, lifetime_s=0),
    ("coinbase", "exchange"): Limit(None, 8, shared=True, connects_per_s=8, lifetime_s=0),
    ("kraken", "v2"): Limit(None, 20, shared=False, connects_per_s=150 / 600, lifetime_s=0),
}


@pytest.mark.parametrize(("venue", "name"), LIMITS)
def test_an_endpoint_keeps_to_its_venues_limits(venue: str, name: str) -> None:
    """With room for a pong and a ping in each second, where these count."""
    (endpoint,) = [one for one in VENUES[venue].endpoints if one.name == name]
    limit = LIMITS[venue, name]

    assert limit.topics is None or endpoint.topics <= limit.topics
    assert endpoint.requests_per_s + 2 <= limit.messages_per_s
    assert endpoint.requests_shared is limit.shared
    assert endpoint.connects_per_s <= limit.connects_per_s
    assert endpoint.lifetime_s == limit.lifetime_s


def test_every_endpoint_is_in_the_table() -> None:
    """A new one must be looked up."""
    assert {(venue.id, endpoint.name) for venue in VENUES.values() for endpoint in venue.endpoints} == set(LIMITS)
