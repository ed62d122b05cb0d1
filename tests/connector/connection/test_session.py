"""One connection: its requests to the venue, the events from its frames, and how it ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from crosstape.settings import VenueSettings
from crosstape_connector.connection.subscriptions import TopicState
from crosstape_connector.errors import ConnectFailed, ConnectionLost
from crosstape_connector.feeds.clock_watch import Stop
from crosstape_schemas import FeedState, Gap, GapCause, Quote, Trade
from tests.connector.fake_venue import Peer, book, endpoint, fake, quote, serving, trade
from tests.connector.rig import QUICK, Rig, rigged, running
from tests.waiting import wait_until


def having(**changes: object) -> VenueSettings:
    """Return the quick settings with these changes."""
    return msgspec.structs.replace(QUICK, **changes)


async def test_frames_become_events_with_the_venues_digits() -> None:
    """Connect, subscribe, acknowledge, publish: in the venue's order, with every digit and our receive time."""
    async with serving() as server, rigged(server) as rig, running(rig.session()):
        await wait_until(lambda: rig.state("AAA-USD", "trade") is FeedState.CONNECTING and server.peers, what="a connection")
        await wait_until(lambda: server.peer.asked("subscribe") == [("trades", "AAAUSD"), ("trades", "BBBUSD")], what="one request")
        await server.peer.send(trade("AAAUSD", 1, "10.50"), trade("BBBUSD", 9, "0.00000100"), trade("AAAUSD", 2))
        await wait_until(lambda: len(rig.of(Trade)) == 3, what="three trades")
        assert [(one.instrument, one.trade_id, str(one.price)) for one in rig.of(Trade)] == [
            ("AAA-USD", "1", "10.50"),
            ("BBB-USD", "9", "0.00000100"),
            ("AAA-USD", "2", "10.50"),
        ]
        assert rig.of(Trade)[0].received_ts > 1_700_000_000_000_000_000
        assert rig.states("AAA-USD", "trade")[-1] is FeedState.LIVE
        assert rig.counters.endpoints["main"].frames == 4  # and the acknowledgement


async def test_a_silent_venue_is_a_lost_connection() -> None:
    """We measure the silence with our own clock, though the socket stays open. Its feeds go down."""
    async with serving() as server, rigged(server, fake(endpoint(silence_s=0.2))) as rig, running(rig.session()) as task:
        with pytest.raises(ConnectionLost, match=r"no frame for 0\.2 s"):
            await task
        assert rig.states("AAA-USD", "trade")[-1] is FeedState.DOWN


async def test_the_setting_for_silence_goes_before_the_venues() -> None:
    """`silence_s` in the settings replaces the value in the venue's table."""
    async with serving() as server, rigged(server, settings=having(silence_s=0.2)) as rig, running(rig.session()) as task:
        with pytest.raises(ConnectionLost, match=r"no frame for 0\.2 s"):
            await task


async def test_a_socket_that_we_hold_back_is_not_silent() -> None:
    """While the bus is far behind we do not read. That is not a silence of the venue or of a feed."""
    settings = having(stale_s=0.1, stale_min_s=0.1)
    async with serving() as server, rigged(server, fake(endpoint(silence_s=0.2)), settings, ["AAAUSD"]) as rig:
        session = rig.session()
        async with running(session) as task:
            await wait_until(session.settled.done, what="subscribed")
            rig.flows.clear()
            await server.peer.send(*[trade("AAAUSD", number) for number in range(1, 600)])
            await wait_until(lambda: rig.of(Trade), what="it reads until it is held back")
            await asyncio.wait([task], timeout=0.8)
            assert not task.done()
            assert FeedState.STALE not in rig.states("AAA-USD", "trade")
            rig.flows.set()
            await wait_until(lambda: len(rig.of(Trade)) == 599, what="the rest")


async def test_a_venues_ping_is_a_sign_of_life_and_is_answered() -> None:
    """In a thin market there may be no other frame."""
    async with serving() as server, rigged(server, fake(endpoint(silence_s=0.4))) as rig, running(rig.session()) as task:
        await wait_until(lambda: server.peers, what="a connection")
        for _ in range(12):
            await server.peer.socket.ping()
            await asyncio.wait([task], timeout=0.1)
        assert not task.done()


