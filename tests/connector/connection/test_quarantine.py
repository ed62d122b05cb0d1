"""Symbols whose subscription closes the connection, at a venue that refuses none by a word."""

from __future__ import annotations

import msgspec

from crosstape_connector.connection.quarantine import REASON, RETRY_S, Quarantine
from crosstape_connector.connection.subscriptions import Subscriptions, TopicState
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Ack
from crosstape_schemas import FeedState, Status
from tests.connector.connection.test_subscriptions import send
from tests.connector.fake_venue import endpoint, fake, serving, trade
from tests.connector.rig import QUICK, rigged
from tests.waiting import wait_until

A, B, C = (Topic("main", "trades", symbol) for symbol in ("AAAUSD", "BBBUSD", "CCCUSD"))
ONE = endpoint(symbols_per_request=1, unknown_closes_s=2.0)


def subscriptions(quarantine: Quarantine) -> Subscriptions:
    """Those of the next connection."""
    return Subscriptions(ONE, [A, B, C], depth=10, ack_timeout_s=10.0, quarantine=quarantine)


def asked(connection: Subscriptions) -> list[str]:
    """Send what may be sent now, at second 100."""
    return [one.request.symbols[0] for one in send(connection, at=100.0)]


def test_what_had_no_answer_is_requested_last_and_one_at_a_time() -> None:
    """Each answer lets the next one go."""
    quarantine = Quarantine(2.0)
    quarantine.closed([(99.5, B), (99.6, A)], now=100.0, served=True)
    connection = subscriptions(quarantine)

    assert asked(connection) == ["CCCUSD"]
    connection.acknowledge(Ack(channel="trades", symbols=("CCCUSD",)))
    assert asked(connection) == ["BBBUSD"]
    assert asked(connection) == []
    connection.acknowledge(Ack(channel="trades", symbols=("BBBUSD",)))
    assert asked(connection) == ["AAAUSD"]


def test_a_symbol_that_was_alone_at_two_closes_is_rejected() -> None:
    """The others are requested as usual from then on."""
    quarantine = Quarantine(2.0)
    for _ in range(2):
        assert not quarantine.is_rejected("BBBUSD")
        quarantine.closed([(99.5, B)], now=100.0, served=True)
    connection = subscriptions(quarantine)

    assert (connection.states[B], connection.reasons[B]) == (TopicState.REJECTED, REASON)
    assert asked(connection) == ["AAAUSD", "CCCUSD"]


def test_an_answer_clears_a_symbol() -> None:
    """The close before had another reason."""
    quarantine = Quarantine(2.0)
    quarantine.closed([(99.5, B)], now=100.0, served=True)
    connection = subscriptions(quarantine)
    asked(connection)
    for topic in (A, C, B):
        connection.acknowledge(Ack(channel="trades", symbols=(topic.symbol,)))
        asked(connection)
    quarantine.closed([(99.5, B)], now=100.0, served=True)

    assert not quarantine.is_rejected("BBBUSD")


def test_a_venue_that_serves_nobody_rejects_no_symbol() -> None:
    """During maintenance it closes each connection after the first request. Each time another symbol is tried first."""
    quarantine = Quarantine(2.0)
    first = []
    quarantine.closed([(99.5, A), (99.5, B), (99.5, C)], now=100.0, served=False)
    for _ in range(6):
        connection = subscriptions(quarantine)
        first += asked(connection)
        quarantine.closed(connection.unanswered(), now=100.0, served=connection.served)

    assert first == ["AAAUSD", "BBBUSD", "CCCUSD"] * 2
    assert not any(quarantine.is_rejected(topic.symbol) for topic in (A, B, C))


def test_a_rejected_symbol_is_tried_once_more_after_a_while() -> None:
    """Last and alone. A close rejects it at once, an answer clears it."""
    quarantine = Quarantine(2.0)
    for _ in range(2):
        quarantine.closed([(99.5, B)], now=100.0, served=True)
    quarantine.try_again(100.0 + RETRY_S - 1)
    assert quarantine.is_rejected("BBBUSD")

    quarantine.try_again(100.0 + RETRY_S)
    connection = subscriptions(quarantine)
    assert asked(connection) == ["AAAUSD", "CCCUSD"]
    quarantine.closed([(99.5, B)], now=100.0, served=True)
    assert quarantine.is_rejected("BBBUSD")

    quarantine.try_again(100.0 + RETRY_S)
    quarantine.release(["BBBUSD"])
    quarantine.closed([(99.5, B)], now=100.0, served=True)
    assert not quarantine.is_rejected("BBBUSD")


def test_a_close_long_after_a_request_is_no_answer() -> None:
    """And at a venue that refuses by a word nothing is ever suspect."""
    quarantine, never = Quarantine(2.0), Quarantine(0.0)
    quarantine.closed([(90.0, B)], now=100.0, served=True)
    never.closed([(99.9, B)], now=100.0, served=True)

    assert asked(subscriptions(quarantine)) == asked(subscriptions(never)) == ["AAAUSD", "BBBUSD", "CCCUSD"]


async def test_one_unknown_symbol_does_not_keep_the_others_from_trading() -> None:
    """The venue cuts each connection that asks for it. In the end it is rejected, and the others are live on a connection that stays."""
    settings = msgspec.structs.replace(QUICK, kinds=("trade",))
    async with serving() as server, rigged(server, fake(ONE), settings, ["AAAUSD", "BBBUSD", "CCCUSD"]) as rig:
        server.cut_by.add("BBBUSD")
        async with rig.supervised():
            await wait_until(lambda: REASON in str(rig.of(Status)), what="rejected")
            connections = len(server.peers)
            await server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: rig.state("AAA-USD", "trade") is FeedState.LIVE, what="another trades")
            assert (len(server.peers), rig.state("BBB-USD", "trade")) == (connections, FeedState.DOWN)
            assert ("trades", "BBBUSD") not in server.peer.asked("subscribe")
