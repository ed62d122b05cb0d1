"""Limits of the attempts to connect, over all connections of a venue."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
from aiohttp import web

from crosstape_connector.connection.connect_budget import ConnectBudget
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import ConnectLimit
from tests.connector.fake_venue import endpoint, fake, serving
from tests.connector.rig import rigged
from tests.waiting import wait_until


@pytest.mark.parametrize(("name", "attempts", "window_s"), [("binance", 300, 300.0), ("coinbase", 8, 1.0), ("kraken", 150, 600.0)])
def test_a_venues_budget_is_as_it_states(name: str, attempts: int, window_s: float) -> None:
    """The rates of its endpoints do not exceed our part of the budget."""
    venue = VENUES[name]
    assert venue.connects == ConnectLimit(attempts, window_s)
    assert sum(one.connects_per_s for one in venue.endpoints) <= attempts / window_s


async def test_all_endpoints_share_the_budget_and_waits_are_counted() -> None:
    """We use half of the venue's limit: two of four attempts. The third waits for the window."""
    venue = msgspec.structs.replace(fake(endpoint("a", {"trade": "t"}), endpoint("b", {"quote": "q"})), connects=ConnectLimit(4, 0.5))
    counters = Counters()
    connects = ConnectBudget(venue, counters)
    started = time.monotonic()
    await connects.wait_turn("a")
    await connects.wait_turn("b")
    assert counters.endpoints["b"].connect_waits == 0
    await connects.wait_turn("b")
    assert time.monotonic() - started >= 0.49
    assert counters.endpoints["b"].connect_waits == 1
    assert counters.endpoints["b"].connect_wait_seconds > 0


async def test_no_window_ever_holds_more_than_the_budget() -> None:
    """Any number of attempts may wait at once."""
    venue = msgspec.structs.replace(fake(), connects=ConnectLimit(6, 0.2))
    connects = ConnectBudget(venue, Counters())
    at: list[float] = []

    async def attempt() -> None:
        await connects.wait_turn("main")
        at.append(time.monotonic())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(10):
            tasks.create_task(attempt())
    at.sort()
    # A task may be late in its window and early in the next: what is asked for is when it may go, so a hair's breadth is left.
    assert all(later - first >= 0.15 for first, later in zip(at, at[3:], strict=False))


async def test_a_retry_after_holds_all_connections_of_the_venue() -> None:
    """The venue asks one of two connections to wait, and both wait."""
    async with serving() as server, rigged(server, fake(endpoint(topics=1))) as rig:
        server.refuse_connections.append(web.Response(status=429, headers={"Retry-After": "1"}))
        started = time.monotonic()
        async with rig.supervised():
            await wait_until(lambda: len(server.peers) == 1, what="the other was on its way already")
            await wait_until(lambda: rig.counters.endpoints["main"].lost == 1, what="refused")
            server.peer.cut()
            await wait_until(lambda: len(server.peers) >= 2, what="one of them is back")
            assert time.monotonic() - started > 0.9
            await wait_until(lambda: len(server.peers) == 3, what="both are back")
            assert rig.counters.endpoints["main"].connect_waits >= 1
