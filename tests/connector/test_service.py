"""A complete connector: from the settings to the tape on a real server, and how it ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import prometheus_client
import pytest
import zstandard
from aiohttp import web
from structlog.testing import capture_logs

from crosstape.bus import Publisher
from crosstape.errors import SettingsError, Superseded
from crosstape.settings import RunSettings, TelemetrySettings
from crosstape_connector import service
from crosstape_connector.capture.reader import opened
from crosstape_connector.errors import UnknownVenue
from crosstape_connector.metrics.families import FAMILIES
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import KIND_OF, Book, Event, FeedState, Gap, GapCause, Keys, Quote, Status, Trade
from tests.connector.fake_venue import Peer, book, endpoint, fake, quote, trade
from tests.connector.world import World, changed, subscribed
from tests.disks import fill, small_disk
from tests.waiting import wait_until


async def test_a_trade_is_on_the_tape_and_the_venue_gives_signs_of_life(world: World) -> None:
    """The trade is in the stream of its instrument; the venue-wide stream gets a status again and again."""
    async with world.running():
        await subscribed(world.server)
        await world.server.peer.send(trade("AAAUSD", 1, "10.50"))
        await wait_until(lambda: world.has("trade:AAA-USD", 1), what="the trade")
        await wait_until(lambda: world.has("venue:fake", 5), what="signs of life")
    (event,) = await world.stream("trade:AAA-USD")
    assert isinstance(event, Trade)
    assert (event.venue, str(event.price), event.seq) == ("fake", "10.50", 1)
    states = [event.state.value for event in await world.stream("venue:fake") if isinstance(event, Status)]
    assert states[0] == "connecting"
    assert "live" in states
    assert states[-1] == "down"


async def test_what_is_pending_at_the_end_is_published(world: World) -> None:
    """The connector is cancelled while data come: every trade it read is published, then that the feed and the venue are down, and why."""
    async with world.running():
        await subscribed(world.server)
        await world.server.peer.send(*[trade("AAAUSD", number) for number in range(1, 2001)])
        await wait_until(lambda: world.has("trade:AAA-USD", 1), what="the first trade")
    numbers = [int(event.trade_id) for event in await world.stream("trade:AAA-USD") if isinstance(event, Trade)]
    assert numbers == list(range(1, len(numbers) + 1))
    last = (await world.stream("status:AAA-USD"))[-1]
    venue = (await world.stream("venue:fake"))[-1]
    for status in (last, venue):
        assert isinstance(status, Status)
        assert (status.state.value, status.reason) == ("down", "stopped")
    assert world.server.peer.close_code == 1000


PROCESS = """
import sys

import msgspec

from crosstape.runtime.lifecycle import main
from crosstape.settings import Settings
from crosstape_connector.service import run
from crosstape_connector.venues.registry import VENUES
from tests.connector.fake_venue import fake

