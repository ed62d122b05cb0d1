"""SIGHUP: instruments are added and removed, and the others are not affected."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import prometheus_client
import pytest
from structlog.testing import capture_logs

from crosstape.errors import SettingsError
from crosstape.settings import Settings
from crosstape_connector import service
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import VENUE_WIDE, FeedState, Gap, Quote, Status, Trade
from tests.connector.fake_venue import endpoint, fake, quote, trade
from tests.connector.world import World, changed, subscribed
from tests.waiting import wait_until


@asynccontextmanager
async def running(world: World, settings: Callable[[], Settings]) -> AsyncIterator[None]:
    """Run the connector, which reads `settings` again at SIGHUP."""
    task = asyncio.create_task(service.run(world.settings, "fake", settings))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def hang_up() -> None:
    """Send SIGHUP, as `kill -HUP` does."""
    os.kill(os.getpid(), signal.SIGHUP)


async def states(world: World, name: str, kind: str = "trade") -> list[tuple[FeedState, str]]:
    """Return (state, reason) of each published status of a feed."""
    return [(one.state, one.reason) for one in await world.stream(f"status:{name}") if isinstance(one, Status) and one.kind == kind]


async def test_an_instrument_is_added_without_a_break_of_the_others(world: World) -> None:
    """It is subscribed on the same connection, which has room."""
    async with running(world, lambda: changed(world.settings, instruments=("AAA-USD", "BBB-USD"))):
        await subscribed(world.server)
        await world.server.peer.send(trade("AAAUSD", 1))
        await wait_until(lambda: world.has("trade:AAA-USD", 1), what="a trade")
        hang_up()
        await wait_until(lambda: ("trades", "BBBUSD") in world.server.peer.asked("subscribe"), what="subscribed")
        await world.server.peer.send(trade("AAAUSD", 2), trade("BBBUSD", 1))
        await wait_until(lambda: world.has("trade:BBB-USD", 1), what="a trade of the new one")
        assert len(world.server.peers) == 1
        assert world.server.peer.asked("subscribe") == [("trades", "AAAUSD"), ("trades", "BBBUSD")]
        assert [state for state, _ in await states(world, "AAA-USD")] == [FeedState.CONNECTING, FeedState.LIVE]


async def test_without_room_on_a_connection_another_is_opened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint limits the topics of a connection."""
    monkeypatch.setitem(VENUES, "fake", fake(endpoint(topics=1)))
    async with running(world, lambda: changed(world.settings, instruments=("AAA-USD", "BBB-USD"))):
        await subscribed(world.server)
        hang_up()
        await subscribed(world.server, 2)
        assert [peer.asked("subscribe") for peer in world.server.peers] == [[("trades", "AAAUSD")], [("trades", "BBBUSD")]]


async def test_a_removed_instrument_is_published_as_down(world: World) -> None:
    """It is unsubscribed. Its status, its feeds and its last quote are `down` with the reason, and its feeds leave the metrics."""
    own = {"kinds": ("trade", "quote"), "instruments": ("AAA-USD", "BBB-USD")}
    world.settings = changed(world.settings, **own)
    fewer = changed(world.settings, instruments=("BBB-USD",))
    async with running(world, lambda: fewer):
        await wait_until(lambda: world.server.peers and len(world.server.peer.asked("subscribe")) == 4, what="subscribed")
        await world.server.peer.send(trade("AAAUSD", 1), quote("AAAUSD"), trade("BBBUSD", 1), quote("BBBUSD"))
        await wait_until(lambda: world.has("quote:BBB-USD", 1), what="data")
        hang_up()
        await wait_until(lambda: len(world.server.peer.asked("unsubscribe")) == 2, what="unsubscribed")
        assert {symbol for _, symbol in world.server.peer.asked("unsubscribe")} == {"AAAUSD"}
        down = (FeedState.DOWN, "removed from the settings")

        async def is_published() -> bool:
            return [(await states(world, "AAA-USD", kind))[-1:] for kind in ("trade", "quote", VENUE_WIDE)] == [[down]] * 3

        await wait_until(is_published, what="its status is published")
        last = (await world.stream("quote:AAA-USD"))[-1]
        assert isinstance(last, Quote)
        assert last.state is FeedState.DOWN
        live = prometheus_client.REGISTRY.get_sample_value("crosstape_connector_feeds", {"venue": "fake", "kind": "trade", "state": "live"})
        none = prometheus_client.REGISTRY.get_sample_value("crosstape_connector_feeds", {"venue": "fake", "kind": "trade", "state": "down"})
        assert (live, none) == (1.0, 0.0)
        await world.server.peer.send(trade("AAAUSD", 2), trade("BBBUSD", 2))
        await wait_until(lambda: world.has("trade:BBB-USD", 2), what="the other goes on")
        assert not await world.has("trade:AAA-USD", 2)
        assert [state for state, _ in await states(world, "BBB-USD")] == [FeedState.CONNECTING, FeedState.LIVE]
        assert len(world.server.peers) == 1


