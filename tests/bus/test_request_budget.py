"""The limits of venues' requests, shared by the processes of one address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from crosstape.bus import Client, connect
from crosstape.bus.request_budget import BestEffort, RequestBudget
from crosstape.runtime.embedded_server import free_port
from crosstape.settings import BusSettings
from crosstape_schemas import Keys
from tests.waiting import wait_until

KEYS = Keys()


class Limit(NamedTuple):
    """A limit of a venue."""

    name: str = "binance"
    capacity: int = 100
    window_s: float = 60.0


LONG = Limit()


@pytest.fixture
async def bus(client: Redis, valkey: str) -> AsyncIterator[Client]:
    """A client of the bus."""
    async with connect(BusSettings(url=valkey)) as found:
        yield found


def budget(bus: Client, venue: str = "binance", outbound: str = "") -> RequestBudget:
    """Returns the budget of one process."""
    return RequestBudget(bus, KEYS, venue, outbound=outbound)


async def test_a_backfill_gets_what_is_left_of_its_share(bus: Client) -> None:
    """What live connectors spend counts, too; they themselves are never refused."""
    live, past = budget(bus), budget(bus)
    assert await past.reserve(LONG, 20, 0.5) == 0.0
    assert await live.spend(LONG, 25) == 0.0
    wait_s = await past.reserve(LONG, 20, 0.5)
    assert 55 < wait_s <= 62
    assert await past.reserve(LONG, 5, 0.5) == 0.0, "what still fits is given"
    assert await live.spend(LONG, 90) == 0.0, "more than the limit: that is the connector's own business"
    assert await past.reserve(LONG, 1, 1.0) > 0


async def test_a_refused_reservation_counts_nothing(bus: Client) -> None:
    """Asking again and again does not fill the window."""
    past = budget(bus)
    assert await past.reserve(LONG, 40, 0.5) == 0.0
    for _ in range(20):
        assert await past.reserve(LONG, 40, 0.5) > 0
    assert await past.reserve(LONG, 10, 0.5) == 0.0


async def test_a_request_larger_than_the_share_goes_alone(bus: Client) -> None:
    """A share of less than one request lets one through in an empty window, else a backfill would wait for ever."""
    assert await budget(bus).reserve(LONG, 60, 0.5) == 0.0
    assert await budget(bus).reserve(LONG, 60, 0.5) > 0


async def test_in_no_window_more_is_reserved_than_the_share(bus: Client) -> None:
    """Ten processes that ask all the time: a sliding window, not a bucket that lets twice as much through."""
    limit = Limit("fast", 20, 1.0)
    given: list[float] = []

    async def ask() -> None:
        one = budget(bus)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            before = time.monotonic()
            if await one.reserve(limit, 1, 0.5) == 0.0:
                given.append(before)
            await asyncio.sleep(0.003)  # the pace of ten processes that are in a hurry

    await asyncio.gather(*(ask() for _ in range(10)))
    given.sort()
    for first in given:
        assert sum(first <= at < first + 0.95 for at in given) <= 10
    assert len(given) >= 20, "and the share is used"


async def test_what_a_venue_asks_of_one_holds_for_all(bus: Client) -> None:
    """After a 429 or 418 with Retry-After, whoever got it. Then it is over."""
    live, past, other = budget(bus), budget(bus), budget(bus, "kraken")
    await past.hold(LONG, 0.4)
    assert 0 < await live.spend(LONG, 1) <= 0.4
    assert 0 < await past.reserve(LONG, 1, 0.5) <= 0.4
    assert await other.spend(LONG, 1) == 0.0
    await live.hold(LONG, 0.1)
    assert await live.spend(LONG, 1) > 0.1, "a shorter hold does not end a longer one"

    async def over() -> bool:
        return await live.spend(Limit("another"), 0) == 0.0

    await wait_until(over, what="the end of the hold")
    assert await past.reserve(LONG, 1, 0.5) == 0.0


async def test_another_address_has_its_own_limits(bus: Client) -> None:
    """`connector.outbound` names the address."""
    one, other = budget(bus, outbound="a"), budget(bus, outbound="b")
    assert await one.reserve(LONG, 50, 0.5) == 0.0
    await one.hold(LONG, 30.0)
    assert await other.reserve(LONG, 50, 0.5) == 0.0


async def test_keys_expire_by_themselves(client: Redis, bus: Client) -> None:
    """Nothing is left of a venue that nobody asks."""
    limit = Limit("brief", 10, 0.3)
    await budget(bus).spend(limit, 1)
    await budget(bus).hold(limit, 0.2)
    assert set(await client.keys("tape:requests*")) == {KEYS.requests("brief").encode(), KEYS.requests_held("binance").encode()}

    async def gone() -> bool:
        return not await client.keys("tape:requests*")

    await wait_until(gone, what="the keys to expire")


async def test_a_server_that_is_away_costs_a_live_connector_one_call() -> None:
    """It goes on at once, and does not ask again for a while."""
    now = 0.0
    async with connect(BusSettings(url=f"redis://127.0.0.1:{free_port()}", timeout_s=5.0)) as bus:
        live = BestEffort(budget(bus), clock=lambda: now)
        began = time.monotonic()
        assert await live.spend(LONG, 1) == 0.0
        for _ in range(100):
            assert await live.spend(LONG, 1) == 0.0
        assert live.failures == 1
        await live.hold(LONG, 1.0)
        now = 10.0
        assert await live.spend(LONG, 1) == 0.0
        assert live.failures == 3
        assert time.monotonic() - began < 2.0


async def test_a_server_that_hangs_costs_a_live_connector_a_quarter_of_a_second() -> None:
    """Not the whole `bus.timeout_s`; then it is not asked for a while."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(BusSettings(url=f"redis://127.0.0.1:{port}", timeout_s=30.0)) as bus:
            live = BestEffort(budget(bus))
            began = time.monotonic()
            assert [await live.spend(LONG, 1) for _ in range(50)] == [0.0] * 50
            assert 0.2 < time.monotonic() - began < 3.0


async def test_nothing_is_written_on_a_tape_that_the_venue_may_not_belong_on(client: Redis, bus: Client) -> None:
    """What was spent before that is known is counted with the next request."""
    known = False
    live = BestEffort(budget(bus), belongs=lambda: known)
    assert await live.spend(LONG, 30) == 0.0
    await live.hold(LONG, 30.0)
    assert not await client.keys("*")
    known = True
    assert await live.spend(LONG, 1) == 0.0
    assert await budget(bus).reserve(LONG, 19, 0.5) == 0.0
    assert await budget(bus).reserve(LONG, 1, 0.5) > 0


async def test_partitions_keep_both_keys_in_one_slot(bus: Client, client: Redis) -> None:
    """As a script on a cluster needs."""
    keys = Keys("tape", 8)
    await RequestBudget(bus, keys, "binance").spend(LONG, 1)
    assert keys.requests("binance") == "tape:{0}:requests:binance"
    assert keys.requests_held("binance", "home") == "tape:{0}:requests-held:binance:home"
    assert await client.exists("tape:{0}:requests:binance")
