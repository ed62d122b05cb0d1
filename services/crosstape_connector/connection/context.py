"""The parts that all connections of a venue share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from crosstape.settings import VenueSettings
from crosstape_connector.capture.writer import Capture
from crosstape_connector.connection.watchdog import Watchdog
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.http import Http
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.venues.spec import Venue


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """The parts that all connections of a venue share."""

    venue: Venue
    settings: VenueSettings
    feeds: FeedHandler
    sink: Sink
    counters: Counters
    http: Http
    urls: Mapping[str, str]
    """Endpoint name → its URL."""
    watchdog: Watchdog
    flow: Callable[[], Awaitable[None]]
    """Awaited by sessions now and then: gives other tasks a turn, and waits while the bus is far behind."""
    capture: Capture | None
    rate_limits: Mapping[str, RateLimit]
    """Endpoint name → the rate limit of messages that its connections share; see `shared_rate_limits`."""
    post: Callable[[str, str], Awaitable[bytes]]
    """POST to (key of `Venue.rest_urls`, path): returns the body of the answer, which is not captured. Raises `RestFailed`."""
    check_clock: Callable[[], None] = lambda: None
    """Notices a step of our clock, or a stop of this process. Called before any check that uses our times."""
    probe: Callable[[str], None] = lambda instrument: None
    """Called with a silent instrument: asks by REST whether it trades."""


def shared_rate_limits(venue: Venue) -> dict[str, RateLimit]:
    """Endpoint → the rate limit of messages that all its connections share; endpoints that limit each connection alone are left out."""
    return {one.name: RateLimit.per_second(one.requests_per_s) for one in venue.endpoints if one.requests_shared}
