"""Which topics are subscribed on which connection."""

from __future__ import annotations

import msgspec

from crosstape_connector.connection import plan
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Request, subscribed_depth
from crosstape_schemas import Instrument

COINBASE, KRAKEN, BINANCE = VENUES["coinbase"], VENUES["kraken"], VENUES["binance"]


def instruments(count: int, venue: str = "coinbase") -> dict[str, Instrument]:
    """A0-USD, A1-USD …"""
    return {f"A{n}-USD": Instrument(f"A{n}-USD", venue, f"A{n}", f"A{n}", "USD") for n in range(count)}


def test_kinds_in_one_channel_are_subscribed_once() -> None:
    """A kind that no endpoint offers is not subscribed."""
    assert plan.channels(KRAKEN, ("quote", "ticker", "status", "book", "delta")) == {"v2": ("ticker", "book")}


def test_a_kind_on_two_endpoints_is_taken_from_the_first() -> None:
    """The other endpoint is the fallback."""
    assert plan.channels(COINBASE, ("trade", "book")) == {"advanced": ("level2",), "exchange": ("matches",)}


def test_a_symbol_keeps_its_topics_together() -> None:
    """They are on one connection, which has room for all of them."""
    endpoint = msgspec.structs.replace(KRAKEN.endpoints[0], topics=5)
    venue = msgspec.structs.replace(KRAKEN, endpoints=(endpoint,))

    planned = plan.connections(venue, instruments(5), ("trade", "book"))

    assert [len(connection.topics) for connection in planned] == [4, 4, 2]
    assert planned[0].topics[:2] == (Topic("v2", "trade", "A0"), Topic("v2", "book", "A0"))


def test_nothing_wanted_is_nothing_planned() -> None:
    """There is no instrument, or no kind that an endpoint offers."""
    assert plan.connections(KRAKEN, {}, ("trade",)) == []
    assert plan.connections(KRAKEN, instruments(2), ("status",)) == []


def test_a_symbol_is_added_where_all_its_topics_fit() -> None:
    """Its topics stay on one connection."""
    endpoint = msgspec.structs.replace(KRAKEN.endpoints[0], topics=4)
    venue = msgspec.structs.replace(KRAKEN, endpoints=(endpoint,))
    (connection,) = plan.connections(venue, instruments(2), ("book", "quote"))
    first, second = plan.by_symbol(connection.topics)

    assert {topic.symbol for topic in first} == {"A0"}
    assert plan.fits(plan.ConnectionPlan(endpoint, first), second, 4)
    assert not plan.fits(plan.ConnectionPlan(endpoint, (*first, second[0])), second, 4)


def test_a_depth_is_the_next_that_the_venue_has() -> None:
    """Or the venue's largest; a venue without a choice gets our depth."""
    assert [subscribed_depth(KRAKEN, depth) for depth in (1, 10, 11, 5000)] == [10, 10, 25, 1000]
    assert subscribed_depth(BINANCE, 17) == 17


def test_requests_hold_one_channel_and_no_more_symbols_than_allowed() -> None:
    """Each request has its own id, so that each answer finds its request."""
    endpoint = msgspec.structs.replace(KRAKEN.endpoints[0], symbols_per_request=2)
    topics = [Topic("v2", channel, symbol) for symbol in ("A", "B", "C") for channel in ("trade", "book")]

    assert list(plan.requests(endpoint, topics, 25, 7)) == [
        Request("trade", ("A", "B"), 7, 25),
        Request("trade", ("C",), 8, 25),
        Request("book", ("A", "B"), 9, 25),
        Request("book", ("C",), 10, 25),
    ]
