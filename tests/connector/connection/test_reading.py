"""What arrives together is read as one bunch: nothing of it is lost, and all of it keeps its order."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import WSCloseCode
from structlog.testing import capture_logs

from crosstape.settings import VenueSettings
from crosstape_connector.capture.reader import CaptureFile, read
from crosstape_connector.capture.writer import Capture
from crosstape_connector.connection import reading
from crosstape_connector.connection.reading import BUNCH, FAIR, STEP_NS
from crosstape_connector.connection.session import Session
from crosstape_connector.connection.websocket import arrived
from crosstape_connector.errors import ConnectionLost
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Event, FeedState, Gap, Quote, Status, Trade
from tests.connector.fake_venue import FakeVenue, Peer, endpoint, fake, parser, quote, serving, trade
from tests.connector.rig import QUICK, Rig, rigged, running
from tests.waiting import wait_until

HEARTBEAT, PING = b'{"hb":1}', b'{"ping":7}'
BOTH = msgspec.structs.replace(QUICK, kinds=("trade", "quote"))


def text(payload: bytes, opcode: int = 1) -> bytes:
    """Return a frame as it is on the wire."""
    size = len(payload)
    return bytes((0x80 | opcode, size)) + payload if size < 126 else bytes((0x80 | opcode, 126)) + struct.pack(">H", size) + payload


def close() -> bytes:
    """Return a close frame as it is on the wire."""
    return text(struct.pack(">H", WSCloseCode.GOING_AWAY) + b"maintenance", 8)


def write(peer: Peer, *frames: bytes) -> None:
    """Send these in one write, so that they arrive together. Payloads, but for a close frame."""
    assert peer.socket._req is not None
    assert peer.socket._req.transport is not None
    peer.socket._req.transport.write(b"".join(frame if frame[:1] == b"\x88" else text(frame) for frame in frames))


def trades(*numbers: int) -> list[bytes]:
    """Return the frames of these trades."""
    return [trade("AAAUSD", number) for number in numbers]


def ids(rig: Rig) -> list[int]:
    """Return the ids of the published trades."""
    return [int(one.trade_id) for one in rig.of(Trade)]


@asynccontextmanager
async def subscribed(
    settings: VenueSettings = QUICK, *, capture: Capture | None = None, **options: Any
) -> AsyncIterator[tuple[FakeVenue, Rig, Session, asyncio.Task[None]]]:
    """Run a session whose subscriptions are acknowledged. `options`: of its endpoint."""
    async with serving() as server, rigged(server, fake(endpoint(**options)), settings, ["AAAUSD"], capture) as rig:
        session = rig.session()
        async with running(session) as task:
            await wait_until(session.settled.done, what="subscribed")
            yield server, rig, session, task


async def test_what_arrives_together_is_one_bunch() -> None:
    """Its clock is read once. This fails when aiohttp keeps its messages elsewhere: then each frame is read alone, which is slower."""
    async with subscribed() as (server, rig, _, _):
        before = rig.counters.endpoints["main"].frames, rig.counters.endpoints["main"].bytes
        frames = trades(*range(1, 11))
        write(server.peer, *frames)
        await wait_until(lambda: len(rig.of(Trade)) == 10, what="all trades")
        assert ids(rig) == list(range(1, 11))
        first_ts = rig.of(Trade)[0].received_ts
        assert [one.received_ts - first_ts for one in rig.of(Trade)] == list(range(0, 10 * STEP_NS, STEP_NS))
        counters = rig.counters.endpoints["main"]
        assert (counters.frames - before[0], counters.bytes - before[1]) == (10, sum(map(len, frames)))


async def test_a_bunch_has_a_bound() -> None:
    """However much has arrived, the clock is read again and what was read is published."""
    async with subscribed() as (server, rig, _, _):
        write(server.peer, *trades(*range(1, 2 * BUNCH + 1)))
        await wait_until(lambda: len(rig.of(Trade)) == 2 * BUNCH, what="all trades")
        times = [one.received_ts for one in rig.of(Trade)]
        assert ids(rig) == list(range(1, 2 * BUNCH + 1))
        assert times == sorted(times)
        assert times[-1] - times[0] >= 2 * BUNCH * STEP_NS, "one bunch"


async def test_without_a_look_at_what_has_arrived_all_is_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with an aiohttp that keeps it elsewhere: slower, but complete."""
    monkeypatch.setattr(reading, "arrived", lambda socket: arrived(SimpleNamespace(receive=socket.receive)))  # type: ignore[arg-type]
    async with subscribed() as (server, rig, _, task):
        write(server.peer, *trades(*range(1, 11)), close())
        with pytest.raises(ConnectionLost, match="closed by the venue: 1001 maintenance"):
            await task
        assert ids(rig) == list(range(1, 11))
        assert len({one.received_ts for one in rig.of(Trade)}) == 10


