"""The venues' tables stay within what the venues allow, as `evidence.py` in each venue's test folder states it."""

from __future__ import annotations

import pytest

from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Endpoint
from docs.conformance import limits_of

ENDPOINTS = [(venue.id, endpoint) for venue in VENUES.values() for endpoint in venue.endpoints]


@pytest.mark.parametrize(("venue", "endpoint"), ENDPOINTS, ids=[f"{venue}-{endpoint.name}" for venue, endpoint in ENDPOINTS])
def test_an_endpoint_keeps_to_its_venues_limits(venue: str, endpoint: Endpoint) -> None:
    """With room for a pong and a ping per second, if the venue counts these."""
    limit = limits_of(venue)[endpoint.name]

    assert limit.topics is None or endpoint.topics <= limit.topics
    assert limit.messages_per_s is None or endpoint.requests_per_s + 2 <= limit.messages_per_s
    assert endpoint.requests_shared is limit.shared
    assert limit.connects_per_s is None or endpoint.connects_per_s <= limit.connects_per_s
    assert endpoint.lifetime_s == limit.lifetime_s


@pytest.mark.parametrize("venue", VENUES)
def test_every_limit_belongs_to_an_endpoint(venue: str) -> None:
    """And every endpoint has a limit."""
    assert set(limits_of(venue)) == {endpoint.name for endpoint in VENUES[venue].endpoints}
