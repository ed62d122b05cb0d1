"""The sink: events go to the writer, snapshot requests to their router, in the order in which the feeds returned them."""

from __future__ import annotations

from decimal import Decimal

from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_schemas import Quote

REQUEST = SnapshotRequest("AAA-USD", "AAAUSD", "rest", "sequence")


def quote(bid: int) -> Quote:
    """Received at its price."""
    return Quote("fake", "AAA-USD", None, bid, Decimal(bid), Decimal(1), Decimal(100), Decimal(1))


def test_a_snapshot_request_is_routed_in_its_place_and_never_published() -> None:
    """The events before it are published already, and it is not counted as an event."""
    done: list[Effect] = []
    counters = Counters()
    sink = Sink(counters)
    sink.pass_to(done.extend)
    sink.route_requests(done.append)

    sink.publish([quote(1), REQUEST, quote(2)])
    sink.sample(REQUEST)

    assert done == [quote(1), REQUEST, quote(2)]
    assert sum(counters.events.values()) == 2