async def test_data_are_published_before_a_message_about_the_connection_is_handled() -> None:
    """And those behind it after: here the answer to a ping of the venue, at a moment when sending takes long."""
    async with subscribed() as (server, rig, session, _):
        seen: list[list[int]] = []
        handle = session._reader._control

        async def slow(*args: Any) -> None:
            seen.append(ids(rig))
            await asyncio.sleep(0.01)
            seen.append(ids(rig))
            await handle(*args)

        session._reader._control = slow
        write(server.peer, *trades(1, 2), PING, *trades(3), HEARTBEAT, *trades(4))
        await wait_until(lambda: len(rig.of(Trade)) == 4, what="all trades")
        assert seen == [[1, 2], [1, 2], [1, 2, 3], [1, 2, 3]]
        assert ids(rig) == [1, 2, 3, 4]
        await wait_until(lambda: {"pong": 7} in server.peer.requests, what="the answer")
        times = {int(one.trade_id): one.received_ts for one in rig.of(Trade)}
        assert times[1] < times[2] < times[3] < times[4]


async def test_frames_around_a_bad_one_are_published_in_order() -> None:
    """The quote that cannot be read is a gap in its place: behind the quote before it, before the one behind it."""
    async with subscribed(BOTH, max_frame_bytes=4096) as (server, rig, _, task):
        bad = b'{"ch":"quotes","s":"AAAUSD","b":['
        large = b'{"ch":"trades","s":"' + b"x" * 5000 + b'"}'
        write(server.peer, *trades(1), quote("AAAUSD", "10.1"), bad, *trades(2), quote("AAAUSD", "10.2"), large, *trades(3))
        await wait_until(lambda: len(rig.of(Trade)) == 3, what="all trades")
        assert not task.done()
        assert rig.counters.bad_frames == {"truncated": 1, "oversized": 1}
        events = [event for event in rig.tape if not isinstance(event, Status) or event.kind == "quote"]
        quotes_before, quotes_after = ["live", "10.1", "recovering", "10.1"], ["live", "gap", "10.2"]
        assert [_shown(event) for event in events] == ["connecting", "1", *quotes_before, "2", *quotes_after, "3"]


async def test_two_gaps_of_one_bunch_are_told_apart() -> None:
    """By their moments, as all readers do: when the trade of one comes after all, the other is still missing."""
    async with subscribed() as (server, rig, _, _):
        write(server.peer, *trades(1, 3, 5, 2))
        await wait_until(lambda: len(rig.of(Trade)) == 4, what="all trades")
        first, second, repaired = ((gap.from_ts, gap.to_ts) for gap in rig.of(Gap))
        assert repaired == first != second
        assert first[0] + 2 <= first[1] <= second[0] <= second[1] - 2, "there is room for a part of each"


async def test_the_state_of_a_feed_is_newer_than_the_data_before_it_in_the_bunch() -> None:
    """They are on two streams: which of them says the state is found by their times."""
    async with subscribed(BOTH) as (server, rig, _, _):
        write(server.peer, quote("AAAUSD", "10.1"), quote("AAAUSD", "10.2"), b'{"ch":"quotes","s":"AAAUSD","b":[')
        await wait_until(lambda: rig.state("AAA-USD", "quote") is FeedState.RECOVERING, what="the feed is recovering")
        (newest,) = (one for one in rig.of(Quote) if str(one.bid_price) == "10.2" and one.state is FeedState.LIVE)
        assert rig.of_status("AAA-USD")[-1].received_ts > newest.received_ts


def _shown(event: Event) -> str:
    match event:
        case Trade():
            return event.trade_id
        case Quote():
            return str(event.bid_price)
        case Status():
            return event.state.value
        case Gap():
            return "gap"
    raise AssertionError(event)


