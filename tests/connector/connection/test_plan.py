"""Which topics are subscribed on which connection."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.connection import plan
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Request, Venue, candle_channels, subscribed_depth
from crosstape_schemas import Instrument
from tests.connector.fake_venue import endpoint, fake

COINBASE, KRAKEN, BINANCE = VENUES["coinbase"], VENUES["kraken"], VENUES["binance"]


def instruments(count: int, venue: str = "coinbase") -> dict[str, Instrument]:
    """A0-USD, A1-USD …"""
    return {f"A{n}-USD": Instrument(f"A{n}-USD", venue, f"A{n}", f"A{n}", "USD") for n in range(count)}


def perpetuals(count: int) -> dict[str, Instrument]:
    """A0-USD-PERP, A1-USD-PERP …"""
    return {name: msgspec.structs.replace(one, name=name) for one in instruments(count).values() if (name := f"{one.name}-PERP")}


def test_kinds_in_one_channel_are_subscribed_once() -> None:
    """A kind that no endpoint offers is not subscribed."""
    assert plan.channels(KRAKEN, ("quote", "ticker", "status", "book", "delta")) == {"v2": ("ticker", "book")}


def test_a_kind_on_two_endpoints_is_taken_from_the_first() -> None:
    """The other endpoint is the fallback."""
    assert plan.channels(COINBASE, ("trade", "book")) == {"advanced": ("level2",), "exchange": ("matches",)}


def test_what_a_venue_cannot_have_of_an_instrument_is_not_subscribed() -> None:
    """Spot has no mark price and no funding, a dated future has no funding."""
    known = [
        Instrument("A-USD", "fake", "A", "A", "USD"),
        Instrument("A-USD-PERP", "fake", "AP", "A", "USD"),
        Instrument("A-USD-20261225", "fake", "AF", "A", "USD", expiry=1),
    ]
    venue = fake(endpoint(channels={"trade": "trades", "funding": "rates", "mark": "marks"}))

    (planned,) = plan.connections(venue, {one.name: one for one in known}, ("trade", "funding", "mark"))

    wanted = [("trades", "A"), ("trades", "AP"), ("rates", "AP"), ("marks", "AP"), ("trades", "AF"), ("marks", "AF")]
    assert [(topic.channel, topic.symbol) for topic in planned.topics] == wanted
    assert [topic for one in known for topic in plan.topics(venue, one, ("trade", "funding", "mark"))] == list(planned.topics)


def test_a_symbol_keeps_its_topics_together() -> None:
    """They are on one connection, which has room for all of them."""
    endpoint = msgspec.structs.replace(KRAKEN.endpoints[0], topics=5)
    venue = msgspec.structs.replace(KRAKEN, endpoints=(endpoint,))

    planned = plan.connections(venue, instruments(5), ("trade", "book"))

    assert [len(connection.topics) for connection in planned] == [4, 4, 2]
    assert planned[0].topics[:2] == (Topic("v2", "trade", "A0"), Topic("v2", "book", "A0"))


def wide(topics: int, shared: frozenset[str] = frozenset()) -> Venue:
    """A venue with four channels and three timeframes of candles, whose connections have room for so many topics."""
    kinds = {"trade": "trades", "quote": "bbo", "book": "book", "liquidation": "liquidations"}
    channels = {**kinds, **candle_channels("candle_{}", {"1m": "1min", "5m": "5min", "1h": "1hour"})}
    endpoint = msgspec.structs.replace(KRAKEN.endpoints[0], channels=channels, topics=topics, shared_channels=shared)
    return msgspec.structs.replace(KRAKEN, endpoints=(endpoint,))


CANDLES = ("candle:1m", "candle:5m", "candle:1h")
ALL = ("trade", "quote", "book", "liquidation", *CANDLES)


def test_each_timeframe_is_a_topic_and_stays_with_its_symbol() -> None:
    """Seven topics a symbol, twenty on a connection: two symbols each."""
    planned = plan.connections(wide(20), perpetuals(5), ALL)

    assert [len(connection.topics) for connection in planned] == [14, 14, 7]
    assert [{topic.symbol for topic in connection.topics} for connection in planned] == [{"A0", "A1"}, {"A2", "A3"}, {"A4"}]
    assert [topic.channel for topic in planned[2].topics][-3:] == ["candle_1min", "candle_5min", "candle_1hour"]


def test_a_symbol_with_more_topics_than_a_connection_has_room_for_is_cut() -> None:
    """The rest of it shares a connection with the next symbol, if that fits there."""
    planned = plan.connections(wide(5), perpetuals(2), ALL)
    assert [[topic.symbol for topic in connection.topics] for connection in planned] == [["A0"] * 5, ["A0"] * 2, ["A1"] * 5, ["A1"] * 2]
    assert sorted(topic for connection in planned for topic in connection.topics) == sorted(
        topic for instrument in perpetuals(2).values() for topic in plan.topics(wide(5), instrument, ALL)
    )

    planned = plan.connections(wide(5), perpetuals(3), CANDLES)
    assert [[topic.symbol for topic in connection.topics] for connection in planned] == [["A0"] * 3, ["A1"] * 3, ["A2"] * 3]


def test_a_shared_channel_counts_once_a_connection() -> None:
    """Three symbols with two topics each are four for the venue."""
    shared = frozenset({"liquidations"})
    planned = plan.connections(wide(4, shared), perpetuals(5), ("trade", "liquidation"))

    assert [len(connection.topics) for connection in planned] == [6, 4]
    assert [plan.size(connection.endpoint, connection.topics) for connection in planned] == [4, 3]
    assert plan.fits(planned[1], planned[0].topics[:2], 4)
    assert not plan.fits(planned[0], planned[1].topics[:2], 4)


def test_a_shared_channel_is_one_request_with_any_symbol() -> None:
    """Whatever the symbols are."""
    (endpoint,) = wide(20, frozenset({"liquidations"})).endpoints
    topics = [Topic("v2", channel, symbol) for symbol in ("A", "B") for channel in ("trades", "liquidations")]

    assert list(plan.requests(endpoint, topics, 25, 7)) == [Request("trades", ("A", "B"), 7, 25), Request("liquidations", ("A",), 8, 25)]


def test_a_channel_of_single_symbols_is_one_request_each() -> None:
    """The other channels of the endpoint keep their size."""
    endpoint = msgspec.structs.replace(wide(20).endpoints[0], symbols_per_request=10, single_channels=frozenset({"candle_1min"}))
    topics = [Topic("v2", channel, symbol) for symbol in ("A", "B") for channel in ("trades", "candle_1min")]

    asked = [(request.channel, request.symbols, request.request_id) for request in plan.requests(endpoint, topics, 25, 7)]

    assert asked == [("trades", ("A", "B"), 7), ("candle_1min", ("A",), 8), ("candle_1min", ("B",), 9)]


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 12), st.booleans())
def test_every_topic_is_on_one_connection_and_none_has_too_many(sizes: list[int], room: int, shared: bool) -> None:
    """Whatever the symbols need. A symbol that fits on one connection is on one."""
    (endpoint,) = wide(room, frozenset({"0"}) if shared else frozenset()).endpoints
    groups = [[Topic("v2", str(channel), str(symbol)) for channel in range(count)] for symbol, count in enumerate(sizes)]

    shards = plan.shards(endpoint, groups, room)

    assert [topic for shard in shards for topic in shard] == [topic for group in groups for topic in group]
    assert all(0 < plan.size(endpoint, shard) <= room for shard in shards)
    for group in groups:
        if len(group) <= room:
            assert any(set(group) <= set(shard) for shard in shards)


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
