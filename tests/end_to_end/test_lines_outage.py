"""Two replicas of one venue whose server is away, stopped, or has lost all data: which one publishes, and what is on the tape then."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.place import served
from tests.chaos.stand import Stand, standing
from tests.end_to_end.lines import LONG_S, Lines, other
from tests.engines import Embedded
from tests.spools import spooled_bytes
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("busy lines")]  # one at a time: they load all processors

LEASE_S = 2.0


@asynccontextmanager
async def two(path: Path, *, persist: bool = True, **variables: str) -> AsyncIterator[tuple[Embedded, Lines, str]]:
    """Runs a server and both replicas until both are healthy. Yields also the name of the one that publishes."""
    async with served(path, persist=persist) as (server, place), standing(path, place, venues=["kraken"]) as stand:
        lines = Lines(stand, "kraken")
        environ = {
            "CROSSTAPE_CONNECTOR__LEASE_S": str(LEASE_S),
            "CROSSTAPE_BUS__PENDING": "600",
            "CROSSTAPE_BUS__BATCH": "100",
            **variables,
        }
        yield server, lines, await lines.both(**environ)


def spooled(path: Path, line: str) -> int:
    """Returns the bytes in the spool of one replica."""
    return spooled_bytes(path / "spool" / f"connector.kraken.{line}")


async def happens(stand: Stand, trades: int) -> None:
    """Wait until the market has made this many more trades, whether anyone receives them or not."""
    await stand.market.more()
    true = stand.market.of["kraken", "BTC-USDT"].trades
    until = max(true, default=0) + trades

    async def so() -> bool:
        await stand.market.more()
        return max(true, default=0) >= until

    await wait_until(so, what=f"{trades} trades", timeout_s=LONG_S)


@asynccontextmanager
async def paused(stand: Stand) -> AsyncIterator[None]:
    """The server is stopped in the middle of its work; its connections stay open."""
    pid = int((await stand.place.client.info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_server_that_is_away_moves_nothing(short_path: Path) -> None:
    """The outage is longer than a lease, and memory is used up: the active replica keeps its spool, and the other one lets it publish."""
    async with two(short_path) as (server, lines, line):
        await server.kill()
        await wait_until(lambda: spooled(short_path, line), what="it spools", timeout_s=LONG_S)
        await happens(lines.stand, 200)
        await server.start()
        await lines.active(line)
        assert await lines.ready() == line
        await lines.check()
        assert await lines.epochs() == 1


async def test_a_server_that_comes_back_empty_moves_nothing(short_path: Path) -> None:
    """All leases are lost, though nobody released them: the active replica takes its lease again, and publishes the lost data again."""
    async with two(short_path, persist=False, CROSSTAPE_BUS__RETRANSMIT_S="120") as (server, lines, line):
        await server.kill()
        await server.start()
        await lines.active(line)
        assert await lines.ready() == line
        await lines.check()
        assert await lines.epochs() == 1


async def test_a_server_that_was_stopped_moves_nothing(short_path: Path) -> None:
    """The clock of the server continued, so the lease has expired when it wakes."""
    async with two(short_path) as (_, lines, line):
        async with paused(lines.stand):
            await happens(lines.stand, 200)
        await lines.active(line)
        assert await lines.ready() == line
        await lines.check()
        assert await lines.epochs() == 1


async def test_one_that_is_killed_while_the_server_is_stopped(short_path: Path) -> None:
    """The other has held all that was read meanwhile; nothing is missing."""
    async with two(short_path) as (_, lines, line):
        async with paused(lines.stand):
            await happens(lines.stand, 50)
            await lines.end(line, signal.SIGKILL)
            await happens(lines.stand, 50)
        await lines.active(other(line))
        await lines.start(line)
        assert await lines.ready() == other(line)
        await lines.check()
        assert await lines.epochs() == 2


async def test_a_spool_that_another_line_has_gone_past_is_not_used(short_path: Path) -> None:
    """Killed in an outage, it leaves a spool; the other holds the same, and has published it by the time that line publishes again."""
    async with two(short_path) as (server, lines, line):
        await server.kill()
        await wait_until(lambda: spooled(short_path, line), what="it spools", timeout_s=LONG_S)
        await lines.end(line, signal.SIGKILL)
        left = spooled(short_path, line)
        await server.start()
        await lines.active(other(line))
        await lines.start(line)
        assert await lines.ready() == other(line)
        await lines.end(other(line), signal.SIGKILL)
        await lines.active(line)
        assert left > 0
        assert spooled(short_path, line) == 0
        await lines.check()
        assert await lines.epochs() == 3