async def test_a_bug_in_one_frame_costs_no_other() -> None:
    """An error that no parser may raise, and a listener's, which is called while the bunch is published."""
    async with subscribed(BOTH) as (server, rig, _, task):
        asked: list[Status | Gap] = []

        def fail(event: Status | Gap) -> None:
            asked.append(event)
            if len(asked) == 1:
                raise RuntimeError("a bug")

        rig.sink.listen(fail)
        with capture_logs() as logs:
            write(server.peer, *trades(1, 2), b'{"ch":"quotes","s":"AAAUSD"}', quote("AAAUSD"), *trades(9), *trades(10))
            await wait_until(lambda: len(rig.of(Trade)) == 4, what="all trades")
        assert ids(rig) == [1, 2, 9, 10]
        assert any(isinstance(event, Gap) for event in asked)
        assert rig.counters.bad_frames["internal"] >= 2
        assert {log["event"] for log in logs if log["log_level"] == "error"} <= {"event.unpublished"}
        assert not task.done()


async def test_data_before_a_close_frame_are_published() -> None:
    """Though it came with them."""
    async with subscribed() as (server, rig, _, task):
        write(server.peer, *trades(1, 2, 3), close())
        with pytest.raises(ConnectionLost, match="closed by the venue: 1001 maintenance"):
            await task
        assert ids(rig) == [1, 2, 3]
        assert rig.states("AAA-USD", "trade")[-1] is FeedState.DOWN
        assert isinstance(rig.tape[-1], Status)


async def test_data_before_a_frame_that_is_far_too_large_are_published() -> None:
    """That frame ends the connection."""
    async with subscribed(max_frame_bytes=1024) as (server, rig, _, task):
        write(server.peer, *trades(1, 2), b'"' + b"x" * 5000 + b'"', *trades(3))
        with pytest.raises(ConnectionLost, match="a frame larger than 4096 bytes"):
            await task
        assert ids(rig) == [1, 2]


async def test_data_before_the_connection_is_cut_are_published() -> None:
    """Without a close frame."""
    async with subscribed() as (server, rig, _, task):
        write(server.peer, *trades(1, 2))
        assert server.peer.socket._req is not None
        assert server.peer.socket._req.transport is not None
        server.peer.socket._req.transport.close()
        with pytest.raises(ConnectionLost, match="the connection broke"):
            await task
        assert ids(rig) == [1, 2]


def _losing(symbols: Symbols) -> Any:
    parse = parser(symbols)

    def losing(data: bytes, received_ts: int) -> Sequence[Output]:
        if b'"i": 3,' in data:
            raise ConnectionLost("the venue says goodbye")
        return parse(data, received_ts)

    return losing


async def test_data_before_a_frame_that_ends_the_connection_are_published() -> None:
    """And what is behind it is not."""
    async with serving() as server:
        venue = fake(msgspec.structs.replace(endpoint(), parser=_losing))
        async with rigged(server, venue, symbols=["AAAUSD"]) as rig:
            session = rig.session()
            async with running(session) as task:
                await wait_until(session.settled.done, what="subscribed")
                write(server.peer, *trades(1, 2, 3, 4))
                with pytest.raises(ConnectionLost, match="the venue says goodbye"):
                    await task
            assert ids(rig) == [1, 2]
            assert isinstance(rig.tape[-1], Status)


@pytest.mark.parametrize("held", ["while the answer to a ping is sent", "while the bus is far behind"])
async def test_what_was_read_before_a_cancellation_is_published(held: str, tmp_path: Path) -> None:
    """The tape and the capture have the same, and the last event is that the feed is down."""
    capture = Capture(tmp_path, "fake", "", max_bytes=1 << 30, max_s=3600.0)
    capture.start()
    async with subscribed(capture=capture) as (server, rig, session, task):
        if held == "while the bus is far behind":
            rig.flows.clear()
            write(server.peer, *trades(*range(1, FAIR + 100)))
            await wait_until(lambda: session._reader.is_held_back, what="held back")
        else:
            waits = asyncio.Event()

            async def stuck(*_: Any) -> None:
                waits.set()
                await asyncio.Event().wait()

            session._reader._control = stuck
            write(server.peer, *trades(*range(1, 11)), PING, *trades(11))
            await waits.wait()
        task.cancel()
        await asyncio.wait([task])
        assert ids(rig) == list(range(1, len(ids(rig)) + 1))
        assert len(ids(rig)) >= 10
        assert isinstance(rig.tape[-1], Status)
    await asyncio.to_thread(capture.stop)
    assert _captured_trades(tmp_path) == ids(rig)


