"""The server fails under three connectors: killed, restarted with and without what it had, away for longer than memory lasts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crosstape_schemas import Gap, GapCause, Trade
from crosstape_simulator.spec import VENUES
from tests.chaos.checker import Bounds
from tests.chaos.place import served
from tests.chaos.rehearse import LIVE_S, Audience
from tests.chaos.stand import Stand, standing
from tests.engines import Embedded
from tests.spools import spooled_bytes
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

BOUNDS = Bounds(fresh_s=20.0)
"""Nothing is published while the server is away."""


@asynccontextmanager
async def connected(path: Path, *, persist: bool, **variables: str) -> AsyncIterator[tuple[Embedded, Stand]]:
    """Three venues that are live on the tape."""
    async with served(path, persist=persist) as (server, place), standing(path, place) as stand:
        await stand.connectors(**variables)
        await alive(stand, 0)
        yield server, stand


async def alive(stand: Stand, since: int) -> None:
    """Wait until all feeds are live with data of after that time."""
    audience = Audience(stand)
    await audience.live(since)
    assert not any(audience.wrong.values()), audience.wrong


async def first_trades(stand: Stand) -> dict[tuple[str, str], int]:
    """The first on the tape, by (venue, instrument)."""
    found: dict[tuple[str, str], int] = {}
    for entry in await stand.follower().more():
        if isinstance(entry.event, Trade):
            found.setdefault((entry.event.venue, entry.event.instrument), int(entry.event.trade_id))
    return found


async def lost(stand: Stand) -> dict[str, int]:
    """Returns how many events gaps report as lost by the server, by kind."""
    found: dict[str, int] = {}
    for entry in await stand.follower().more():
        event = entry.event
        if isinstance(event, Gap) and event.cause is GapCause.BUS:
            found[event.kind] = found.get(event.kind, 0) + (event.missed or 0)
    return found


async def test_a_server_that_was_killed_and_has_its_data(short_path: Path) -> None:
    """Every event is there once: what came meanwhile was published when it was back."""
    async with connected(short_path, persist=True) as (server, stand):
        begun = await first_trades(stand)
        await server.kill()
        await asyncio.sleep(2)  # the outage
        await server.start()
        await alive(stand, time.time_ns())

        assert await stand.violations(BOUNDS, begun=begun) == []
        assert await lost(stand) == {}


async def test_a_server_that_has_lost_everything_gets_the_newest_again(short_path: Path) -> None:
    """Producers send again everything that they remember."""
    async with connected(short_path, persist=False, CROSSTAPE_BUS__RETRANSMIT_S="120") as (server, stand):
        begun = await first_trades(stand)
        await server.kill()
        await server.start()
        await alive(stand, time.time_ns())

        assert await stand.violations(BOUNDS, begun=begun) == []
        assert await lost(stand) == {}


async def test_a_server_that_has_lost_more_than_is_remembered(short_path: Path) -> None:
    """What cannot be published again is reported as gaps, with the exact count of each stream."""
    async with connected(short_path, persist=False, CROSSTAPE_BUS__RETRANSMIT_S="0.5") as (server, stand):
        begun = await first_trades(stand)
        await asyncio.sleep(2)  # more than it remembers
        await server.kill()
        await server.start()
        await alive(stand, time.time_ns())

        async def right() -> bool:
            return not await stand.violations(BOUNDS, begun=begun)

        with contextlib.suppress(AssertionError):
            await wait_until(right, what="losses are told, now and then", timeout_s=LIVE_S)
        assert await stand.violations(BOUNDS, begun=begun) == []
        assert {"trade", "quote", "book", "delta"} <= (await lost(stand)).keys()


async def test_a_server_that_is_away_for_longer_than_memory_lasts(short_path: Path) -> None:
    """Lossless events go through the spool onto the tape, once, in order. Newer prices replace older ones."""
    async with connected(short_path, persist=True, CROSSTAPE_BUS__PENDING="60") as (server, stand):
        begun = await first_trades(stand)
        await server.kill()
        await wait_until(lambda: all(_spooled(short_path, venue) for venue in VENUES), what="all spool", timeout_s=LIVE_S)
        await asyncio.sleep(1)  # some more
        await server.start()
        await alive(stand, time.time_ns())
        await wait_until(lambda: not any(_spooled(short_path, venue) for venue in VENUES), what="the spools are empty", timeout_s=LIVE_S)

        assert await stand.violations(BOUNDS, begun=begun) == []
        assert await lost(stand) == {}


def _spooled(path: Path, venue: str) -> int:
    return spooled_bytes(path / "spool" / f"connector.{venue}")