async def test_one_refused_subscription_leaves_the_others() -> None:
    """A refusal that names a symbol concerns that symbol only: its feed is down with the venue's reason, the others are live."""
    async with serving() as server, rigged(server) as rig:
        server.refused["AAAUSD"] = "Currency pair not supported"
        session = rig.session()
        with capture_logs() as logs:
            async with running(session):
                await wait_until(session.settled.done, what="every topic is answered")
                await server.peer.send(trade("BBBUSD", 1))
                await wait_until(lambda: rig.of(Trade, "BBB-USD"), what="a trade of the other")
        down = [status.reason for status in rig.of_status("AAA-USD") if status.state is FeedState.DOWN]
        assert down[0] == "Currency pair not supported"
        assert [log["symbol"] for log in logs if log["event"] == "subscription.refused"] == ["AAAUSD"]


async def test_a_refusal_without_a_name_is_narrowed_down() -> None:
    """If the venue does not name the symbol, we send the request again in halves until the symbol at fault is alone."""
    symbols = ["AAAUSD", "BBBUSD", "CCCUSD", "DDDUSD", "EEEUSD"]
    async with serving() as server, rigged(server, symbols=symbols) as rig:
        server.refused["DDDUSD"] = "no"
        server.names_refused = False
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="every topic is answered")
        assert {topic.symbol for topic, state in session.subscriptions.states.items() if state is TopicState.REJECTED} == {"DDDUSD"}
        assert session.subscriptions.counts()[TopicState.CONFIRMED] == 4


async def test_an_acknowledgement_that_never_comes_ends_the_session() -> None:
    """We request three times and wait `ack_timeout_s` each time; the error names the topic."""
    async with serving() as server, rigged(server, settings=having(ack_timeout_s=0.1), symbols=["AAAUSD"]) as rig:
        server.acks = False
        async with running(rig.session()) as task:
            with pytest.raises(ConnectionLost, match="no acknowledgement of trades AAAUSD, asked 3 times"):
                await task
        assert server.peer.asked("subscribe") == [("trades", "AAAUSD")] * 3


async def test_data_prove_a_subscription_that_was_not_acknowledged() -> None:
    """A topic whose data come is subscribed."""
    async with serving() as server, rigged(server, settings=having(ack_timeout_s=0.1), symbols=["AAAUSD"]) as rig:
        server.acks = False
        server.on_subscribe = lambda _peer, _request: [trade("AAAUSD", 1)]
        session = rig.session()
        async with running(session) as task:
            await wait_until(session.settled.done, what="it counts as confirmed")
            assert not task.done()
        assert server.peer.asked("subscribe") == [("trades", "AAAUSD")]


