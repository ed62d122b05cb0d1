"""Two connectors of one name, started by mistake: one publishes, the other ends, and no supervisor makes them take turns."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from crosstape.runtime.exit_codes import Exit
from crosstape.settings import RunSettings
from crosstape_schemas import Status
from tests.connector.test_service import PROCESS
from tests.connector.world import World
from tests.waiting import wait_until

Start: TypeAlias = Callable[[str], Awaitable[Process]]
CURSOR = "tape:cursor:connector.fake"


@pytest.fixture
async def start(world: World, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts connectors as a supervisor does, each process with a run directory by its name."""
    async with AsyncExitStack() as stack:

        async def one(name: str) -> Process:
            settings = msgspec.structs.replace(world.settings, run=RunSettings(dir=str(tmp_path / name)))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                PROCESS,
                msgspec.json.encode(settings).decode(),
                stderr=asyncio.subprocess.PIPE,
                cwd=Path(__file__).parents[3],
            )
            stack.push_async_callback(end, process)
            return process

        yield one


async def end(process: Process) -> int:
    """Send SIGTERM, and return the exit code."""
    if process.returncode is None:
        process.terminate()
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode


async def epoch(world: World) -> int:
    """Return the epoch of the connector that has the name."""
    return int(await world.client.hget(CURSOR, "epoch") or 0)


async def goes_on(world: World) -> None:
    """Wait until the connector that has the name publishes more statuses."""
    before = int(await world.client.xlen("tape:venue:fake"))
    await wait_until(lambda: world.has("venue:fake", before + 5), what="signs of life")


async def last_words(process: Process) -> str:
    """Return the last line of the log of a process that ends by itself, superseded."""
    _, stderr = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == Exit.SUPERSEDED
    return stderr.decode().splitlines()[-1]


async def test_the_one_that_was_superseded_does_not_take_the_name_back(world: World, start: Start) -> None:
    """It may be started again and again: it ends while the other goes on, and works again when that one has ended."""
    first = await start("first")
    await goes_on(world)
    second = await start("second")
    assert "was started again elsewhere" in await last_words(first)
    await goes_on(world)
    taken = await epoch(world)
    for _ in range(2):
        assert f"its epoch is {taken}, and it goes on writing" in await last_words(await start("first"))
        assert second.returncode is None
        assert await epoch(world) == taken
    await goes_on(world)
    assert await end(second) == Exit.OK

    again = await start("first")
    await wait_until(lambda: _above(world, taken), what="it has the name")
    await goes_on(world)
    assert await end(again) == Exit.OK


async def _above(world: World, taken: int) -> bool:
    return await epoch(world) > taken


async def test_a_lone_connector_after_one_whose_clock_was_ahead(world: World, start: Start) -> None:
    """The clock was two hours ahead: the connector starts and publishes, twice; a second one beside it does not get the name."""
    ahead = time.time_ns() + 2 * 3_600_000_000_000
    await world.client.hset(CURSOR, mapping={"epoch": ahead, "batch": 7})
    for number in (1, 2):
        one = await start("one")
        await wait_until(lambda number=number: _above(world, ahead + number - 1), what="it has the name")  # type: ignore[misc]
        await goes_on(world)
        if number == 2:
            assert f"its epoch is {ahead + 2}, and it goes on writing" in await last_words(await start("two"))
        assert await end(one) == Exit.OK
    statuses = [event for event in await world.stream("venue:fake") if isinstance(event, Status)]
    assert {event.epoch for event in statuses} == {ahead + 1, ahead + 2}
