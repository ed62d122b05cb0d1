"""Polling by REST while the WebSocket is away: from a fake venue onto the tape."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import msgspec
import prometheus_client
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from crosstape.settings import TelemetrySettings
from crosstape_connector import backoff
from crosstape_connector.rest import backfill_schedule, polling_rules, worker
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import FeedState, Gap, Quote, Status, Trade
from tests.connector.fake_venue import T0, FakeVenue, fake, quote, serving, trade
from tests.connector.rest.test_backfill import gaps_of, ids, trades
from tests.connector.rig import QUICK, Rig, rigged
from tests.connector.world import World, changed
from tests.waiting import wait_until

SOON = msgspec.structs.replace(QUICK, kinds=("trade", "quote"), fallback_s=0.2)
POLLED = "polled over REST, every 0.02 s at best"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses."""
    monkeypatch.setattr(polling_rules, "POLL_S", 0.02)
    monkeypatch.setattr(backoff, "PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "LOOK_S", 0.05)
    monkeypatch.setattr(backfill_schedule, "STREAM_SETTLE_S", 0.05)


async def live(server: FakeVenue, rig: Rig) -> None:
    """Trades 1 and 2, and a quote, have come."""
    await wait_until(lambda: server.peers and len(server.peer.requests) == 2, what="subscribed")
    await server.peer.send(*trades(1, 2), quote("AAAUSD", "10.4", "10.6"))
    await wait_until(lambda: len(rig.of(Trade)) == 2 and rig.of(Quote), what="data")


async def test_trades_and_quotes_are_polled_until_the_stream_is_back() -> None:
    """Each trade comes once, in order, none is missing; quotes are never live meanwhile; then all is as before."""
    async with serving() as server, rigged(server, fake(past=True), SOON, ["AAAUSD"]) as rig, rig.supervised():
        await live(server, rig)
        server.past["AAAUSD"], server.quotes["AAAUSD"] = [1, 2, 3, 4], ("11.4", "11.6")
        server.closed = True
        server.peer.cut()
        await wait_until(lambda: len(rig.of(Trade)) == 4 and rig.polling.polled_feeds() == {"trade": 1, "quote": 1}, what="polled")
        assert [(rig.state("AAA-USD", kind), rig.of_status("AAA-USD")[-1].reason) for kind in ("trade", "quote")] == [
            (FeedState.RECOVERING, POLLED)
        ] * 2
        server.past["AAAUSD"] += range(5, 20)
        await wait_until(lambda: len(rig.of(Trade)) == 19, what="page by page")
        server.quotes["AAAUSD"] = ("12.4", "12.6")
        await wait_until(lambda: str(rig.of(Quote)[-1].bid_price) == "12.4", what="the next quote")

        server.closed = False
        await wait_until(lambda: len(server.peers) == 2 and len(server.peer.requests) == 2, what="connected again")
        await wait_until(lambda: rig.polling.polled_feeds() == {"trade": 0, "quote": 0}, what="polling ended")
        calls = len(server.calls)
        await server.peer.send(*trades(18, 19, 20, 21), quote("AAAUSD", "13.4", "13.6"))
        await wait_until(lambda: len(rig.of(Trade)) == 21 and str(rig.of(Quote)[-1].bid_price) == "13.4", what="live again")

        assert ids(rig.tape) == [(number, 3 <= number <= 19) for number in range(1, 22)]
        assert rig.of(Gap, "AAA-USD") == [gap for gap in rig.of(Gap) if gap.kind == "quote"]
        assert [(str(one.bid_price), one.state.value) for one in rig.of(Quote)] == [
            ("10.4", "live"),
            ("10.4", "down"),
            ("11.4", "recovering"),
            ("12.4", "recovering"),
            ("13.4", "live"),
        ]
        assert rig.state("AAA-USD", "trade") is rig.state("AAA-USD", "quote") is FeedState.LIVE
        assert len(server.calls) == calls
        assert rig.counters.polls["trade"] + rig.counters.polls["quote"] == sum(rig.counters.rest_calls.values())


async def test_a_standby_replica_polls_nothing_until_it_publishes() -> None:
    """However long its connection is away."""
    async with serving() as server, rigged(server, fake(past=True), SOON, ["AAAUSD"]) as rig, rig.supervised():
        await live(server, rig)
        server.past["AAAUSD"], server.quotes["AAAUSD"] = [1, 2, 3], ("11.4", "11.6")
        rig.active, server.closed = False, True
        server.peer.cut()
        asked = rig.asked
        await wait_until(lambda: rig.asked >= asked + 40, what="the connection has been away for long, and it has looked")
        assert rig.polling.polled_feeds() == {"trade": 0, "quote": 0}
        assert not rig.counters.polls

        rig.active = True
        await wait_until(lambda: rig.polling.polled_feeds() == {"trade": 1, "quote": 1}, what="polled")


async def test_what_the_stream_missed_after_the_last_answer_is_a_gap_and_fetched() -> None:
    """Polling has proven all trades up to there, so the gap has only later ones."""
    async with serving() as server, rigged(server, fake(past=True), SOON, ["AAAUSD"]) as rig, rig.supervised():
        await live(server, rig)
        server.past["AAAUSD"], server.quotes["AAAUSD"] = [1, 2, 3], ("1", "2")
        server.closed = True
        server.peer.cut()
        await wait_until(lambda: len(rig.of(Trade)) == 3, what="polled")
        server.closed = False
        await wait_until(lambda: len(server.peers) == 2 and rig.polling.polled_feeds() == {"trade": 0, "quote": 0}, what="connected again")
        server.past["AAAUSD"] = list(range(1, 7))
        await server.peer.send(*trades(6))
        await wait_until(lambda: len(rig.of(Trade)) == 6, what="fetched")

        assert ids(rig.tape) == [(1, False), (2, False), (3, True), (6, False), (4, True), (5, True)]
        assert gaps_of(gap for gap in rig.tape if isinstance(gap, Gap) and gap.kind == "trade") == [(False, 2), (True, 2)]


async def test_a_connection_without_an_answer_counts_as_away() -> None:
    """It was accepted, and the venue never answered on it, as with a half-open socket."""
    async with serving() as server, rigged(server, fake(past=True), SOON, ["AAAUSD"]) as rig:
        server.acks = False
        server.past["AAAUSD"], server.quotes["AAAUSD"] = [1, 2], ("1", "2")
        async with rig.supervised():
            await wait_until(lambda: rig.of(Quote), what="a quote, polled")
            server.past["AAAUSD"] += [3]
            await wait_until(lambda: rig.of(Trade), what="a trade, polled")
            assert ids(rig.tape) == [(3, True)], "the sequence starts with the newest, as with trades that a venue replays"
            assert [peer.close_code for peer in server.peers] == [None]


async def test_nothing_is_polled_while_there_is_a_connection() -> None:
    """However quiet it is; with `fallback_s` 0 nothing is ever polled."""
    async with serving() as server, rigged(server, fake(past=True), SOON, ["AAAUSD"]) as rig, rig.supervised():
        await wait_until(lambda: rig.feeds.records and server.peers and len(server.peer.requests) == 2, what="subscribed")
        await server.peer.send(*trades(1))
        await wait_until(lambda: rig.of(Trade), what="a trade")
        calls = list(server.calls)
        await server.peer.send(*[quote("AAAUSD")] * 50, trade("AAAUSD", 2, t=T0 + 2))
        await wait_until(lambda: len(rig.of(Trade)) == 2, what="more")
        assert server.calls == calls
    never = msgspec.structs.replace(SOON, fallback_s=0.0)
    async with serving() as server, rigged(server, fake(past=True), never, ["AAAUSD"]) as rig:
        server.closed = True
        async with rig.supervised():
            await wait_until(lambda: rig.counters.endpoints["main"].connects > 10, what="many attempts")
        assert server.calls == []


async def test_a_rest_that_fails_too_leaves_the_feeds_down() -> None:
    """Requests go on, less often, until one is answered."""
    async with serving() as server, rigged(server, fake(past=True), SOON, ["AAAUSD"]) as rig, rig.supervised():
        await live(server, rig)
        server.past["AAAUSD"], server.quotes["AAAUSD"] = [1, 2, 3], ("1", "2")
        server.closed = True
        server.peer.cut()
        await wait_until(lambda: rig.state("AAA-USD", "quote") is FeedState.RECOVERING, what="polled")
        server.answers = [web.Response(status=500) for _ in range(6)]
        await wait_until(lambda: not server.answers, what="refusals")
        await wait_until(lambda: rig.polling.polled_feeds() == {"trade": 1, "quote": 1}, what="polled again")
        reasons = [(status.state.value, status.reason) for status in rig.of_status("AAA-USD") if status.kind == "quote"]
        at = reasons.index(("down", "no connection, and REST fails"))
        assert reasons[at + 1] == ("recovering", POLLED)


async def test_a_polled_feed_is_not_ready_and_says_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """On `/readyz` and in the metrics; at the end its status on the tape is down."""
    monkeypatch.setitem(VENUES, "fake", fake(past=True))
    world.settings = changed(msgspec.structs.replace(world.settings, telemetry=TelemetrySettings()), fallback_s=0.2)
    world.server.past["AAAUSD"] = [1, 2]
    world.server.closed = True
    with capture_logs() as logs:
        async with world.running():
            await wait_until(lambda: _value("polled_feeds", kind="trade") == 1, what="polled")
            (url,) = [log["url"] for log in logs if log["event"] == "telemetry.listening"]
            status, details = await asyncio.to_thread(_readiness, url)
            world.server.past["AAAUSD"] += [3]
            await wait_until(lambda: world.has("trade:AAA-USD", 1), what="a trade, polled")
            assert (_value("polls_total", kind="trade") or 0) >= 2
    assert (status, details["polled"], details["waiting"]) == (503, {"trade": 1, "quote": 0}, [f"trade AAA-USD: recovering {POLLED}"])
    statuses = [event for event in await world.stream("status:AAA-USD") if isinstance(event, Status) and event.kind == "trade"]
    assert [event.state.value for event in statuses][-2:] == ["recovering", "down"]
    assert statuses[-1].reason == "stopped"


def _value(name: str, **labels: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value(f"crosstape_connector_{name}", {"venue": "fake", **labels})


def _readiness(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as exc:
        return exc.code, json.load(exc)
