"""Past candles by REST: from a fake venue onto the tape."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from aiohttp import web

from crosstape_connector import backoff
from crosstape_connector.rest import past_candles, worker
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Candle, FeedState, Gap
from tests.connector.fake_venue import CANDLES, FakeVenue, candle_row, candle_rules, candles, fake, serving
from tests.connector.feeds.candles.test_sequence import told
from tests.connector.rig import QUICK, Rig, rigged
from tests.waiting import wait_until

MINUTES = msgspec.structs.replace(QUICK, kinds=(), candles=("1m",))
KIND = "candle:1m"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses."""
    monkeypatch.setattr(backoff, "PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "LOOK_S", 0.05)
    monkeypatch.setattr(past_candles, "STREAM_SETTLE_S", 0.05)
    monkeypatch.setattr(past_candles, "AGAIN_S", 0.01)


def by_rest() -> Venue:
    """A venue whose subscriptions are not answered with past candles."""
    return fake(candles=candle_rules("none"), candle_source=CANDLES)


def published(rig: Rig) -> list[str]:
    """Return the candles and gaps on the tape, in short."""
    return told(rig.tape)


def this_minute() -> int:
    """Return the number of the current minute."""
    return time.time_ns() // 60_000_000_000


async def subscribed(server: FakeVenue, count: int = 1) -> None:
    """Wait until this connection has subscribed."""
    await wait_until(lambda: len(server.peers) == count and server.peer.requests, what="subscribed")


async def test_a_feed_begins_with_a_page() -> None:
    """The closed candles of the page, then the running one, which the stream continues."""
    async with serving() as server, rigged(server, by_rest(), MINUTES, ["AAAUSD"]) as rig:
        now = this_minute()
        server.candles["AAAUSD"] = [(now - 100, 9), (now - 2, 1), (now - 1, 2), (now, 3)]
        async with rig.supervised():
            await wait_until(lambda: len(rig.of(Candle)) == 3, what="the page")
            await server.peer.send(candles("AAAUSD", (now, 4)), candles("AAAUSD", (now + 1, 5)))
            await wait_until(lambda: len(rig.of(Candle)) == 6, what="the stream")

        assert published(rig) == [f"{now - 2}:1.", f"{now - 1}:2.", f"{now}:3", f"{now}:4", f"{now}:4.", f"{now + 1}:5"]
        assert len(server.calls) == 1
        assert rig.state("AAA-USD", KIND) is FeedState.DOWN  # the connection was closed at the end


async def test_candles_that_closed_during_an_outage_are_fetched() -> None:
    """With their last contents, in order, and without a gap."""
    async with serving() as server, rigged(server, by_rest(), MINUTES, ["AAAUSD"]) as rig, rig.supervised():
        await subscribed(server)
        await wait_until(lambda: server.calls, what="the first page, empty")
        await server.peer.send(candles("AAAUSD", (100, 1)), candles("AAAUSD", (101, 1)))
        await wait_until(lambda: len(rig.of(Candle)) == 3, what="candles")
        server.candles["AAAUSD"] = [(100, 1), (101, 7), (103, 3), (104, 4)]
        server.peer.cut()
        await subscribed(server, 2)
        await server.peer.send(candles("AAAUSD", (104, 4)))
        await wait_until(lambda: len(rig.of(Candle)) == 6, what="the page")
        await server.peer.send(candles("AAAUSD", (105, 5)))
        await wait_until(lambda: len(rig.of(Candle)) == 8, what="the stream")

        assert published(rig)[:3] == ["100:1", "100:1.", "101:1"]
        assert sorted(published(rig)[3:6]) == ["101:7.", "103:3.", "104:4"]
        assert published(rig)[6:] == ["104:4.", "105:5"]
        assert not rig.of(Gap)
        assert server.calls[1:] == ["/candles?symbol=AAAUSD&timeframe=1m&from=101"]


async def test_a_stream_that_shows_that_nothing_was_missed_needs_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The candle that was running goes on after the reconnect, before a page is due."""
    monkeypatch.setattr(past_candles, "STREAM_SETTLE_S", 30.0)
    async with serving() as server, rigged(server, by_rest(), MINUTES, ["AAAUSD"]) as rig, rig.supervised():
        await subscribed(server)
        await wait_until(lambda: server.calls, what="the first page, empty")
        await server.peer.send(candles("AAAUSD", (100, 1)))
        await wait_until(lambda: rig.of(Candle), what="a candle")
        server.peer.cut()
        await subscribed(server, 2)
        await server.peer.send(candles("AAAUSD", (100, 2)), candles("AAAUSD", (101, 1)))
        await wait_until(lambda: len(rig.of(Candle)) == 4, what="the stream")

        assert published(rig) == ["100:1", "100:2", "100:2.", "101:1"]
        assert len(server.calls) == 1


async def test_a_long_outage_is_fetched_page_by_page() -> None:
    """A page has five candles."""
    async with serving() as server, rigged(server, by_rest(), MINUTES, ["AAAUSD"]) as rig, rig.supervised():
        await subscribed(server)
        await wait_until(lambda: server.calls, what="the first page, empty")
        await server.peer.send(candles("AAAUSD", (100, 1)))
        await wait_until(lambda: rig.of(Candle), what="a candle")
        server.candles["AAAUSD"] = [(number, 1) for number in range(100, 113)]
        server.peer.cut()
        await subscribed(server, 2)
        await server.peer.send(candles("AAAUSD", (112, 1)))
        await wait_until(lambda: len(rig.of(Candle)) == 14, what="all pages")

        closed = [event.open_ts // 60_000_000_000 for event in rig.of(Candle) if event.closed]
        assert closed == list(range(100, 112))
        assert not rig.of(Gap)


async def test_without_answers_the_stream_goes_on_after_a_gap() -> None:
    """Candles that closed meanwhile are published after it, once."""
    async with serving() as server, rigged(server, by_rest(), MINUTES, ["AAAUSD"]) as rig, rig.supervised():
        await subscribed(server)
        await wait_until(lambda: server.calls, what="the first page, empty")
        await server.peer.send(candles("AAAUSD", (100, 1)))
        await wait_until(lambda: rig.of(Candle), what="a candle")
        server.answers += [web.Response(status=500) for _ in range(20)]
        server.peer.cut()
        await subscribed(server, 2)
        await server.peer.send(candles("AAAUSD", (103, 1)), candles("AAAUSD", (104, 1)))
        await wait_until(lambda: rig.of(Gap), what="the gap")

        lines = published(rig)
        assert [line for line in lines if not line.startswith("gap")] == ["100:1", "103:1", "104:1", "103:1."]
        assert lines[-1] == "103:1."
        assert [gap.kind for gap in rig.of(Gap)] == [KIND]


async def test_a_standby_replica_fetches_no_page_until_it_publishes() -> None:
    """Another replica fetches it."""
    async with serving() as server, rigged(server, by_rest(), MINUTES, ["AAAUSD"]) as rig:
        rig.active = False
        now = this_minute()
        server.candles["AAAUSD"] = [(now, 3)]
        async with rig.supervised():
            await subscribed(server)
            asked = rig.asked
            await wait_until(lambda: rig.asked >= asked + 5, what="it has looked")
            assert server.calls == []
            rig.active = True
            await wait_until(lambda: published(rig) == [f"{now}:3"], what="the page")


async def test_candles_that_cannot_be_right_are_counted() -> None:
    """A row that begins off our grid is left out of a page, the others are used."""
    async with serving() as server, rigged(server, by_rest(), MINUTES, ["AAAUSD"]) as rig:
        rows = [candle_row(7, 1), (8, "1", "2", False)]
        server.answers.append(web.Response(body=json.dumps(rows).replace("7", "-1", 1).encode()))
        async with rig.supervised():
            await wait_until(lambda: rig.of(Candle), what="the page")

        assert published(rig)[-1] == "8:2"
