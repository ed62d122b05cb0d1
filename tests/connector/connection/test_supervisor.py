"""Keeping sessions running: waits, takeovers, and what is published meanwhile."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from crosstape_connector.feeds.keys import Topic
from crosstape_schemas import Book, FeedState, Gap, GapCause, Quote, Trade
from tests.connector.fake_venue import Peer, book, endpoint, fake, quote, serving, trade
from tests.connector.rig import QUICK, rigged
from tests.waiting import wait_until


async def test_a_cut_connection_comes_back_with_a_gap() -> None:
    """Down, recovering, live; and a gap from the last trade before the loss to the first after it, with the count."""
    async with serving() as server, rigged(server, symbols=["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        await server.peer.send(trade("AAAUSD", 1))
        await wait_until(lambda: len(rig.of(Trade)) == 1, what="a trade")
        server.peer.cut()
        await wait_until(lambda: len(server.peers) == 2 and server.peer.requests, what="another connection")
        await server.peer.send(trade("AAAUSD", 5))
        await wait_until(lambda: len(rig.of(Trade)) == 2, what="another trade")
        (gap,) = rig.of(Gap)
        first, second = rig.of(Trade)
        assert (gap.cause, gap.missed, gap.from_ts, gap.to_ts) == (GapCause.DISCONNECT, 3, first.received_ts, second.received_ts)
        states = rig.states("AAA-USD", "trade")
        assert states == [FeedState.CONNECTING, FeedState.LIVE, FeedState.DOWN, FeedState.RECOVERING, FeedState.LIVE]
        assert rig.counters.gaps["disconnect"] == 1


async def test_waits_grow_while_it_fails_and_are_short_after_a_healthy_session() -> None:
    """A venue that is down gets few attempts; after a healthy session we do not wait long."""
    changed = msgspec.structs.replace(QUICK, backoff_min_s=0.02, backoff_max_s=10.0, healthy_s=0.3)
    async with serving() as server, rigged(server, settings=changed) as rig:
        server.refuse_connections += [web.Response(status=502) for _ in range(4)]
        with capture_logs() as logs:
            async with rig.supervised():
                await wait_until(lambda: server.peers, what="a connection")
                since = time.monotonic()
                await wait_until(lambda: time.monotonic() - since > 0.35, what="it was healthy for long enough")
                server.peer.cut()
                await wait_until(lambda: len(server.peers) == 2, what="another connection")
        waits = [log["retry_in_s"] for log in logs if log["event"] == "session.lost"]
        assert len(waits) == 5
        assert all(wait_s <= 0.04 * 2**number + 0.001 for number, wait_s in enumerate(waits[:4]))
        assert waits[4] <= 0.041
        assert rig.counters.endpoints["main"].lost == 5


async def test_retry_after_is_respected() -> None:
    """Our own wait would be shorter."""
    async with serving() as server, rigged(server) as rig:
        server.refuse_connections.append(web.Response(status=429, headers={"Retry-After": "1"}))
        before = time.monotonic()
        async with rig.supervised():
            await wait_until(lambda: server.peers, what="a connection")
        assert time.monotonic() - before > 0.9


TWO = (endpoint("trading", {"trade": "trades"}), endpoint("market", {"quote": "quotes"}))
BOTH = msgspec.structs.replace(QUICK, kinds=("trade", "quote"))


def at(peers: list[Peer], name: str) -> list[Peer]:
    """Return the connections to one endpoint."""
    return [peer for peer in peers if peer.path == f"/ws/{name}"]


async def test_two_endpoints_of_a_venue_are_two_connections_that_fail_apart() -> None:
    """Each has its channels. When one is cut, the feeds of the other stay live."""
    async with serving() as server, rigged(server, fake(*TWO), BOTH, ["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: len(server.peers) == 2 and all(peer.requests for peer in server.peers), what="two connections")
        (trading,), (market,) = at(server.peers, "trading"), at(server.peers, "market")
        assert trading.asked("subscribe") == [("trades", "AAAUSD")]
        assert market.asked("subscribe") == [("quotes", "AAAUSD")]
        await trading.send(trade("AAAUSD", 1))
        await market.send(quote("AAAUSD"))
        await wait_until(lambda: rig.of(Trade) and rig.of(Quote), what="data of both")
        trading.cut()
        await wait_until(lambda: len(at(server.peers, "trading")) == 2, what="the one that was cut is back")
        assert FeedState.DOWN in rig.states("AAA-USD", "trade")
        assert rig.state("AAA-USD", "quote") is FeedState.LIVE
        assert len(at(server.peers, "market")) == 1


async def test_topics_are_sharded_over_connections() -> None:
    """A connection has at most as many topics as the endpoint allows."""
    symbols = ["AAAUSD", "BBBUSD", "CCCUSD"]
    async with serving() as server, rigged(server, fake(endpoint(topics=2)), symbols=symbols) as rig, rig.supervised():
        await wait_until(lambda: len(server.peers) == 2 and all(peer.requests for peer in server.peers), what="two connections")
        asked = sorted(symbol for peer in server.peers for _, symbol in peer.asked("subscribe"))
        assert asked == symbols


async def test_a_rotation_leaves_no_gap() -> None:
    """The venue announces that it will close:

    the next connection is subscribed before the old one ends. No trade is lost or published twice.
    """

    def snapshots(_peer: Peer, request: dict[str, Any]) -> list[bytes]:
        return [book(symbol, 20, snap=True) for symbol in request["symbols"] if request["channel"] == "book"]

    both = msgspec.structs.replace(QUICK, kinds=("trade", "book"))
    async with serving() as server, rigged(server, settings=both, symbols=["AAAUSD"]) as rig:
        server.on_subscribe = snapshots
        async with rig.supervised():
            await wait_until(lambda: rig.of(Book), what="the book")
            old = server.peer
            await old.send(trade("AAAUSD", 1), trade("AAAUSD", 2))
            await wait_until(lambda: len(rig.of(Trade)) == 2, what="trades")
            server.acks = False  # the next connection is not ready until a test acknowledges
            await old.send(b'{"bye": "maintenance"}')
            await wait_until(lambda: len(server.peers) == 2 and len(server.peer.requests) == 2, what="the next connection")
            new = server.peer
            await old.send(trade("AAAUSD", 3), trade("AAAUSD", 4))
            await new.send(trade("AAAUSD", 4), trade("AAAUSD", 5), book("AAAUSD", 21))
            await wait_until(lambda: len(rig.of(Trade)) == 4, what="the old one still counts")
            for wanted in new.requests:
                await new.send(msgspec.json.encode({"ack": wanted["id"], "channel": wanted["channel"], "symbols": wanted["symbols"]}))
            await new.send(trade("AAAUSD", 6))
            await wait_until(lambda: old.close_code is not None and len(rig.of(Trade)) == 6, what="handed over")
        assert [one.trade_id for one in rig.of(Trade)] == ["1", "2", "3", "4", "5", "6"]
        assert rig.of(Gap) == []
        assert [one.sequence for one in rig.of(Book) if one.state is FeedState.LIVE][-1] == 21
        assert rig.states("AAA-USD", "trade")[:-1] == [FeedState.CONNECTING, FeedState.LIVE]  # the last: down, as all ends


async def test_a_rotation_puts_no_older_quote_on_the_tape() -> None:
    """Quotes that the new connection kept until it took over were published by the old one."""
    both = msgspec.structs.replace(QUICK, kinds=("trade", "quote"))
    async with serving() as server, rigged(server, settings=both, symbols=["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: server.peers and len(server.peer.requests) == 2, what="subscribed")
        old = server.peer
        server.acks = False  # the next connection is not ready until a test acknowledges
        await old.send(b'{"bye": "maintenance"}')
        await wait_until(lambda: len(server.peers) == 2 and len(server.peer.requests) == 2, what="the next connection")
        new = server.peer
        await new.send(quote("AAAUSD", bid="1"), b'{"hb": 1}')
        await wait_until(lambda: rig.counters.endpoints["main"].heartbeats, what="the next one holds a quote")
        await old.send(quote("AAAUSD", bid="1"), quote("AAAUSD", bid="2"))
        await wait_until(lambda: len(rig.of(Quote)) == 2, what="the old one is ahead")
        await new.send(quote("AAAUSD", bid="3"))
        for wanted in new.requests:
            await new.send(msgspec.json.encode({"ack": wanted["id"], "channel": wanted["channel"], "symbols": wanted["symbols"]}))
        await wait_until(lambda: old.close_code is not None, what="handed over")
        assert [str(one.bid_price) for one in rig.of(Quote)] == ["1", "2", "3"]


async def test_a_rotation_that_fails_leaves_the_old_connection() -> None:
    """It is used until the venue cuts it; then the next attempt follows."""
    async with serving() as server, rigged(server, symbols=["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        server.refuse_connections.append(web.Response(status=503))
        old = server.peer
        await old.send(trade("AAAUSD", 1), b'{"bye": "maintenance"}', trade("AAAUSD", 2))
        await wait_until(lambda: old.close_code is not None, what="handed over at the second try")
        await server.peer.send(trade("AAAUSD", 3))
        await wait_until(lambda: len(rig.of(Trade)) == 3, what="all trades")
        assert rig.of(Gap) == []


async def test_connections_that_share_a_limit_send_at_one_pace() -> None:
    """Four requests on two connections, two per second: the last is sent at least a second after the first."""
    shared = endpoint(topics=2, requests_per_s=2.0, requests_shared=True)
    both = msgspec.structs.replace(QUICK, kinds=("trade", "quote"))
    async with serving() as server, rigged(server, fake(shared), both) as rig:
        started = time.monotonic()
        async with rig.supervised():
            await wait_until(lambda: sum(len(peer.requests) for peer in server.peers) == 4, what="all is subscribed")
            assert len(server.peers) == 2
            assert time.monotonic() - started >= 0.95


@pytest.mark.parametrize("shared", [False, True])
async def test_a_limit_of_the_connection_holds_for_each_alone(*, shared: bool) -> None:
    """One request in a thousand seconds: each connection sends its first. If the address is limited, only one does."""
    ours = endpoint(topics=2, requests_per_s=0.001, requests_shared=shared)
    both = msgspec.structs.replace(QUICK, kinds=("trade", "quote"))
    async with serving() as server, rigged(server, fake(ours), both) as rig, rig.supervised():
        await wait_until(lambda: len(server.peers) == 2 and all(one.open for one in rig.supervisor.sessions), what="two connections")
        await wait_until(lambda: sum(len(peer.requests) for peer in server.peers) == (1 if shared else 2), what="what may be sent")
        for peer in server.peers:
            await peer.send(b'{"hb": 1}')
        await wait_until(lambda: rig.counters.endpoints["main"].heartbeats == 2, what="both are read")
        assert sorted(len(peer.requests) for peer in server.peers) == ([0, 1] if shared else [1, 1])


async def test_endpoints_of_a_venue_have_limits_of_their_own() -> None:
    """A slow endpoint does not hold up another."""
    slow, quick = (msgspec.structs.replace(one, requests_per_s=rate) for one, rate in zip(TWO, (0.001, 1e9), strict=True))
    async with serving() as server, rigged(server, fake(slow, quick), BOTH, ["AAAUSD", "BBBUSD"]) as rig:
        slow_connection, quick_connection = rig.connections
        assert (slow_connection.endpoint.name, quick_connection.endpoint.name) == ("trading", "market")
        async with rig.supervised():
            await wait_until(lambda: rig.supervisor.answered("trading") and rig.supervisor.answered("market"), what="both answer")
            assert rig.supervisor.resubscribe(Topic("trading", "trades", "AAAUSD"))
            assert rig.supervisor.resubscribe(Topic("market", "quotes", "AAAUSD"))
            (market,) = at(server.peers, "market")
            await wait_until(lambda: len(market.requests) == 3, what="unsubscribed and subscribed again")
            (trading,) = at(server.peers, "trading")
            assert len(trading.requests) == 1


async def test_an_open_socket_is_no_answer() -> None:
    """`answered` needs an open connection to the endpoint on which the venue has confirmed or rejected a subscription."""
    async with serving() as server, rigged(server, fake(*TWO), BOTH, ["AAAUSD"]) as rig:
        server.acks = False
        async with rig.supervised():
            await wait_until(lambda: len(server.peers) == 2 and all(peer.requests for peer in server.peers), what="two connections")
            assert rig.supervisor.up
            assert not rig.supervisor.answered("trading")
            (trading,) = at(server.peers, "trading")
            await trading.send(b'{"ack": 1, "channel": "trades", "symbols": ["AAAUSD"]}')
            await wait_until(lambda: rig.supervisor.answered("trading"), what="the answer")
            assert not rig.supervisor.answered("market")
        assert not rig.supervisor.answered("trading")


async def test_a_topic_is_subscribed_again_where_it_is() -> None:
    """On the connection that has it, and not twice at the same time. An unknown topic is not subscribed."""
    async with serving() as server, rigged(server, fake(*TWO), BOTH, ["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: rig.supervisor.answered("market") and rig.supervisor.answered("trading"), what="two answers")
        topic = Topic("market", "quotes", "AAAUSD")
        assert rig.supervisor.resubscribe(topic)
        assert not rig.supervisor.resubscribe(topic)
        assert not rig.supervisor.resubscribe(Topic("market", "quotes", "BBBUSD"))
        (trading,), (market,) = at(server.peers, "trading"), at(server.peers, "market")
        await wait_until(lambda: len(market.asked("subscribe")) == 2, what="another subscribe")
        assert trading.asked("unsubscribe") == []