VENUES["fake"] = fake()
settings = msgspec.json.decode(sys.argv[1], type=Settings)
raise SystemExit(main(lambda: run(settings, "fake")))
"""


async def test_a_process_that_gets_sigterm_loses_nothing(world: World, tmp_path: Path) -> None:
    """As with `docker stop`: exit code 0, the last trade it read is on the tape, and the capture is complete."""
    connector = msgspec.structs.replace(world.settings.connector, capture_dir=str(tmp_path / "captures"), instruments_refresh_s=3600.0)
    settings = msgspec.structs.replace(world.settings, connector=connector)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROCESS,
        msgspec.json.encode(settings).decode(),
        stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    try:
        await subscribed(world.server)
        await world.server.peer.send(*[trade("AAAUSD", number) for number in range(1, 5001)])
        await wait_until(lambda: world.has("trade:AAA-USD", 1), what="the first trade")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    (path,) = (tmp_path / "captures").iterdir()
    lines = [json.loads(line) for line in zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines()]
    read = [line for line in lines if line.get("d") == "in" and '"trades"' in line["f"] and '"ch"' in line["f"]]
    assert len(await world.stream("trade:AAA-USD")) == len(read)
    assert lines[-1]["d"] == "close"


async def test_the_number_of_lost_events_is_logged(world: World) -> None:
    """The bus does not answer within `run.drain_s`."""
    world.settings = msgspec.structs.replace(world.settings, run=msgspec.structs.replace(world.settings.run, drain_s=0.2))
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server)
            await world.client.client_pause(1500)
            await world.server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: _value("crosstape_connector_events_total", kind="trade") == 1, what="the trade is read")
    (said,) = [log for log in logs if log["event"] == "connector.not_published"]
    assert said["events"] >= 1
    assert said["states"] == 0


async def test_an_unpublished_state_is_no_lost_event(world: World) -> None:
    """The next quote replaces it anyway, so it is counted separately."""
    world.settings = msgspec.structs.replace(
        changed(world.settings, kinds=("quote",)), run=msgspec.structs.replace(world.settings.run, drain_s=0.2)
    )
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server)
            await world.client.client_pause(2500)
            await world.server.peer.send(*[quote("AAAUSD", str(bid), "99") for bid in range(1, 21)])
            await wait_until(lambda: _value("crosstape_connector_events_total", kind="quote") == 20, what="the quotes are read")
    (said,) = [log for log in logs if log["event"] == "connector.not_published"]
    assert said["states"] >= 20
    assert said["events"] < 20


async def test_a_restart_does_not_publish_a_trade_again(world: World) -> None:
    """At the start it reads the newest trade on the tape: it drops the venue's replay, and reports missed trades as a gap."""
    async with world.running():
        await subscribed(world.server)
        await world.server.peer.send(trade("AAAUSD", 7))
        await wait_until(lambda: world.has("trade:AAA-USD", 1), what="the trade")
    async with world.running():
        await subscribed(world.server, 2)
        await world.server.peer.send(trade("AAAUSD", 7), trade("AAAUSD", 10))
        await wait_until(lambda: world.has("trade:AAA-USD", 2), what="the next trade")
        await wait_until(lambda: world.has("gap:AAA-USD", 1), what="the gap")
    assert [event.trade_id for event in await world.stream("trade:AAA-USD") if isinstance(event, Trade)] == ["7", "10"]
    (gap,) = await world.stream("gap:AAA-USD")
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.missed) == (GapCause.DISCONNECT, 2)


async def test_a_replica_that_is_alone_publishes(world: World) -> None:
    """First it waits for other replicas. Its details have its name, and that no other could take over."""
    connector = msgspec.structs.replace(world.settings.connector, replica="a", lease_s=0.3)
    world.settings = msgspec.structs.replace(world.settings, connector=connector)
    for _ in range(2):
        async with world.running():
            await wait_until(lambda: _value("crosstape_connector_replica_active", replica="a") == 1, what="it publishes")
            await world.server.peer.send(trade("AAAUSD", 7))
            await wait_until(lambda: world.has("trade:AAA-USD", 1), what="the trade")
            assert _value("crosstape_connector_replica_covered", replica="a") == 0
            assert _value("crosstape_connector_replica_takeovers_total", replica="a") == 1
            assert _value("crosstape_connector_replica_held", replica="a") == 0
            assert _value("crosstape_connector_line_active", line="a") == 1, "the old name is exported, too"
            assert _value("crosstape_connector_line_takeovers_total", line="a") == 1
    assert [event.trade_id for event in await world.stream("trade:AAA-USD") if isinstance(event, Trade)] == ["7"]
    last = (await world.stream("venue:fake"))[-1]
    assert isinstance(last, Status)
    assert (last.state.value, last.reason) == ("down", "stopped")
    assert await world.client.keys("tape:l[ei]*:connector.fake*") == []


