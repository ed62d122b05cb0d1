"""A connector that starts after another: a gap of every kind for the time without a connector."""

from __future__ import annotations

import msgspec
import prometheus_client
import pytest

from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import VENUE_WIDE, AnyEvent, Delta, Event, Gap, GapCause, Status, Trade
from tests.connector.fake_venue import book, endpoint, fake, quote, trade
from tests.connector.test_reload import hang_up, running
from tests.connector.world import World, changed, subscribed
from tests.proxy import proxy
from tests.waiting import wait_until

KINDS = ("trade", "quote", "book", "delta")
CHANNELS = {"trade": "trades", "quote": "quotes", "book": "book", "delta": "book"}


@pytest.fixture(autouse=True)
def _all_kinds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue has a channel for each kind."""
    monkeypatch.setitem(VENUES, "fake", fake(endpoint(channels=CHANNELS)))
    world.settings = changed(world.settings, kinds=KINDS)


async def send_one_of_each(world: World, number: int, symbol: str = "AAAUSD") -> None:
    """Send one event of each kind."""
    peer = world.server.peer
    await peer.send(trade(symbol, number), quote(symbol, str(number), "1000"), book(symbol, 100, snap=True), book(symbol, 101))


async def has_all(world: World, count: int, name: str = "AAA-USD") -> bool:
    """Return whether there are `count` events of each kind."""
    return all([await world.has(f"{kind}:{name}", count) for kind in KINDS])


async def gaps(world: World, name: str = "AAA-USD") -> dict[str, list[Gap]]:
    """Return the gaps by kind."""
    found: dict[str, list[Gap]] = {}
    for event in await world.stream(f"gap:{name}"):
        assert isinstance(event, Gap)
        found.setdefault(event.kind, []).append(event)
    return found


def boundary(events: list[AnyEvent]) -> tuple[Event, Event]:
    """Return the last event of the first process, and the first of the second."""
    first, second = sorted({event.epoch for event in events})
    return [event for event in events if event.epoch == first][-1], next(event for event in events if event.epoch == second)


async def test_a_gap_of_every_kind_from_the_last_event_to_the_first(world: World) -> None:
    """It does not matter how the first process ended. A third start makes another gap, which begins where the second ended."""
    async with world.running():
        await subscribed(world.server, 1)
        await wait_until(lambda: len(world.server.peer.requests) == 3, what="all channels")
        await send_one_of_each(world, 1)
        await wait_until(lambda: has_all(world, 1), what="all kinds")
    assert await gaps(world) == {}
    async with world.running():
        await subscribed(world.server, 2)
        await wait_until(lambda: len(world.server.peer.requests) == 3, what="all channels")
        await send_one_of_each(world, 4)
        await wait_until(lambda: world.has("gap:AAA-USD", 4), what="a gap of each kind")
        await send_one_of_each(world, 5)
        await wait_until(lambda: has_all(world, 3), what="it goes on")
    found = await gaps(world)
    assert {kind: len(told) for kind, told in found.items()} == dict.fromkeys(KINDS, 1)
    for kind, (gap,) in found.items():
        last, first = boundary(await world.stream(f"{kind}:AAA-USD"))
        assert (gap.from_ts, gap.to_ts) == (last.received_ts, first.received_ts), kind
        assert (gap.cause, gap.missed) == (GapCause.DISCONNECT, 2 if kind == "trade" else None)


async def test_the_venues_sign_of_life_has_a_gap_too(world: World) -> None:
    """It comes before the first new status, and only if there was a status before."""
    for number in (1, 2):
        async with world.running():
            await subscribed(world.server, number)
            await wait_until(lambda number=number: world.has("venue:fake", 3 * number), what="signs of life")  # type: ignore[misc]
    events = await world.stream("venue:fake")
    (gap,) = [event for event in events if isinstance(event, Gap)]
    last, first = boundary([event for event in events if isinstance(event, Status)])
    assert (gap.instrument, gap.kind, gap.missed) == (VENUE_WIDE, "status", None)
    assert (gap.from_ts, gap.seq, gap.epoch) == (last.received_ts, 1, first.epoch)
    assert gap.to_ts <= first.received_ts


async def test_an_instrument_that_is_new_has_no_gap_and_one_that_comes_back_has(world: World) -> None:
    """Also while the connector runs: a removed instrument had no connection."""
    steps = iter([("BBB-USD",), ("BBB-USD", "AAA-USD")])
    async with running(world, lambda: changed(world.settings, instruments=next(steps))):
        await subscribed(world.server, 1)
        await wait_until(lambda: len(world.server.peer.requests) == 3, what="all channels")
        await send_one_of_each(world, 1)
        await wait_until(lambda: world.has("delta:AAA-USD", 2), what="all kinds")
        hang_up()
        await wait_until(lambda: ("book", "BBBUSD") in world.server.peer.asked("subscribe"), what="the other is subscribed")
        await send_one_of_each(world, 1, "BBBUSD")
        await wait_until(lambda: world.has("delta:BBB-USD", 2), what="all kinds of the other")
        hang_up()
        await wait_until(lambda: world.server.peer.asked("subscribe").count(("book", "AAAUSD")) == 1, what="subscribed again")
        await send_one_of_each(world, 2)
        await wait_until(lambda: world.has("quote:AAA-USD", 3), what="it goes on")
        await wait_until(lambda: world.has("gap:AAA-USD", 3), what="gaps of what has no numbers")
    assert await gaps(world, "BBB-USD") == {}
    assert {kind: len(told) for kind, told in (await gaps(world)).items()} == {"quote": 1, "book": 1, "delta": 1}


async def test_trimmed_events_are_no_gap(world: World) -> None:
    """Entries that are no events are ignored, and the connector works."""
    await world.client.hset("tape:last:quote:AAA-USD", "fake", "no event")
    await world.client.set("tape:last:book:AAA-USD", "no hash")
    async with world.running():
        await subscribed(world.server, 1)
        await wait_until(lambda: len(world.server.peer.requests) == 3, what="all channels")
        await send_one_of_each(world, 1)
        await wait_until(lambda: world.has("delta:AAA-USD", 2), what="all kinds")
    assert await gaps(world) == {}


async def test_spooled_events_are_no_gap(world: World, valkey: str) -> None:
    """They are published before the tape is read, so the gap begins after them.

    Quotes and books are not spooled: their gap begins earlier.
    """
    async with proxy(valkey) as network:
        bus = msgspec.structs.replace(world.settings.bus, url=network.url, pending=100)
        world.settings = msgspec.structs.replace(world.settings, bus=bus, run=msgspec.structs.replace(world.settings.run, drain_s=0.2))
        async with world.running():
            await subscribed(world.server, 1)
            await wait_until(lambda: len(world.server.peer.requests) == 3, what="all channels")
            await send_one_of_each(world, 1)
            await wait_until(lambda: has_all(world, 1), what="all kinds")
            await wait_until(lambda: world.has("delta:AAA-USD", 2), what="both changes")
            network.refusing = True
            network.cut()
            for number in range(2, 60):
                await world.server.peer.send(trade("AAAUSD", number), quote("AAAUSD", str(number), "1000"), book("AAAUSD", 100 + number))
            await wait_until(lambda: _received(world) >= 57, what="all is read")
        network.refusing = False
        async with world.running():
            await subscribed(world.server, 2)
            await wait_until(lambda: len(world.server.peer.requests) == 3, what="all channels")
            await send_one_of_each(world, 70)
            await wait_until(lambda: world.has("gap:AAA-USD", 4), what="a gap of each kind")
            await wait_until(lambda: world.has("trade:AAA-USD", 60), what="the next trade")
    found = await gaps(world)
    trades = await world.stream("trade:AAA-USD")
    assert [int(event.trade_id) for event in trades if isinstance(event, Trade)] == [*range(1, 60), 70]
    deltas = [event for event in await world.stream("delta:AAA-USD") if isinstance(event, Delta)]
    spooled = max(event.received_ts for event in deltas if event.sequence == 159)
    assert [(gap.missed, gap.from_ts) for gap in found["trade"]] == [(10, trades[-2].received_ts)]
    assert [gap.from_ts for gap in found["delta"]] == [spooled]
    for kind in ("quote", "book"):
        (gap,) = found[kind]
        assert gap.from_ts < spooled, kind
        assert gap.from_ts in [event.received_ts for event in await world.stream(f"{kind}:AAA-USD")]


def _received(world: World) -> float:
    """Return the trades that the connector has read."""
    value = prometheus_client.REGISTRY.get_sample_value("crosstape_connector_events_total", {"venue": "fake", "kind": "trade"})
    return (value or 0.0) - 1