async def test_a_capture_has_every_frame_of_a_bunch(tmp_path: Path) -> None:
    """With its own text, in order, bad ones too. No frame is older than the one before."""
    capture = Capture(tmp_path, "fake", "", max_bytes=1 << 30, max_s=3600.0)
    capture.start()
    frames = [*trades(1, 2), b"{nonsense", *trades(3), PING, *trades(4), HEARTBEAT, *trades(5)]
    async with subscribed(capture=capture) as (server, rig, _, _):
        write(server.peer, *frames)
        await wait_until(lambda: len(rig.of(Trade)) == 5, what="all trades")
        await wait_until(lambda: {"pong": 7} in server.peer.requests, what="the answer")
    await asyncio.to_thread(capture.stop)
    _, lines = read(CaptureFile(next(tmp_path.iterdir())))
    found = list(lines)
    assert [line.body() for line in found if line.d == "in"][-len(frames) :] == frames
    assert [line.body() for line in found if line.bad] == [b"{nonsense"]
    times = [line.t or 0 for line in found if line.d == "in"]
    assert times == sorted(times)


def _captured_trades(directory: Path) -> list[int]:
    _, lines = read(CaptureFile(next(directory.iterdir())))
    bodies = [line.body() for line in lines if line.d == "in" and b'"trades", "s"' in line.body()]
    return [msgspec.json.decode(body)["i"] for body in bodies]


async def test_a_bunch_on_standby_is_held_until_the_takeover() -> None:
    """A message about the connection in its middle is handled all the same."""
    async with serving() as server, rigged(server, symbols=["AAAUSD"]) as rig:
        session = Session(rig.context, rig.connections[0], 1, standby=True)
        async with running(session):
            await wait_until(session.settled.done, what="subscribed")
            write(server.peer, *trades(1, 2), PING, *trades(3))
            await wait_until(lambda: {"pong": 7} in server.peer.requests, what="the answer")
            await wait_until(lambda: rig.counters.endpoints["main"].frames == 5, what="all frames")
            assert rig.tape == []
            session.take_over()
            assert ids(rig) == [1, 2, 3]
            write(server.peer, *trades(3, 4, 5))
            await wait_until(lambda: len(rig.of(Trade)) == 5, what="the trades of the next bunch")
        assert ids(rig) == [1, 2, 3, 4, 5]


def _asking_with_a_trade(symbols: Symbols) -> Any:
    parse = parser(symbols)

    def asking(data: bytes, received_ts: int) -> Sequence[Output]:
        return (*parse(data, received_ts), *parse(trade("AAAUSD", 3), received_ts)) if data == PING else parse(data, received_ts)

    return asking


async def test_a_takeover_while_a_message_about_the_connection_is_handled_loses_nothing() -> None:
    """What came before was held. What comes behind is published, in the same frame, too."""
    async with serving() as server:
        venue = fake(msgspec.structs.replace(endpoint(), parser=_asking_with_a_trade))
        async with rigged(server, venue, symbols=["AAAUSD"]) as rig:
            session = Session(rig.context, rig.connections[0], 1, standby=True)
            async with running(session):
                await wait_until(session.settled.done, what="subscribed")

                async def take_over(*_: Any) -> None:
                    session.take_over()

                session._reader._control = take_over
                write(server.peer, *trades(1, 2), PING, *trades(4, 5))
                await wait_until(lambda: len(rig.of(Trade)) == 5, what="all trades")
            assert ids(rig) == [1, 2, 3, 4, 5]


async def test_others_get_a_turn_even_if_no_frame_can_be_used() -> None:
    """Bad frames count, too."""
    turns = 0
    async with subscribed() as (server, rig, _, _):
        flow = rig.context.flow

        async def counted() -> None:
            nonlocal turns
            turns += 1
            await flow()

        object.__setattr__(rig.context, "flow", counted)
        write(server.peer, *[b"{nonsense"] * (2 * FAIR), *trades(1))
        await wait_until(lambda: rig.of(Trade), what="the good frame")
    assert turns >= 2