async def test_an_unknown_instrument_is_reported_and_the_others_go_on(world: World) -> None:
    """The log has one error with the nearest names, the tape has `down`, and the feed of the other instrument is live."""
    world.settings = changed(world.settings, instruments=("AAB-USD", "AAA-USD"))
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server)
            await world.server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: world.has("trade:AAA-USD", 1), what="the trade of the other")
            await wait_until(lambda: world.has("status:AAB-USD", 1), what="the status of the unknown one")
            await wait_until(lambda: len(world.server.calls) >= 3, what="looked again")
    (said,) = [log for log in logs if log["event"] == "instrument.refused"]
    assert (said["venue"], said["instrument"]) == ("fake", "AAB-USD")
    assert "not listed on fake; near: AAA-USD" in said["reason"]
    (status,) = await world.stream("status:AAB-USD")
    assert isinstance(status, Status)
    assert (status.kind, status.state.value, status.reason) == ("*", "down", said["reason"])


async def test_an_instrument_that_is_listed_later_is_subscribed_then(world: World) -> None:
    """Without a listed instrument the connector stays up and fetches the list again. The new one gets its own connection."""
    world.server.listed = {"BBBUSD": True}
    async with world.running() as task:
        await wait_until(lambda: world.has("status:AAA-USD", 1), what="it is refused")
        assert not task.done()
        world.server.listed["AAAUSD"] = True
        await subscribed(world.server)
        await world.server.peer.send(trade("AAAUSD", 1))
        await wait_until(lambda: world.has("trade:AAA-USD", 1), what="its trade")
    assert await _instrument_states(world, 2) == ["down", "live"]


async def test_an_instrument_that_stops_trading_is_stale_until_it_trades_again(world: World) -> None:
    """The venue's list shows it before its feeds do; the connection stays."""
    async with world.running():
        await subscribed(world.server)
        world.server.listed["AAAUSD"] = False
        await wait_until(lambda: _instrument_states(world, 1), what="it is called stale")
        world.server.listed["AAAUSD"] = True
        await wait_until(lambda: _instrument_states(world, 2), what="it is live again")
    assert await _instrument_states(world, 2) == ["stale", "live"]
    assert len(world.server.peers) == 1


async def _instrument_states(world: World, count: int) -> list[str]:
    """Return the states of the instrument's own status, once there are `count` of them."""
    states = [event.state.value for event in await world.stream("status:AAA-USD") if isinstance(event, Status) and event.kind == "*"]
    return states if len(states) >= count else []


async def test_a_second_connector_of_the_same_venue_takes_over(world: World) -> None:
    """The first ends at once: two connectors would publish each trade twice."""
    first = asyncio.create_task(service.run(world.settings, "fake"))
    await subscribed(world.server)
    second = Publisher(world.client, Keys(), world.settings.bus, producer="connector.fake")
    writing = asyncio.create_task(second.run())
    second.publish(Status("fake", "*", None, time.time_ns(), "*", FeedState.LIVE))
    try:
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(first, 10)
        assert ended.group_contains(Superseded)
    finally:
        writing.cancel()
        await asyncio.wait([writing])


async def test_it_starts_from_the_cache_when_rest_is_down(world: World) -> None:
    """The last run wrote the cache."""
    async with world.running():
        await subscribed(world.server)
    world.server.answers = [web.Response(status=500) for _ in range(100)]
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server, 2)
    assert "instruments.from_cache" in [log["event"] for log in logs]


async def test_it_waits_for_a_venue_whose_instruments_it_cannot_get(world: World) -> None:
    """Without cache and REST it stays up, publishes `down` with the reason, and starts when REST answers again."""
    world.server.answers = [web.Response(status=500)]
    async with world.running():
        await wait_until(lambda: world.has("venue:fake", 3), what="signs of life")
        assert world.server.peers == []
        await subscribed(world.server)
    reasons = [event.reason for event in await world.stream("venue:fake") if isinstance(event, Status)]
    assert any(reason.startswith("instruments: ") and reason.endswith("HTTP 500") for reason in reasons)


