"""A connection is replaced before its venue closes it, and the old one is used until the new one can take over."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.connection.hourly_budget import HourlyBudget
from crosstape_connector.connection.supervisor import rotation_due_s
from crosstape_connector.feeds.keys import Topic
from crosstape_schemas import Book, FeedState, Gap, Trade
from tests.connector.fake_venue import Peer, book, endpoint, fake, serving, trade
from tests.connector.rig import QUICK, Rig, rigged
from tests.waiting import wait_until

ROTATING = msgspec.structs.replace(QUICK, rotate_s=0.2)


def rotations(rig: Rig) -> int:
    """Return the number of rotations so far."""
    return rig.counters.endpoints["main"].rotations


@given(st.floats(1, 1e6), st.floats(0, 1))
def test_a_connection_is_replaced_before_it_is_cut_and_not_with_the_others(lifetime_s: float, draw: float) -> None:
    """At a random moment in the last tenth of its life, with time left for a second attempt."""
    due = rotation_due_s(lifetime_s, draw)
    assert due is not None
    assert 0.9 * lifetime_s <= due <= 0.97 * lifetime_s


def test_what_is_never_cut_is_never_replaced() -> None:
    """The venue does not limit the age of connections."""
    assert rotation_due_s(0.0, 0.5) is None


async def test_a_venue_never_cuts_a_connection_at_its_age_limit() -> None:
    """Trades continue from one connection to the next, and we close each connection before the venue does."""
    async with serving() as server, rigged(server, fake(endpoint(lifetime_s=2.0)), symbols=["AAAUSD"]) as rig:
        async with rig.supervised():
            await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
            await server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: rotations(rig), what="replaced")
            await wait_until(lambda: server.peers[0].close_code is not None, what="the old one is closed")
            await server.peers[1].send(trade("AAAUSD", 2))
            await wait_until(lambda: len(rig.of(Trade)) == 2, what="a trade of the new one")
            states = rig.states("AAA-USD", "trade")
        assert states == [FeedState.CONNECTING, FeedState.LIVE]
        assert rig.of(Gap) == []
        assert rig.counters.endpoints["main"].lost == 0


async def test_the_new_connection_waits_until_the_old_one_has_come_as_far() -> None:
    """A trade that only the new connection has received yet leaves no gap before it."""
    async with serving() as server, rigged(server, settings=ROTATING, symbols=["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        old = server.peer
        await old.send(trade("AAAUSD", 1))
        server.on_subscribe = lambda _peer, _request: [trade("AAAUSD", 4)]
        await wait_until(lambda: len(server.peers) == 2 and server.peer.requests, what="the next connection")
        new = server.peer
        server.on_subscribe = lambda _peer, _request: ()
        await new.send(b'{"hb": 1}')
        await wait_until(lambda: rig.counters.endpoints["main"].heartbeats, what="the new one has read its trade")
        await old.send(trade("AAAUSD", 2), trade("AAAUSD", 3))
        await wait_until(lambda: rotations(rig), what="replaced")
        await wait_until(lambda: len(rig.of(Trade)) == 4, what="all trades")
        assert [one.trade_id for one in rig.of(Trade)] == ["1", "2", "3", "4"]
        assert rig.of(Gap) == []


async def test_a_new_connection_without_a_proven_book_does_not_take_over() -> None:
    """The old one is used; when another takes over later, its book is published."""
    asked = itertools.count()

    def snapshots(_peer: Peer, request: dict[str, Any]) -> list[bytes]:
        return [book("AAAUSD", 30, snap=True)] if next(asked) != 1 else []

    settings = msgspec.structs.replace(ROTATING, kinds=("book",))
    async with serving() as server, rigged(server, settings=settings, symbols=["AAAUSD"]) as rig:
        server.on_subscribe = snapshots
        async with rig.supervised():
            await wait_until(lambda: len(server.peers) == 2 and server.peer.requests, what="the next connection")
            old, new = server.peers
            await new.send(b'{"hb": 1}')
            await wait_until(lambda: rig.counters.endpoints["main"].heartbeats, what="it speaks, but has no book")
            await old.send(book("AAAUSD", 31))
            await wait_until(lambda: rig.of(Book)[-1].sequence == 31, what="the old one serves")
            assert rotations(rig) == 0
            await new.send(book("AAAUSD", 31, snap=True), book("AAAUSD", 32))
            await wait_until(lambda: rotations(rig), what="replaced")
            await wait_until(lambda: rig.of(Book)[-1].sequence == 32, what="the new one's book")
            states = rig.states("AAA-USD", "book")
        assert states == [FeedState.CONNECTING, FeedState.LIVE]
        assert rig.of(Gap) == []


async def test_what_only_the_new_connection_broke_is_not_on_the_tape() -> None:
    """A gap in the numbers of the waiting book prevents the takeover, and the book on the tape stays live."""
    settings = msgspec.structs.replace(ROTATING, kinds=("book",))
    async with serving() as server, rigged(server, settings=settings, symbols=["AAAUSD"]) as rig, rig.supervised():
        server.on_subscribe = lambda _peer, _request: [book("AAAUSD", 30, snap=True)]
        await wait_until(lambda: len(server.peers) == 2 and server.peer.requests, what="the next connection")
        await server.peer.send(book("AAAUSD", 31), book("AAAUSD", 35), b'{"hb": 1}')
        await wait_until(lambda: rig.counters.endpoints["main"].heartbeats, what="it skipped a number")
        assert rotations(rig) == 0
        assert rig.state("AAA-USD", "book") is FeedState.LIVE
        assert rig.of(Gap) == []


async def test_a_new_connection_that_is_refused_is_tried_again() -> None:
    """The old connection is not affected."""
    async with serving() as server, rigged(server, settings=ROTATING, symbols=["AAAUSD"]) as rig:
        async with rig.supervised():
            await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
            server.refuse_connections += [web.Response(status=503), web.Response(status=502)]
            await server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: rotations(rig), what="replaced")
            states = rig.states("AAA-USD", "trade")
        assert rig.counters.endpoints["main"].rotations_failed == 2
        assert rig.counters.endpoints["main"].lost == 0
        assert states == [FeedState.CONNECTING, FeedState.LIVE]


async def test_an_old_connection_that_breaks_meanwhile_is_replaced_at_once() -> None:
    """The trades that the new one has kept are published, and fill the gap as far as they reach."""
    async with serving() as server, rigged(server, settings=ROTATING, symbols=["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        old = server.peer
        await old.send(trade("AAAUSD", 1))
        server.acks = False
        await wait_until(lambda: len(server.peers) == 2 and server.peer.requests, what="the next connection")
        await server.peer.send(trade("AAAUSD", 2), b'{"hb": 1}')
        await wait_until(lambda: rig.counters.endpoints["main"].heartbeats, what="it holds a trade")
        old.cut()
        await wait_until(lambda: len(rig.of(Trade)) == 2, what="the trade that was held")
        assert rig.of(Gap) == []
        assert rig.counters.endpoints["main"].lost == 1
        assert rig.state("AAA-USD", "trade") is FeedState.LIVE


async def test_a_connection_that_has_sent_many_requests_is_replaced() -> None:
    """Where a venue takes only so many requests in an hour: the next connection has its own, and nothing is lost between them."""
    limited = endpoint(requests_per_hour=40)
    topic = Topic("main", "trades", "AAAUSD")
    async with serving() as server, rigged(server, fake(limited), symbols=["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: rig.supervisor.answered("main"), what="subscribed")
        await server.peer.send(trade("AAAUSD", 1))
        for _ in range(15):
            await wait_until(lambda: rig.supervisor.resubscribe(topic), what="subscribed again")
        await wait_until(lambda: rotations(rig), what="replaced")
        assert rig.of(Gap) == []
        assert rig.counters.endpoints["main"].lost == 0
        assert len(server.peers[0].asked("subscribe")) == 16


async def test_symbols_count_where_the_venue_counts_them() -> None:
    """Four symbols in one request are most of five."""
    limited = endpoint(requests_per_hour=5, counts_symbols=True)
    symbols = ["AAAUSD", "BBBUSD", "CCCUSD", "DDDUSD"]
    async with serving() as server, rigged(server, fake(limited), symbols=symbols) as rig, rig.supervised():
        await wait_until(lambda: rotations(rig), what="replaced")


def test_the_requests_of_an_hour_are_counted() -> None:
    """Those that do not fit are not sent; after an hour there is room again."""
    budget, free = HourlyBudget(8), HourlyBudget(0)
    assert budget.spend(6, 0.0)
    assert not budget.is_low
    assert budget.spend(1, 60.0)
    assert budget.is_low
    assert not budget.spend(2, 61.0)
    assert budget.spend(6, 3_600.0)
    assert free.spend(10_000, 0.0)
    assert not free.is_low
