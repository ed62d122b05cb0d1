"""The sink: events go to the writer, snapshot requests to their router, in the order in which the feeds returned them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.venues.messages import Odd
from crosstape_schemas import Event, FeedState, Gap, Quote, Side, Status, Trade

REQUEST = SnapshotRequest("AAA-USD", "AAAUSD", "rest", "sequence")


def quote(bid: int) -> Quote:
    """Received at its price."""
    return Quote("fake", "AAA-USD", None, bid, Decimal(bid), Decimal(1), Decimal(100), Decimal(1))


def trade(number: int, *, backfilled: bool = False) -> Trade:
    """Received at its number."""
    return Trade("fake", "AAA-USD", number, number, Decimal(1), Decimal(1), Side.BUY, str(number), backfilled)


def status(state: FeedState) -> Status:
    """The state of the quotes."""
    return Status("fake", "AAA-USD", None, 1, "quote", state, "")


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


def test_events_of_one_class_are_passed_on_together() -> None:
    """One call of the publisher for a bunch; each event is counted."""
    calls: list[Sequence[Event]] = []
    counters = Counters()
    sink = Sink(counters)
    sink.pass_to(calls.append)

    sink.publish([trade(1), trade(2), trade(3)])
    sink.publish([])
    sink.publish(quote(number) for number in (1, 2))

    assert calls == [[trade(1), trade(2), trade(3)], [quote(1), quote(2)]]
    assert counters.events == {Trade: 3, Quote: 2}
    assert counters.backfilled == 0


def test_a_mixed_bunch_keeps_its_order_and_is_counted() -> None:
    """What is odd is counted in its place, and is no event."""
    done: list[Event] = []
    counters = Counters()
    sink = Sink(counters)
    sink.pass_to(done.extend)
    mixed: list[Event] = [quote(1), trade(1), trade(2, backfilled=True), status(FeedState.LIVE), quote(2)]

    sink.publish([mixed[0], Odd("size", "nothing"), *mixed[1:]])

    assert done == mixed
    assert counters.events == {Quote: 2, Trade: 2, Status: 1}
    assert (counters.backfilled, counters.odd["size"]) == (1, 1)


def test_a_status_may_redirect_what_comes_behind_it() -> None:
    """A replica becomes a standby before it publishes that a feed is down. What was before goes the old way."""
    published: list[Event] = []
    held: list[Event] = []
    counters = Counters()
    sink = Sink(counters, before_down=lambda _: sink.hold_in(held.extend))
    sink.pass_to(published.extend)
    down = status(FeedState.DOWN)

    sink.publish([trade(1), down, trade(2), trade(3, backfilled=True)])

    assert (published, held) == ([trade(1)], [down, trade(2), trade(3, backfilled=True)])
    assert (counters.events, counters.backfilled) == ({Trade: 1}, 0)


def test_an_error_of_a_listener_keeps_no_other_event_back() -> None:
    """It is raised in the end."""
    done: list[Event] = []
    sink = Sink(Counters())
    sink.pass_to(done.extend)

    def fail(_: Status | Gap) -> None:
        raise RuntimeError("a bug")

    sink.listen(fail)
    with pytest.raises(RuntimeError, match="a bug"):
        sink.publish([trade(1), status(FeedState.LIVE), trade(2), quote(1)])
    assert done == [trade(1), trade(2), quote(1)]
