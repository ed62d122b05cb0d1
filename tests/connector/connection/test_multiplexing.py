"""Many subscriptions over few connections, on real sockets: they come, go, move and keep apart."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from crosstape_connector.connection import plan
from crosstape_connector.connection.supervisor import Supervisor
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.parsing.binary import gunzip
from crosstape_schemas import FeedState, Status, Trade
from tests.connector.fake_venue import FakeVenue, endpoint, fake, instrument, quote, serving, trade
from tests.connector.rig import QUICK, Rig, rigged
from tests.waiting import wait_until

BOTH = msgspec.structs.replace(QUICK, kinds=("trade", "quote"))
SYMBOLS = [f"{first}{second}{third}USD" for first, second, third in itertools.product("ABCDEFG", repeat=3)]


def live(rig: Rig, symbols: Sequence[str], kind: str = "trade") -> bool:
    """Return whether the feeds of these symbols are live."""
    return all(rig.state(instrument(symbol).name, kind) is FeedState.LIVE for symbol in symbols)


def settled(supervisor: Supervisor, connections: int) -> bool:
    """Return whether so many connections are open and have an answer for all topics."""
    return len(supervisor.sessions) == connections and all(one.open and one.subscriptions.settled for one in supervisor.sessions)


async def speak(server: FakeVenue, number: int) -> None:
    """Send one trade or quote for each subscription, on the connection that has it."""
    for peer in server.peers:
        if not peer.socket.closed:
            await peer.send(*(trade(symbol, number) if channel == "trades" else quote(symbol) for channel, symbol in peer.subscribed))


def add(rig: Rig, *symbols: str) -> None:
    """Want these symbols, too."""
    for symbol in symbols:
        rig.feeds.add_instrument(instrument(symbol))
    wanted = {one.name: one for one in map(instrument, symbols)}
    for connection in plan.connections(rig.context.venue, wanted, rig.context.settings.kinds):
        rig.supervisor.subscribe(connection)


def remove(rig: Rig, symbol: str) -> None:
    """Do not want this symbol any more, as the universe does it."""
    rig.supervisor.unsubscribe(plan.topics(rig.context.venue, instrument(symbol), rig.context.settings.kinds))
    rig.feeds.remove_instrument(instrument(symbol).name, 1)


@pytest.mark.parametrize("count", [30, 300])
async def test_one_connection_carries_many_topics(count: int) -> None:
    """All of them are subscribed once, and each gets its own data."""
    async with serving() as server, rigged(server, fake(endpoint(topics=count)), symbols=SYMBOLS[:count]) as rig, rig.supervised():
        await wait_until(lambda: settled(rig.supervisor, 1), what="subscribed")
        assert sorted(server.peer.asked("subscribe")) == [("trades", symbol) for symbol in SYMBOLS[:count]]
        for number in (1, 2):
            await speak(server, number)
        await wait_until(lambda: len(rig.of(Trade)) == 2 * count, what="the trades")
        assert {one.instrument for one in rig.of(Trade)} == {instrument(symbol).name for symbol in SYMBOLS[:count]}
        assert live(rig, SYMBOLS[:count])
        assert len(server.peers) == 1


async def test_topics_come_and_go_while_the_others_flow() -> None:
    """Nobody else is disturbed: each change is one message about that topic."""
    async with serving() as server, rigged(server, symbols=["AAAUSD", "BBBUSD"]) as rig, rig.supervised():
        await wait_until(lambda: settled(rig.supervisor, 1), what="subscribed")
        await speak(server, 1)
        add(rig, "CCCUSD")
        await wait_until(lambda: ("trades", "CCCUSD") in server.peer.subscribed, what="the third is subscribed")
        await speak(server, 2)
        await wait_until(lambda: live(rig, ["AAAUSD", "BBBUSD", "CCCUSD"]), what="all three")
        remove(rig, "BBBUSD")
        await wait_until(lambda: ("trades", "BBBUSD") not in server.peer.subscribed, what="the second is unsubscribed")
        await speak(server, 3)
        await wait_until(lambda: len(rig.of(Trade, "AAA-USD")) == 3, what="the first goes on")
        assert server.peer.asked("unsubscribe") == [("trades", "BBBUSD")]
        assert server.peer.asked("subscribe") == [("trades", "AAAUSD"), ("trades", "BBBUSD"), ("trades", "CCCUSD")]
        assert rig.states("AAA-USD", "trade") == [FeedState.CONNECTING, FeedState.LIVE]
        assert len(server.peers) == 1


async def test_two_channels_of_one_symbol_keep_apart() -> None:
    """One is subscribed again while the other flows."""
    async with serving() as server, rigged(server, settings=BOTH, symbols=["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: settled(rig.supervisor, 1), what="subscribed")
        await speak(server, 1)
        await wait_until(lambda: live(rig, ["AAAUSD"]) and live(rig, ["AAAUSD"], "quote"), what="both")
        assert rig.supervisor.resubscribe(Topic("main", "quotes", "AAAUSD"))
        await wait_until(lambda: len(server.peer.asked("subscribe")) == 3, what="one again")
        await speak(server, 2)
        await wait_until(lambda: len(rig.of(Trade)) == 2, what="the other")
        assert server.peer.asked("unsubscribe") == [("quotes", "AAAUSD")]
        assert FeedState.DOWN not in rig.states("AAA-USD", "trade")


async def test_a_venue_with_handles_is_unsubscribed_by_them() -> None:
    """Each connection has handles of its own, and they are forgotten with it."""
    ours = fake(endpoint(handles=True, symbols_per_request=1))
    async with serving() as server, rigged(server, ours, symbols=["AAAUSD", "BBBUSD"]) as rig, rig.supervised():
        server.handles = True
        await wait_until(lambda: settled(rig.supervisor, 1), what="subscribed")
        old = dict(server.peer.subscribed)
        assert rig.supervisor.resubscribe(Topic("main", "trades", "AAAUSD"))
        await wait_until(lambda: server.peer.subscribed.get(("trades", "AAAUSD"), "") not in ("", old["trades", "AAAUSD"]), what="again")
        await wait_until(lambda: settled(rig.supervisor, 1), what="acknowledged")
        server.peer.cut()
        await wait_until(lambda: len(server.peers) == 2 and settled(rig.supervisor, 1), what="another connection")
        handle = server.peer.subscribed["trades", "BBBUSD"]
        remove(rig, "BBBUSD")
        await wait_until(lambda: ("trades", "BBBUSD") not in server.peer.subscribed, what="unsubscribed")
        assert [one["handles"] for one in server.peer.requests if one["op"] == "unsubscribe"] == [[handle]]
        assert list(server.peer.subscribed) == [("trades", "AAAUSD")]


async def test_a_shared_channel_is_subscribed_once_a_connection() -> None:
    """It brings the data of all symbols; one more symbol needs no request, and the channel counts once."""
    ours = endpoint(shared_channels=frozenset({"quotes"}), topics=4)
    async with serving() as server, rigged(server, fake(ours), BOTH, ["AAAUSD", "BBBUSD"]) as rig, rig.supervised():
        await wait_until(lambda: settled(rig.supervisor, 1), what="subscribed")
        add(rig, "CCCUSD")
        await wait_until(lambda: ("trades", "CCCUSD") in server.peer.subscribed and settled(rig.supervisor, 1), what="the third")
        await server.peer.send(*(quote(symbol) for symbol in ("AAAUSD", "BBBUSD", "CCCUSD")))
        await wait_until(lambda: live(rig, ["AAAUSD", "BBBUSD", "CCCUSD"], "quote"), what="all quotes")
        assert len([one for one in server.peer.requests if one["channel"] == "quotes"]) == 1
        assert len(server.peers) == 1
        add(rig, "DDDUSD")
        await wait_until(lambda: settled(rig.supervisor, 2), what="another connection")
        assert {channel for channel, _ in server.peer.subscribed} == {"trades", "quotes"}


async def test_topics_that_find_no_room_move_to_another_connection() -> None:
    """The venue has less room than its table says. It is learned once, all topics flow, and nothing is rejected."""
    symbols = SYMBOLS[:8]
    ours = fake(endpoint(topics=100, symbols_per_request=1))
    async with serving() as server, rigged(server, ours, symbols=symbols) as rig:
        server.room = lambda _peer: 3
        with capture_logs() as logs:
            async with rig.supervised():
                await wait_until(lambda: settled(rig.supervisor, 3), what="three connections")
                await speak(server, 1)
                await wait_until(lambda: live(rig, symbols), what="all are live")
                add(rig, *SYMBOLS[8:11])
                await wait_until(lambda: settled(rig.supervisor, 4), what="a fourth")
                await speak(server, 2)
                await wait_until(lambda: live(rig, SYMBOLS[:11]), what="all are live")
                assert sorted(len(peer.subscribed) for peer in server.peers) == [2, 3, 3, 3]
                first = server.peers[0]
                first.cut()
                await wait_until(lambda: len(server.peers) == 5 and settled(rig.supervisor, 4), what="it is back")
                assert len(server.peers[4].asked("subscribe")) == 3
        assert [(log["endpoint"], log["room"], log["reason"]) for log in logs if log["event"] == "session.full"] == [("main", 3, "no room")]
        assert [log for log in logs if log["event"] == "subscription.refused"] == []
        assert sum(len(peer.asked("subscribe")) for peer in server.peers[:4]) == 11 + 5  # each that found no room was asked for twice


async def test_a_topic_moves_to_an_open_connection_without_going_down() -> None:
    """It is subscribed there first, and leaves its connection then."""
    ours = fake(endpoint(topics=4, symbols_per_request=1))
    async with serving() as server, rigged(server, ours, symbols=SYMBOLS[:8]) as rig, rig.supervised():
        await wait_until(lambda: settled(rig.supervisor, 2), what="two connections")
        first, second = sorted(server.peers, key=lambda peer: min(peer.subscribed))
        for number in (0, 4, 5):
            remove(rig, SYMBOLS[number])
        await wait_until(lambda: (len(first.subscribed), len(second.subscribed)) == (3, 2), what="both have room")
        server.room = lambda peer: 3 if peer is first else 4
        add(rig, SYMBOLS[8])
        await wait_until(lambda: (len(first.subscribed), len(second.subscribed)) == (3, 3), what="it has found its place")
        assert ("trades", SYMBOLS[8]) in first.asked("subscribe")
        await speak(server, 1)
        await wait_until(lambda: live(rig, [SYMBOLS[8]]), what="it flows")
        assert rig.states(instrument(SYMBOLS[8]).name, "trade") == [FeedState.CONNECTING, FeedState.LIVE]


async def test_a_venue_without_any_room_is_not_asked_for_ever() -> None:
    """Its limit is not that of a connection: what it refuses on a new connection, too, is rejected with the reason."""
    ours = fake(endpoint(topics=100, symbols_per_request=1))
    async with serving() as server, rigged(server, ours, symbols=SYMBOLS[:6]) as rig:
        server.room = lambda peer: 2 if peer is server.peers[0] else 0
        async with rig.supervised():
            await wait_until(lambda: settled(rig.supervisor, 3), what="all is answered")
            rejected = [topic.symbol for one in rig.supervisor.sessions for topic in one.subscriptions.reasons]
            assert sorted(rejected) == SYMBOLS[2:6]
            assert sum(len(peer.requests) for peer in server.peers) == 6 + 4
            reasons = {status.reason for status in rig.of(Status) if status.state is FeedState.DOWN and status.instrument in rejected}
            assert reasons <= {"no room", "moved to another connection: no room"}


async def test_a_successor_without_room_does_not_take_over() -> None:
    """The old connection stays, with all its topics."""
    async with serving() as server, rigged(server, fake(endpoint(symbols_per_request=1)), symbols=SYMBOLS[:3]) as rig:
        with capture_logs() as logs:
            async with rig.supervised():
                await wait_until(lambda: settled(rig.supervisor, 1), what="subscribed")
                old = server.peer
                server.room = lambda _peer: 2
                await old.send(b'{"bye": "maintenance"}')
                await wait_until(lambda: [log for log in logs if log["event"] == "session.handover_failed"], what="it has failed")
                server.room = lambda _peer: 3
                await wait_until(lambda: old.close_code is not None, what="the next one takes over")
                await speak(server, 1)
                await wait_until(lambda: live(rig, SYMBOLS[:3]), what="all")
        failed = [log["reason"] for log in logs if log["event"] == "session.handover_failed"]
        assert failed[0] == "no room for as many subscriptions as on the connection before: no room"
        assert FeedState.DOWN not in rig.states(instrument(SYMBOLS[0]).name, "trade")[:-1]


Dialect = Callable[[FakeVenue], tuple[dict[str, Any], Callable[[bytes], bytes]]]


def by_id(_server: FakeVenue) -> tuple[dict[str, Any], Callable[[bytes], bytes]]:
    """One request for several symbols, acknowledged by its id."""
    return {}, bytes


def by_handle(server: FakeVenue) -> tuple[dict[str, Any], Callable[[bytes], bytes]]:
    """One request a symbol, acknowledged by a handle."""
    server.handles = True
    return {"handles": True, "symbols_per_request": 1}, bytes


def in_gzip(_server: FakeVenue) -> tuple[dict[str, Any], Callable[[bytes], bytes]]:
    """Binary frames."""
    return {"binary": gunzip(10_000), "symbols_per_request": 1}, gzip.compress


@pytest.mark.parametrize("dialect", [by_id, by_handle, in_gzip])
@pytest.mark.parametrize("misrouted", [False, True])
async def test_a_topic_that_is_acknowledged_and_silent_is_found_out(dialect: Dialect, *, misrouted: bool) -> None:
    """The venue does not know the symbol, and does not say so; or sends another symbol's data. The status says since when."""
    async with serving() as server:
        options, pack = dialect(server)
        quick = msgspec.structs.replace(QUICK, kinds=("quote",), stale_s=0.3, stale_min_s=0.1)
        async with rigged(server, fake(endpoint(**options)), quick) as rig, rig.supervised():
            await wait_until(lambda: settled(rig.supervisor, 1), what="subscribed")

            async def flows() -> bool:
                for frame in (quote("BBBUSD"), *((quote("ZZZUSD"),) if misrouted else ())):
                    await (server.peer.send if pack is bytes else server.peer.send_binary)(pack(frame))
                return ("quotes", "AAAUSD") in server.peer.asked("unsubscribe")

            await wait_until(flows, what="the silent topic is subscribed again")
            (status,) = [one for one in rig.of_status("AAA-USD") if one.state is FeedState.STALE]
            assert status.reason.startswith("no data since it was subscribed ")
            assert live(rig, ["BBBUSD"], "quote")
            assert server.peer.asked("unsubscribe") == [("quotes", "AAAUSD")]
            assert (rig.counters.bad_frames["symbol"] > 0) == misrouted
