"""Faults of connections, seen from a bare socket."""

from __future__ import annotations

import asyncio
import struct
import time

import pytest

from crosstape_simulator.faults.active import State
from crosstape_simulator.service import Simulator
from tests.simulator.client import ws
from tests.simulator.wire import BINANCE, CLOSE, FEEDS, IDS, KEY, KRAKEN, Feed, Wire, books, clean, hung_up, rig, wired
from tests.waiting import wait_until

every_feed = pytest.mark.parametrize("feed", FEEDS, ids=IDS)
SILENCE_S = 1.5
"""Heartbeats would come in this time."""


def address(made: Simulator, feed: Feed) -> str:
    """Where to connect again."""
    return ws(made, feed.venue, feed.endpoint)


async def silence(wire: Wire) -> None:
    """Not a byte for a while, and the connection is open."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), SILENCE_S)


@every_feed
async def test_cut_connections_end_without_a_word(feed: Feed) -> None:
    """No close frame; a new connection is let in at once."""
    async with rig(feed) as one:
        await one.subscribe()
        running = one.set("cut")
        assert await one.wire.ended() is None
        assert (running.acted, running.state) == (1, State.ENDED)
        async with wired(address(one.made, feed)) as wire:
            wire.send({"nonsense": True})
            assert await wire.message()


@every_feed
async def test_an_outage_cuts_new_connections_too(feed: Feed) -> None:
    """Until it ends."""
    async with rig(feed) as one:
        running = one.set("cut for=3600")
        assert await one.wire.ended() is None
        with pytest.raises((OSError, EOFError)):
            async with wired(address(one.made, feed)):
                pass
        assert running.acted == 2
        one.made.faults.remove(running.id)
        async with wired(address(one.made, feed)):
            pass


@every_feed
async def test_a_half_open_connection_says_nothing(feed: Feed) -> None:
    """Not to data, not to a ping, a request or a close; the same for a new one, after its handshake. It is cut at the end."""
    async with rig(feed) as one:
        await one.subscribe()
        running = one.set("half-open")
        async with wired(address(one.made, feed)) as other:
            for wire in (one.wire, other):
                wire.send(b"are you there", 0x89)
                wire.send(feed.requests[0])
                wire.send(struct.pack(">H", 1000), CLOSE)
            one.made.advance(5.0)
            await asyncio.gather(silence(one.wire), silence(other))
            assert running.acted == 2
            one.made.faults.remove(running.id)
            assert (await one.wire.ended(), await other.ended()) == (None, None)


@every_feed
async def test_even_the_handshake_can_be_left_unanswered(feed: Feed) -> None:
    """TCP connects, HTTP says nothing, until the fault's end."""
    async with rig(feed) as one:
        running = one.set("half-open at=handshake")
        reader, writer = await asyncio.open_connection(*one.made.servers[feed.venue].base.split(":"))
        path = next(e.path for e in one.made.servers[feed.venue].endpoints if e.name == feed.endpoint)
        headers = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\n{headers}Sec-WebSocket-Key: {KEY}\r\n\r\n".encode())
        await silence(Wire(reader, writer))
        one.made.faults.remove(running.id)
        assert await Wire(reader, writer).ended() is None
        await hung_up(writer)


@every_feed
async def test_connections_are_closed_with_a_code(feed: Feed) -> None:
    """And a reason, after what was sent before."""
    async with rig(feed) as one:
        await one.subscribe()
        one.made.advance(1.0)
        one.set("close code=1013 reason='try again later'")
        payload = await one.wire.ended()
        assert payload is not None
        assert (struct.unpack(">H", payload[:2])[0], payload[2:]) == (1013, b"try again later")


@every_feed
async def test_a_connection_is_closed_when_it_is_old(feed: Feed) -> None:
    """Each at its own age, with the code that was asked for."""
    async with rig(feed) as one:
        await one.subscribe()
        began = time.monotonic()
        one.set("lifetime at=1 code=1001")
        assert await one.wire.ended() == struct.pack(">H", 1001)
        async with wired(address(one.made, feed)) as wire:
            wire.send(feed.requests[0])
            assert await wire.ended() == struct.pack(">H", 1001)
        assert time.monotonic() - began >= 1.0


@every_feed
async def test_frames_can_come_byte_by_byte(feed: Feed) -> None:
    """The same bytes, but slowly: one frame is begun and not complete for long. At the end the rest comes at once."""
    sound = await clean(feed)
    async with rig(feed) as one:
        await one.subscribe()
        began = time.monotonic()  # a slow machine needs a part of the time for the market
        running = one.set("slow-loris rate=40")
        one.made.advance(1.0)
        one.made.advance(1.0)
        one.made.advance(1.0)
        one.wire.begun = await one.wire.reader.readexactly(20)
        assert time.monotonic() - began > 0.3
        one.made.faults.remove(running.id)
        assert await one.sent() == sound


async def test_a_slow_connection_is_cut_when_too_much_waits() -> None:
    """Its bound is that of any client who does not read."""
    async with rig(KRAKEN, buffer_bytes=50_000) as one:
        await one.subscribe()
        one.set("slow-loris rate=1")
        one.made.advance(200.0)
        assert await one.wire.ended() is None
        assert one.made.counters("kraken").slow == 1


async def test_a_fault_waits_for_its_time_and_ends_by_itself() -> None:
    """`after` seconds from when it was set, for `for` seconds."""
    async with rig(BINANCE) as one:
        await one.subscribe()
        running = one.set("drop count=0 after=0.5 for=0.5")
        assert running.state is State.WAITING
        assert books(await one.flow(1.0, 1), BINANCE)
        await wait_until(lambda: running.state is State.ACTIVE, what="it begins")
        assert not books(await one.flow(1.0, 1), BINANCE)
        await wait_until(lambda: running.state is State.ENDED, what="it ends")
        assert books(await one.flow(1.0, 1), BINANCE)


async def test_kraken_says_that_it_is_under_maintenance() -> None:
    """As its status, to who is there and to who comes; at the end it is online."""
    async with rig(KRAKEN) as one:
        assert '"system":"online"' in await one.wire.text()
        running = one.set("maintenance system=cancel_only")
        assert '"system":"cancel_only"' in await one.wire.text()
        async with wired(address(one.made, KRAKEN)) as wire:
            assert '"system":"cancel_only"' in await wire.text()
        one.made.faults.remove(running.id)
        assert '"system":"online"' in await one.wire.text()


async def test_binance_announces_its_shutdown() -> None:
    """Once, in its own words; that is all there is to it."""
    async with rig(BINANCE) as one:
        await one.subscribe()
        running = one.set("maintenance")
        assert (await one.wire.text()).startswith('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":')
        assert (running.acted, running.state) == (1, State.ENDED)


@pytest.mark.parametrize("feed", FEEDS[1:3], ids=IDS[1:3])
async def test_coinbases_products_are_offline(feed: Feed) -> None:
    """On the channel for it, and online again at the end."""
    async with rig(feed) as one:
        one.wire.send({"type": "subscribe", "channel": "status", "channels": ["status"], "product_ids": ["BTC-USDT"]})

        async def status() -> str:
            text = await one.wire.text()
            while '"status_message"' not in text:
                text = await one.wire.text()
            return text

        assert '"status":"online"' in await status()
        running = one.set("maintenance")
        told = await status()
        assert ('"status":"offline"' in told, '"status":"online"' in told) == (True, False)
        one.made.faults.remove(running.id)
        assert '"status":"online"' in await status()
