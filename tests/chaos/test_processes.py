"""Our own processes fail: they are killed, or stopped for so long that another process has replaced them."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from crosstape_schemas import CONSOLIDATED, Bar, Cbbo, Gap, GapCause
from crosstape_simulator.spec import VENUES
from tests.chaos.checker import Bounds
from tests.chaos.place import served
from tests.chaos.stand import INSTRUMENTS, Stand, standing
from tests.chaos.test_server import BOUNDS, alive, first_trades
from tests.power import forget, written
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

AGAIN_S = 60.0
UNSYNCED_S = 1.0
"""Seconds of data that a server with `appendfsync everysec` may lose when its machine loses power."""


async def quoted(stand: Stand) -> dict[str, list[Cbbo]]:
    """Returns all consolidated quotes on the tape, by instrument."""
    found: dict[str, list[Cbbo]] = {name: [] for name in INSTRUMENTS}
    for entry in await stand.follower().more():
        if isinstance(entry.event, Cbbo):
            found[entry.event.instrument].append(entry.event)
    return found


async def quotes_of(stand: Stand, epochs: int) -> None:
    """Wait until the newest consolidated quotes include all venues, and `epochs` aggregators have published quotes."""

    async def so() -> bool:
        return all(
            bool(quotes) and quotes[-1].venues == len(VENUES) and len({quote.epoch for quote in quotes}) == epochs
            for quotes in (await quoted(stand)).values()
        )

    await wait_until(so, what=f"quotes of {epochs} epochs", timeout_s=AGAIN_S)


async def bars_of(stand: Stand, since: int) -> None:
    """Wait until a bar that opened after that time is closed, of each instrument."""

    async def so() -> bool:
        bars = [entry.event for entry in await stand.follower().more() if isinstance(entry.event, Bar) and entry.event.closed]
        return {bar.instrument for bar in bars if bar.venue == CONSOLIDATED and bar.open_ts > since} >= set(INSTRUMENTS)

    await wait_until(so, what="new bars", timeout_s=AGAIN_S)


async def test_killed_connectors_leave_gaps_that_count(short_path: Path) -> None:
    """All three are killed at once. Their successors continue after the last trade on the tape."""
    async with served(short_path) as (_, place), standing(short_path, place) as stand:
        killed = await stand.connectors()
        await alive(stand, 0)
        for process in killed.values():
            process.kill()
            await process.wait()
        await stand.connectors()
        await alive(stand, time.time_ns())

        assert await stand.violations(Bounds()) == []
        gaps = [entry.event for entry in await stand.follower().more() if isinstance(entry.event, Gap)]
        assert {gap.cause for gap in gaps} <= {GapCause.DISCONNECT}
        assert {gap.venue for gap in gaps if gap.kind == "trade"} >= {"binance", "coinbase"}


async def test_a_machine_that_loses_power(short_path: Path) -> None:
    """Server and services die at the same moment, and the server loses its newest second. Gaps report exactly what is lost."""
    async with served(short_path, persist=True) as (server, place), standing(short_path, place) as stand:
        killed = [*(await stand.connectors()).values(), await stand.start("aggregator")]
        await alive(stand, 0)
        await quotes_of(stand, 1)
        begun = await first_trades(stand)
        synced = written(short_path)
        await asyncio.sleep(UNSYNCED_S)
        for process in killed:
            process.kill()
        await server.kill()
        forget(short_path, synced)
        for process in killed:
            await process.wait()
        await server.start()
        await stand.connectors()
        await stand.start("aggregator")
        await alive(stand, time.time_ns())
        await quotes_of(stand, 2)
        await bars_of(stand, time.time_ns())

        assert await stand.violations(BOUNDS, begun=begun) == []
        gaps = [entry.event for entry in await stand.follower().more() if isinstance(entry.event, Gap)]
        assert {gap.cause for gap in gaps} <= {GapCause.DISCONNECT}
        assert {gap.venue for gap in gaps if gap.kind == "trade"} >= {"binance", "coinbase"}


async def test_aggregators_that_are_killed_or_stopped_are_replaced(short_path: Path) -> None:
    """The standby replaces the one that was killed, and another one the standby that was stopped; when that wakes up it is refused.

    Every quote of each can be explained, and no epoch comes back. Each bar is there once and has the trades of the market, also those that
    closed while nobody served.
    """
    async with served(short_path) as (_, place), standing(short_path, place) as stand:
        await stand.connectors()
        first = await stand.start("aggregator")
        await quotes_of(stand, 1)
        await bars_of(stand, 0)
        second = await stand.start("aggregator")
        first.kill()
        await first.wait()
        await quotes_of(stand, 2)
        await stand.start("aggregator")
        second.send_signal(signal.SIGSTOP)
        await quotes_of(stand, 3)
        woken = {name: len(quotes) for name, quotes in (await quoted(stand)).items()}
        second.send_signal(signal.SIGCONT)

        async def more() -> bool:
            return all(len(quotes) > woken[name] + 20 for name, quotes in (await quoted(stand)).items())

        await wait_until(more, what="quotes go on", timeout_s=AGAIN_S)
        await bars_of(stand, time.time_ns())
        assert await stand.violations(Bounds()) == []
        assert stand.checked["bar"] > stand.checked["complete bar"] > 0