async def test_an_instrument_that_is_added_again_continues_after_a_gap(world: World) -> None:
    """The gap has the count of the trades missed meanwhile; the instrument is live again."""
    wanted = [("BBB-USD",), ("AAA-USD", "BBB-USD")]
    world.settings = changed(world.settings, instruments=("AAA-USD", "BBB-USD"))
    async with running(world, lambda: changed(world.settings, instruments=wanted.pop(0))):
        await wait_until(lambda: world.server.peers and len(world.server.peer.asked("subscribe")) == 2, what="subscribed")
        await world.server.peer.send(trade("AAAUSD", 1))
        await wait_until(lambda: world.has("trade:AAA-USD", 1), what="a trade")
        hang_up()
        await wait_until(lambda: world.server.peer.asked("unsubscribe"), what="unsubscribed")
        hang_up()
        await wait_until(lambda: len(world.server.peer.asked("subscribe")) == 3, what="subscribed again")
        await world.server.peer.send(trade("AAAUSD", 5))
        await wait_until(lambda: world.has("trade:AAA-USD", 2), what="a trade")
        (gap,) = [one for one in await world.stream("gap:AAA-USD") if isinstance(one, Gap)]
        assert gap.missed == 3
        assert [one.trade_id for one in await world.stream("trade:AAA-USD") if isinstance(one, Trade)] == ["1", "5"]
        assert (await states(world, "AAA-USD", VENUE_WIDE))[-1] == (FeedState.LIVE, "")
        assert (await states(world, "AAA-USD"))[-1] == (FeedState.LIVE, "")


async def test_a_connection_ends_with_its_last_instrument(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without subscriptions is of no use; the other connection stays."""
    monkeypatch.setitem(VENUES, "fake", fake(endpoint(topics=1)))
    world.settings = changed(world.settings, instruments=("AAA-USD", "BBB-USD"))
    async with running(world, lambda: changed(world.settings, instruments=("BBB-USD",))):
        await wait_until(lambda: len(world.server.peers) == 2 and all(peer.requests for peer in world.server.peers), what="subscribed")
        hang_up()
        of = {peer.asked("subscribe")[0][1]: peer for peer in world.server.peers}
        await wait_until(lambda: of["AAAUSD"].close_code is not None, what="closed")
        await of["BBBUSD"].send(trade("BBBUSD", 1))
        await wait_until(lambda: world.has("trade:BBB-USD", 1), what="the other goes on")
        assert len(world.server.peers) == 2


async def test_invalid_settings_are_logged_in_one_line_and_change_nothing(world: World) -> None:
    """Also if they have several mistakes."""

    def wrong() -> Settings:
        raise SettingsError("one mistake\nanother")

    with capture_logs() as logs:
        async with running(world, wrong):
            await subscribed(world.server)
            hang_up()
            await wait_until(lambda: any(log["event"] == "settings.refused" for log in logs), what="the refusal is logged")
            await world.server.peer.send(trade("AAAUSD", 1))
            await wait_until(lambda: world.has("trade:AAA-USD", 1), what="it goes on")
    (refused,) = [log for log in logs if log["event"] == "settings.refused"]
    assert refused["error"] == "one mistake; another"


async def test_changes_that_need_a_restart_are_logged(world: World) -> None:
    """The log has the path of the setting without its value, and ignores other venues, the aggregator and the gateway."""
    other = changed(world.settings, kinds=("trade", "quote"), stale_s=7.0)
    other = msgspec.structs.replace(
        other,
        bus=msgspec.structs.replace(other.bus, timeout_s=2.0),
        aggregator=msgspec.structs.replace(other.aggregator, stale_s=9.0),
        gateway=msgspec.structs.replace(other.gateway, clients=9),
        venues={**other.venues, "elsewhere": other.venues["fake"]},
    )
    with capture_logs() as logs:
        async with running(world, lambda: other):
            await subscribed(world.server)
            hang_up()
            await wait_until(lambda: any(log["event"] == "settings.read" for log in logs), what="read")
    (named,) = [log for log in logs if log["event"] == "settings.not_applied"]
    assert named["changed"] == ["bus.timeout_s", "venues.fake.kinds", "venues.fake.stale_s"]


async def test_a_name_that_the_venue_has_only_now_is_found(world: World) -> None:
    """The list of instruments is fetched again if it does not have the name."""
    world.settings = msgspec.structs.replace(
        world.settings, connector=msgspec.structs.replace(world.settings.connector, instruments_refresh_s=3600.0)
    )
    async with running(world, lambda: changed(world.settings, instruments=("AAA-USD", "DDD-USD"))):
        await subscribed(world.server)
        world.server.listed["DDDUSD"] = True
        hang_up()
        await wait_until(lambda: ("trades", "DDDUSD") in world.server.peer.asked("subscribe"), what="subscribed")