BAD = {
    "malformed": b'{"ch": nonsense}',
    "truncated": b'{"ch":"trades","s":"AAA',
    "schema": b'{"ch":"trades","s":"AAAUSD","i":"many"}',
    "encoding": b'{"ch":"trades","s":"\xff\xfe"}',
    "unknown": b'{"ch":"weather","s":"AAAUSD"}',
    "symbol": trade("ZZZUSD", 1),
    "oversized": b'{"ch":"trades","s":"' + b"x" * 5000 + b'"}',
    "internal": b'{"ch":"quotes","s":"AAAUSD"}',
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_frame_is_counted_and_nothing_stops(kind: str) -> None:
    """Each kind is counted under its own name and logged once, with the beginning of the frame. Frames around it are published."""
    async with serving() as server, rigged(server, fake(endpoint(max_frame_bytes=4096))) as rig:
        session = rig.session()
        with capture_logs() as logs:
            async with running(session) as task:
                await wait_until(session.settled.done, what="subscribed")
                await server.peer.send(trade("AAAUSD", 1), BAD[kind], BAD[kind], trade("AAAUSD", 2))
                await wait_until(lambda: len(rig.of(Trade)) == 2, what="the good frames")
                assert not task.done()
        assert dict(rig.counters.bad_frames) == {kind: 2}
        (said,) = [log for log in logs if log["event"] == "frame.bad"]
        assert (said["kind"], said["venue"], said["endpoint"]) == (kind, "fake", "main")
        assert len(said["head"]) < 1000


async def test_a_bad_frame_of_quotes_is_a_gap_of_those_that_it_names() -> None:
    """Nothing else would show that a quote is missing. A good frame that is not for us makes no gap, nor does a frame of trades."""
    async with serving() as server, rigged(server, settings=having(kinds=("trade", "quote"))) as rig:
        session = rig.session()
        states = {record.instrument: record for record in rig.feeds.records.values() if record.kind == "quote"}
        assert len(states) > 1
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
            await server.peer.send(quote("AAAUSD"), quote("BBBUSD"))
            await wait_until(lambda: len(rig.of(Quote)) == 2, what="both quotes")
            await server.peer.send(BAD["truncated"], b'{"ch":"quotes","s":"ZZZUSD"}', trade("AAAUSD", 1))
            await wait_until(lambda: rig.of(Trade), what="they were read")
            assert {record.state for record in states.values()} == {FeedState.LIVE}

            await server.peer.send(b'{"ch":"quotes","s":"AAAUSD","b":[', trade("AAAUSD", 2))
            await wait_until(lambda: len(rig.of(Trade)) == 2, what="it was read")
            assert {name: record.state for name, record in states.items() if record.received_ts} == {
                "AAA-USD": FeedState.RECOVERING, "BBB-USD": FeedState.LIVE,
            }  # fmt: skip
            await server.peer.send(quote("AAAUSD"))
            await wait_until(lambda: rig.of(Gap), what="the next quote")
        assert [(gap.kind, gap.instrument, gap.cause) for gap in rig.of(Gap)] == [("quote", "AAA-USD", GapCause.UNKNOWN)]


async def test_a_binary_frame_is_a_bad_frame() -> None:
    """The endpoint sends text only."""
    async with serving() as server, rigged(server) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
            await server.peer.socket.send_bytes(trade("AAAUSD", 1))
            await server.peer.send(trade("AAAUSD", 2))
            await wait_until(lambda: [one.trade_id for one in rig.of(Trade)] == ["2"], what="the text frame")
        assert dict(rig.counters.bad_frames) == {"encoding": 1}


async def test_a_frame_beyond_the_hard_limit_ends_the_session() -> None:
    """It is not read to its end, so memory is bounded by four times the endpoint's limit."""
    async with serving() as server, rigged(server, fake(endpoint(max_frame_bytes=1024))) as rig:
        session = rig.session()
        async with running(session) as task:
            await wait_until(session.settled.done, what="subscribed")
            await server.peer.send(b" " * 5000)
            with pytest.raises(ConnectionLost, match="a frame larger than 4096 bytes"):
                await task
        assert dict(rig.counters.bad_frames) == {"oversized": 1}


async def test_the_venues_close_is_a_lost_connection_with_its_reason() -> None:
    """Code and reason of the close frame are in the error."""
    async with serving() as server, rigged(server) as rig:
        session = rig.session()
        async with running(session) as task:
            await wait_until(session.settled.done, what="subscribed")
            await server.peer.socket.close(code=1008, message=b"Too many requests")
            with pytest.raises(ConnectionLost, match="closed by the venue: 1008 Too many requests"):
                await task


async def test_a_cut_is_a_lost_connection() -> None:
    """A connection that breaks without a close frame is noticed at once."""
    async with serving() as server, rigged(server) as rig:
        session = rig.session()
        async with running(session) as task:
            await wait_until(session.settled.done, what="subscribed")
            server.peer.cut()
            with pytest.raises(ConnectionLost):
                await task


async def test_a_cancelled_session_closes_its_connection() -> None:
    """The venue gets a close frame, and the feeds are published as down."""
    async with serving() as server, rigged(server) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
        await wait_until(lambda: server.peer.close_code is not None, what="the venue sees the end")
        assert server.peer.close_code == 1000
        assert rig.of_status("AAA-USD")[-1].reason == "stopped"


async def test_an_application_ping_of_the_venue_is_answered() -> None:
    """The answer is sent at once, with the number of the ping."""
    async with serving() as server, rigged(server) as rig, running(rig.session()):
        await wait_until(lambda: server.peers, what="a connection")
        await server.peer.send(b'{"ping": 77}')
        await wait_until(lambda: {"pong": 77} in server.peer.requests, what="the answer")


async def test_our_pings_go_out_as_the_endpoint_wants_them() -> None:
    """One every `ping_s`, each with its own id."""
    ours = endpoint(ping=lambda number: json.dumps({"op": "ping", "id": number}).encode(), ping_s=0.05)
    async with serving() as server, rigged(server, fake(ours)) as rig, running(rig.session()):
        await wait_until(lambda: server.peers and sum(one["op"] == "ping" for one in server.peer.requests) >= 2, what="two pings")
        ids = [one["id"] for one in server.peer.requests]
        assert len(set(ids)) == len(ids)


async def test_our_websocket_pings_show_that_a_venue_is_there() -> None:
    """It answers each, and sends nothing else: that is no silence. Its server may want them."""
    async with serving() as server, rigged(server, fake(endpoint(silence_s=0.4, frame_ping_s=0.05))) as rig, running(rig.session()) as task:
        await wait_until(lambda: server.peers, what="a connection")
        await asyncio.wait([task], timeout=1.2)
        assert not task.done()


async def test_requests_are_batched_by_channel_and_size() -> None:
    """A message has one channel and at most `symbols_per_request` symbols; the greeting comes first."""
    symbols = ["AAAUSD", "BBBUSD", "CCCUSD"]
    ours = endpoint(symbols_per_request=2, greeting=(b'{"op": "hello"}',))
    settings = having(kinds=("trade", "quote"))
    async with serving() as server, rigged(server, fake(ours), settings, symbols) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
        assert server.peer.requests[0] == {"op": "hello"}
        assert [(one["channel"], one["symbols"]) for one in server.peer.requests[1:]] == [
            ("trades", ["AAAUSD", "BBBUSD"]),
            ("trades", ["CCCUSD"]),
            ("quotes", ["AAAUSD", "BBBUSD"]),
            ("quotes", ["CCCUSD"]),
        ]


async def test_messages_say_when_they_are_sent_where_the_venue_wants_it() -> None:
    """The greeting and pings too, in s since the epoch; nothing else in them changes."""
    ours = endpoint(
        time_field="time",
        greeting=(b'{"time":0,"op":"hello","was":{"time":0}}',),
        ping=lambda number: b'{"time":0,"op":"ping"}',
        ping_s=0.05,
    )
    before = time.time_ns() // 1_000_000_000
    async with serving() as server, rigged(server, fake(ours)) as rig, running(rig.session()):
        await wait_until(lambda: server.peers and any(one["op"] == "ping" for one in server.peer.requests), what="a ping")
        sent = [one for one in server.peer.requests if one["op"] in ("hello", "ping")]

    assert sent[0]["was"] == {"time": 0}
    assert all(before <= one["time"] <= time.time_ns() // 1_000_000_000 for one in sent)


async def test_the_error_of_a_refused_connection_has_the_wait() -> None:
    """The status and `Retry-After` of the handshake are in the error."""
    async with serving() as server, rigged(server) as rig:
        server.refuse_connections.append(web.Response(status=429, headers={"Retry-After": "7"}))
        with pytest.raises(ConnectFailed, match="HTTP 429") as failed:
            await rig.session().run()
        assert failed.value.retry_after_s == 7.0


async def test_a_venue_that_does_not_answer_the_handshake_is_given_up() -> None:
    """After `connect_timeout_s`."""
    async with await asyncio.start_server(_mute, "127.0.0.1", 0) as listener, serving() as server:
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with rigged(server, settings=having(connect_timeout_s=0.1)) as rig:
            with pytest.raises(ConnectFailed, match=r"no connection within 0\.1 s"):
                await rig.session().run()


async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_an_acknowledged_feed_without_data_is_found_out() -> None:
    """Other feeds on the connection have data: this one is stale, and subscribed again alone."""
    settings = having(kinds=("quote",), stale_s=0.2, stale_min_s=0.1)
    async with serving() as server, rigged(server, settings=settings) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")

            async def flows() -> bool:
                await server.peer.send(quote("BBBUSD"))
                return ("quotes", "AAAUSD") in server.peer.asked("unsubscribe")

            await wait_until(flows, what="the silent feed is subscribed again")
        assert FeedState.STALE in rig.states("AAA-USD", "quote")
        assert FeedState.STALE not in rig.states("BBB-USD", "quote")
        assert server.peer.asked("unsubscribe") == [("quotes", "AAAUSD")]


async def test_a_connection_is_replaced_for_a_feed_that_stays_silent_and_the_others_lose_nothing() -> None:
    """First the feed is subscribed again, in vain. Then a new connection takes over before the old one is closed."""
    settings = having(kinds=("trade",), stale_s=0.2, stale_min_s=0.1)
    async with serving() as server, rigged(server, settings=settings) as rig:
        numbers = itertools.count(1)

        async with rig.supervised():
            await wait_until(lambda: server.peers, what="a connection")

            async def flows() -> bool:
                number = next(numbers)
                for peer in server.peers:
                    if not peer.socket.closed:
                        await peer.send(trade("BBBUSD", number))
                return len(server.peers) > 1 and server.peers[0].close_code is not None

            await wait_until(flows, what="another connection has taken over", timeout_s=30)
            assert ("trades", "AAAUSD") in server.peers[0].asked("unsubscribe")
            last = next(numbers)
            await server.peer.send(trade("BBBUSD", last))
            await wait_until(lambda: rig.of(Trade, "BBB-USD")[-1].trade_id == str(last), what="the newest trade")
        ids = [int(one.trade_id) for one in rig.of(Trade, "BBB-USD")]
        assert ids == list(range(ids[0], last + 1))
        assert FeedState.DOWN not in rig.states("BBB-USD", "trade")[:-1]
        assert FeedState.STALE in rig.states("AAA-USD", "trade")


async def test_only_a_broken_book_is_subscribed_again() -> None:
    """Only the topic of the book with a gap in its numbers is subscribed again; the other book stays live."""

    def snapshots(_peer: Peer, request: dict[str, Any]) -> list[bytes]:
        return [book(symbol, 10, snap=True) for symbol in request["symbols"] if request["channel"] == "book"]

    async with serving() as server, rigged(server, settings=having(kinds=("book", "trade"))) as rig:
        server.on_subscribe = snapshots
        async with rig.supervised():
            await wait_until(lambda: rig.state("BBB-USD", "book") is FeedState.LIVE, what="both books")
            await server.peer.send(book("AAAUSD", 11), book("AAAUSD", 13), book("BBBUSD", 11))
            await wait_until(lambda: rig.states("AAA-USD", "book")[-2:] == [FeedState.RECOVERING, FeedState.LIVE], what="recovered")
        assert server.peer.asked("unsubscribe") == [("book", "AAAUSD")]
        assert server.peer.asked("subscribe").count(("book", "AAAUSD")) == 2
        assert server.peer.asked("subscribe").count(("book", "BBBUSD")) == 1
        assert FeedState.RECOVERING not in rig.states("BBB-USD", "book")
        assert len(server.peers) == 1


async def test_quotes_are_published_as_they_come() -> None:
    """They are not conflated before the bus."""
    async with serving() as server, rigged(server, settings=having(kinds=("quote",))) as rig:
        session = rig.session()
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
            await server.peer.send(quote("AAAUSD", "10.1"), quote("AAAUSD", "10.2"))
            await wait_until(lambda: len(live_quotes(rig)) == 2, what="two quotes")


def live_quotes(rig: Rig) -> list[Quote]:
    """Return whether the quotes of any instrument are live."""
    return [one for one in rig.of(Quote) if one.state is FeedState.LIVE]


async def test_after_a_long_stop_of_the_process_no_connection_is_trusted() -> None:
    """Its data are too old to count as live. After a short stop it continues. A connection that was opened later is kept."""
    async with serving() as server, rigged(server, fake(), symbols=["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        await server.peer.send(trade("AAAUSD", 1))
        await wait_until(lambda: rig.state("AAA-USD", "trade") is FeedState.LIVE, what="live")
        now = time.time_ns()
        rig.feeds.note_stop(Stop(now - 3 * 10**9, now))
        await server.peer.send(trade("AAAUSD", 2))
        await wait_until(lambda: len(rig.of(Trade)) == 2, what="it goes on")
        assert len(server.peers) == 1

        rig.feeds.note_stop(Stop(now - 6 * 10**9, now))
        await wait_until(lambda: len(server.peers) == 2 and server.peer.requests, what="connected again")
        reasons = [status.reason for status in rig.of_status("AAA-USD") if status.state is FeedState.DOWN]
        assert reasons == ["this process was stopped for too long"]
        await server.peer.send(trade("AAAUSD", 5))
        await wait_until(lambda: rig.of(Gap), what="the gap")
        assert [(gap.from_ts, gap.missed) for gap in rig.of(Gap)] == [(now - 6 * 10**9, 2)]
        await wait_until(lambda: rig.state("AAA-USD", "trade") is FeedState.LIVE, what="live again")
        assert len(server.peers) == 2
