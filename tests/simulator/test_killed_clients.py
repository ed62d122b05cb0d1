"""Clients that are killed: no client can end the market, and a market that ends takes the process with it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import struct
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import aiohttp
import pytest
import uvloop

from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.faults import parse
from crosstape_simulator.market_clock import SyntheticMarket
from crosstape_simulator.service import Simulator, run, simulator
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.venues.registry import VENUES
from tests.simulator.client import ws
from tests.simulator.wire import FEEDS, Feed
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(60)

RATE = 5_000.0
CLIENTS = 12
ROUNDS = 15
FAULTS = (
    "slow-loris rate=500",
    "stall kind=book",
    "delay kind=trade by=0.05",
    "half-open after=1 for=0.3",
    "oversized probability=0.001 count=3 size=200000",
)


async def killed_again_and_again(made: Simulator, feed: Feed, draw: random.Random) -> None:
    """A client subscribes, reads for a moment and is killed: what it has not read is reset, as the kernel does for a killed process."""
    address = ws(made, feed.venue, feed.endpoint)
    for _ in range(ROUNDS):
        try:
            async with aiohttp.ClientSession() as http:
                client = await http.ws_connect(address, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=0.1))
                transport = client.get_extra_info("socket")
                assert transport is not None
                transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                for request in feed.requests:
                    await client.send_json(request)
                until = time.monotonic() + draw.random() * 0.08
                while time.monotonic() < until:
                    await client.receive(timeout=2.0)
                client._writer.transport.abort()
        except (OSError, aiohttp.ClientError, TypeError, TimeoutError, RuntimeError):
            continue  # cut by a fault, or limited: come back


async def under_fire(*faults: str) -> tuple[int, int]:
    """Moves of the market before and after clients of every venue were killed, many times."""
    async with simulator(SimulatorSpec(venues=tuple(VENUES), rate=RATE, options={"binance": {"messages_per_s": 50}})) as made:
        assert made.market is not None
        for text in faults:
            made.faults.add(parse.from_text(text))
        draws = random.Random(7)
        async with asyncio.TaskGroup() as clients:
            for index in range(CLIENTS):
                clients.create_task(killed_again_and_again(made, FEEDS[index % len(FEEDS)], random.Random(draws.random())))
        moves = made.market.moves
        market = made.market
        await wait_until(lambda: market.moves > moves + 100, what="the market goes on")
        return moves, market.moves


@pytest.mark.parametrize("faults", [(), FAULTS], ids=["sound", "faulty"])
def test_killed_clients_do_not_end_the_market(faults: tuple[str, ...]) -> None:
    """On the loop that services run on, whose transports raise once they are closed."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before, after = runner.run(under_fire(*faults))

    assert after > before > 0


async def test_a_market_that_ends_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loudly, with an error of ours that says why: nobody is left with venues that are silent for ever."""

    def broken(self: object) -> None:
        raise ZeroDivisionError("a mistake in the market")

    monkeypatch.setattr(SyntheticMarket, "tick", broken)

    with pytest.raises(SimulatorError, match="the simulated market has ended: ZeroDivisionError: a mistake in the market"):
        await asyncio.wait_for(run(SimulatorSpec()), 20)


BROKEN = """
from crosstape.runtime.lifecycle import main
from crosstape_simulator.service import run
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.market_clock import SyntheticMarket

def broken(self):
    raise ZeroDivisionError("a mistake in the market")

SyntheticMarket.tick = broken
raise SystemExit(main(lambda: run(SimulatorSpec())))
"""


async def test_such_a_process_has_an_exit_code(tmp_path: Path) -> None:
    """1, and its log has the traceback: a supervisor starts it again, and a person finds the mistake."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BROKEN),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=PIPE,
        stderr=STDOUT,
    )

    said, _ = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    assert b"the simulated market has ended: ZeroDivisionError: a mistake in the market" in said
    assert b"in broken" in said


async def test_a_client_that_is_killed_with_sigkill(tmp_path: Path) -> None:
    """A whole process, in the middle of a burst, again and again; the market goes on."""
    async with simulator(SimulatorSpec(venues=tuple(VENUES), rate=RATE)) as made:
        assert made.market is not None
        for feed in FEEDS:
            connects = made.counters(feed.venue).connects
            arguments = [ws(made, feed.venue, feed.endpoint), *(json.dumps(request) for request in feed.requests)]
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", CLIENT, *arguments, cwd=tmp_path, stdout=PIPE)
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), 30)
            assert made.counters(feed.venue).connects == connects + 1
            process.kill()
            await process.wait()
        market, moves = made.market, made.market.moves
        await wait_until(lambda: market.moves > moves + 1_000, what="the market goes on")
        await wait_until(lambda: all(server.counters.clients == 0 for server in made.servers.values()), what="the clients are forgotten")


CLIENT = """
import asyncio, sys, aiohttp

async def main(url, *requests):
    async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
        for request in requests:
            await socket.send_str(request)
        for _ in range(50):
            await socket.receive()
        print("reads", flush=True)
        while True:
            await asyncio.sleep(0.01)
            await socket.receive()

asyncio.run(main(*sys.argv[1:]))
"""
