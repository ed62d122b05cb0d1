"""The parts that all kinds of REST requests of a venue share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.rest.sources import RestSources


@dataclass(frozen=True, slots=True)
class RestContext:
    """The parts that all kinds of REST requests of a venue share."""

    sources: RestSources
    feeds: FeedHandler
    sink: Sink
    counters: Counters
    active: Callable[[], bool]
    """Whether this process publishes: a standby replica requests nothing but instruments and snapshots."""