def _value(name: str, **labels: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value(name, {"venue": "fake", **labels})


async def test_health_and_metrics_show_the_state(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ready once every feed is live or refused and the bus has accepted an event. All metrics exist."""
    world.settings = changed(
        msgspec.structs.replace(world.settings, telemetry=TelemetrySettings(http_enabled=True)), instruments=("AAA-USD", "BBB-USD")
    )
    world.server.refused["BBBUSD"] = "no such pair"
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server)
            (url,) = [log["url"] for log in logs if log["event"] == "telemetry.listening"]
            await world.server.peer.send(b"nonsense", trade("AAAUSD", 1))
            await wait_until(lambda: _ready(url), what="ready")
            details = (await asyncio.to_thread(_get, f"{url}/readyz"))[1]
            text = (await asyncio.to_thread(_get, f"{url}/metrics"))[1]
    assert details["feeds"] == {"live": 1, "down": 1}
    assert details["refused"] == {"trades BBBUSD": "no such pair"}
    assert details["connections"] == 1
    for name in FAMILIES:
        assert f"# HELP {name}" in text
    assert 'crosstape_connector_events_total{kind="trade",venue="fake"} 1.0' in text
    assert 'crosstape_connector_bad_frames_total{kind="malformed",venue="fake"} 1.0' in text
    assert 'crosstape_connector_subscriptions{state="rejected",venue="fake"} 1.0' in text
    assert 'crosstape_connector_waiting_seconds{kind="trade",venue="fake"} 0.0' in text  # nobody waits for what is refused


async def test_what_has_not_happened_is_counted_as_0(world: World) -> None:
    """From the start: alerts use the increase of counters, and compare states with 0."""
    async with world.running():
        await subscribed(world.server)
        assert _value("crosstape_connector_lost_total", endpoint="main") == 0
        assert [_value("crosstape_connector_gaps_total", cause=cause.value) for cause in GapCause] == [0] * len(GapCause)
        assert None not in [_value("crosstape_connector_feeds", kind="trade", state=state.value) for state in FeedState]


async def test_a_feed_that_is_not_live_waits(world: World) -> None:
    """From its loss until it has data again, over any number of connections. A trade feed does not wait for trades."""
    world.settings = changed(world.settings, kinds=("trade", "quote"))

    def waiting(kind: str) -> float:
        value = _value("crosstape_connector_waiting_seconds", kind=kind)
        assert value is not None
        return value

    async with world.running():
        await subscribed(world.server)
        await wait_until(lambda: waiting("quote") > 0, what="a quote is waited for")
        await wait_until(lambda: waiting("trade") == 0, what="an acknowledged trade feed is not")
        await world.server.peer.send(quote("AAAUSD"))
        await wait_until(lambda: waiting("quote") == 0, what="the quote is here")

        world.server.peer.cut()
        await wait_until(lambda: waiting("quote") > 0, what="the connection is lost")
        await subscribed(world.server, 2)
        before = waiting("quote")
        world.server.peer.cut()
        await subscribed(world.server, 3)
        assert waiting("quote") > before > 0
        await world.server.peer.send(quote("AAAUSD"))
        await wait_until(lambda: waiting("quote") == 0, what="the quote is here again")


def _get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        status, body = exc.code, exc.read()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, body.decode()


async def _ready(url: str) -> bool:
    return (await asyncio.to_thread(_get, f"{url}/readyz"))[0] == 200


async def test_a_connector_is_ready_before_the_first_trade(world: World) -> None:
    """At its start, and again on a new connection: an acknowledged subscription is enough."""
    world.settings = msgspec.structs.replace(world.settings, telemetry=TelemetrySettings(http_enabled=True))
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server)
            (url,) = [log["url"] for log in logs if log["event"] == "telemetry.listening"]
            await wait_until(lambda: _ready(url), what="ready without a trade")
            await world.server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: world.has("trade:AAA-USD", 1), what="the trade")
            world.server.peer.cut()
            await subscribed(world.server, 2)
            await wait_until(lambda: _ready(url), what="ready again without a trade")


async def test_lags_are_sampled_and_never_clamped(world: World) -> None:
    """For every 64th frame: from the venue to us (negative if its clock is ahead), and from us to the acknowledgement of the bus."""
    async with world.running():
        await subscribed(world.server)
        ahead_ms = time.time_ns() // 1_000_000 + 60_000  # more than a slow machine takes to read them
        await world.server.peer.send(*[trade("AAAUSD", number, t=ahead_ms) for number in range(1, 200)])
        await wait_until(lambda: _value("crosstape_connector_publish_seconds_count"), what="a sample was acknowledged")
        await wait_until(lambda: _value("crosstape_connector_lag_seconds_bucket", le="+Inf") == 3, what="three samples of lag")
        assert _value("crosstape_connector_lag_seconds_bucket", le="-0.1") == 3


async def test_a_capture_normalizes_to_what_was_published(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same parsers and `FeedHandler` are used: trades, quotes and books are those of the tape, also after a cut and a broken book."""

    def snapshots(_peer: Peer, request: dict[str, Any]) -> list[bytes]:
        return [book("AAAUSD", 10, snap=True)] if request["channel"] == "book" else []

    connector = msgspec.structs.replace(world.settings.connector, capture_dir=str(tmp_path / "captures"), instruments_refresh_s=3600.0)
    world.settings = changed(
        msgspec.structs.replace(world.settings, connector=connector), kinds=("trade", "quote", "book"), book_interval_s=0.0
    )
    world.server.on_subscribe = snapshots
    async with world.running():
        await wait_until(lambda: world.has("book:AAA-USD", 1), what="the first book")
        await world.server.peer.send(
            trade("AAAUSD", 1), quote("AAAUSD"), book("AAAUSD", 11), b"nonsense", book("AAAUSD", 13), trade("AAAUSD", 2)
        )
        await wait_until(lambda: world.has("gap:AAA-USD", 1), what="the gap in the book")
        await wait_until(lambda: world.has("trade:AAA-USD", 2), what="the trade after it")
        await wait_until(lambda: ("book", "AAAUSD") in world.server.peer.asked("unsubscribe"), what="the book is subscribed again")
        world.server.peer.cut()
        await wait_until(lambda: len(world.server.peers) == 2 and len(world.server.peer.requests) == 3, what="a second connection")
        await world.server.peer.send(trade("AAAUSD", 9), quote("AAAUSD", "10.3"), book("AAAUSD", 11))
        await wait_until(lambda: world.has("trade:AAA-USD", 3), what="the trade after the cut")
    (path,) = (tmp_path / "captures").iterdir()
    with opened(path) as lines:
        again = list(normalize(fake(), lines, book_interval_ns=0))
    for kind in (Trade, Quote, Book):
        published = [_bare(event) for event in await world.stream(f"{KIND_OF[kind]}:AAA-USD") if _is_live(event)]
        assert published == [_bare(event) for event in again if isinstance(event, kind) and _is_live(event)]
        assert len(published) >= 2


def _bare(event: Event) -> Event:
    return msgspec.structs.replace(event, epoch=0, seq=0)


def _is_live(event: Event) -> bool:
    return not isinstance(event, Quote | Book) or event.state is FeedState.LIVE


async def test_a_capture_holds_the_complete_conversation(world: World, tmp_path: Path) -> None:
    """Instruments, opened connection, requests, frames and the end are in one readable file; no address has a secret."""
    world.settings = changed(world.settings, ws_url=f"{world.settings.venues['fake'].ws_url}?token=hunter2")
    connector = msgspec.structs.replace(world.settings.connector, capture_dir=str(tmp_path / "captures"), instruments_refresh_s=3600.0)
    world.settings = msgspec.structs.replace(world.settings, connector=connector)
    async with world.running():
        await subscribed(world.server)
        await world.server.peer.send(trade("AAAUSD", 1), b"nonsense")
        await wait_until(lambda: _value("crosstape_connector_bad_frames_total", kind="malformed") == 1, what="both frames")
    (path,) = (tmp_path / "captures").iterdir()
    assert path.name.startswith("fake-20")
    text = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    header, *lines = [json.loads(line) for line in text.splitlines()]
    assert header["venue"] == "fake"
    assert [line["d"] for line in lines] == ["rest", "open", "out", "in", "in", "in", "close"]
    assert lines[-2]["bad"] == "malformed"
    assert lines[-1]["f"] == "stopped"
    assert world.server.peer.query == {"token": "hunter2"}
    assert [header["url"], lines[1]["u"]] == [f"{world.server.url}/ws/main".replace("http", "ws")] * 2
    assert b"hunter2" not in text


async def test_a_full_disk_is_logged_and_ends_no_feed(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capture and cache of instruments log it once each. Lines that are in no capture are counted, and trades continue."""
    monkeypatch.setattr("crosstape_connector.capture.writer.FLUSH_S", 0.0)
    numbers = itertools.count(1)
    with small_disk(tmp_path / "disk", 64 * 1024) as disk, capture_logs() as logs:
        connector = msgspec.structs.replace(world.settings.connector, capture_dir=str(disk / "captures"), instruments_refresh_s=0.05)
        world.settings = msgspec.structs.replace(
            world.settings,
            run=RunSettings(dir=str(disk / "run")),
            connector=connector,
            telemetry=TelemetrySettings(http_enabled=True),
        )

        def log_count(event: str) -> int:
            return [log["event"] for log in logs].count(event)

        async def capture_fails() -> bool:
            await world.server.peer.send(*[trade("AAAUSD", next(numbers)) for _ in range(50)])
            return log_count("capture.failed") > 0

        async with world.running():
            await subscribed(world.server)
            fill(disk)
            await wait_until(capture_fails, what="the capture finds no room")
            await wait_until(lambda: log_count("instruments.not_cached"), what="the cache cannot be written")
            calls = len(world.server.calls)
            await wait_until(lambda: len(world.server.calls) > calls + 3, what="the instruments are fetched again")
            await world.server.peer.send(trade("AAAUSD", next(numbers), "12.34"))
            await wait_until(lambda: _last_price(world), what="the last trade")
            (url,) = [log["url"] for log in logs if log["event"] == "telemetry.listening"]
            text = (await asyncio.to_thread(_get, f"{url}/metrics"))[1]

    assert (log_count("capture.failed"), log_count("instruments.not_cached")) == (1, 1)
    (line,) = [line for line in text.splitlines() if line.startswith("crosstape_connector_capture_dropped_total{")]
    assert float(line.split()[-1]) > 0


async def _last_price(world: World) -> bool:
    event = (await world.stream("trade:AAA-USD"))[-1]
    return isinstance(event, Trade) and str(event.price) == "12.34"


async def test_an_unknown_venue_is_an_error(world: World) -> None:
    """The error lists the known venues. A venue that is not in the settings is an error, too."""
    with pytest.raises(UnknownVenue, match="kraken"):
        await service.run(world.settings, "krakken")
    with pytest.raises(SettingsError, match=r"venues\.kraken"):
        await service.run(world.settings, "kraken")


async def test_endpoints_have_addresses_of_their_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings give two addresses for two endpoints."""
    venue = fake(endpoint("trading", {"trade": "trades"}), endpoint("market", {"quote": "quotes"}))
    monkeypatch.setitem(VENUES, "fake", venue)
    base = world.server.url.replace("http", "ws")
    world.settings = changed(world.settings, kinds=("trade", "quote"), ws_url={"trading": f"{base}/ws/one", "market": f"{base}/ws/two"})
    async with world.running():
        await wait_until(lambda: sorted(peer.path for peer in world.server.peers) == ["/ws/one", "/ws/two"], what="both")
