"""Processes killed and connections cut in the middle of 200,000 trades: what is on the tape afterwards, and what it says is missing."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape_schemas import Cbbo, Gap, Quote, Trade
from tests.end_to_end.running import newest, tape
from tests.proxy import proxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("busy")]  # one at a time: they load all processors

SYMBOLS = 20
TRADES = 200_000
RATE = 10_000
AGAIN_S = 30
"""Longest wait. What is promised takes 3 s; a busy machine may need longer to start Python."""
NAMES = [f"COIN{i}-USDT" for i in range(SYMBOLS)]
SETTINGS = """\
[bus]
url = "{bus}"
[run]
dir = "{dir}"
[telemetry]
http_enabled = false
[venues.binance]
instruments = {names}
kinds = ["trade", "quote"]
ws_url = "ws://127.0.0.1:{port}/stream"
rest_url = "http://127.0.0.1:{port}"
"""
SOURCE = Path(__file__).with_name("live_source.py")


class Services:
    """A market that goes on, and our services on it, as processes of their own."""

    def __init__(self, port: int, path: Path, bus: str) -> None:
        self.path = path
        self.bus = bus
        self._port = port
        self._started: list[Process] = []

    async def start(self, *command: str) -> Process:
        """Start one service with the settings of this test."""
        file = self.path / "settings.toml"
        file.write_text(SETTINGS.format(bus=self.bus, dir=self.path, names=json.dumps(NAMES), port=self._port))
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "crosstape_cli", *command, "--settings", str(file))
        self._started.append(process)
        return process

    async def connector(self) -> Process:
        """The connector of the market."""
        return await self.start("connector", "--venue", "binance")

    async def aggregator(self) -> Process:
        """The aggregator."""
        return await self.start("aggregator")

    async def stop(self) -> None:
        """Stop all processes that still run, gracefully."""
        for process in self._started:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), 20)


@asynccontextmanager
async def services(path: Path, bus: str) -> AsyncIterator[Services]:
    """The market runs from the first subscription on."""
    source = await asyncio.create_subprocess_exec(sys.executable, str(SOURCE), str(SYMBOLS), str(TRADES), str(RATE), stdout=PIPE)
    try:
        assert source.stdout is not None
        started = Services(int(await asyncio.wait_for(source.stdout.readline(), 20)), path, bus)
        try:
            yield started
        finally:
            await started.stop()
    finally:
        source.kill()
        await source.wait()


async def at_trade(client: Redis, number: int) -> bool:
    """Whether every symbol's newest trade is at least this one."""
    trades = [await newest(client, "trade", name) for name in NAMES]
    return all(isinstance(trade, Trade) and int(trade.trade_id) >= number for trade in trades)


async def ids(client: Redis, name: str) -> list[int]:
    """Returns the ids of the trades on the tape, in order."""
    return [int(event.trade_id) for event in await tape(client, "trade", name) if isinstance(event, Trade)]


async def market_at(client: Redis) -> Decimal:
    """How far the market was, by the newest quote on the tape: a quote's bid size says it."""
    quotes = [await newest(client, "quote", name) for name in NAMES]
    return max(quote.bid_size or Decimal(0) for quote in quotes if isinstance(quote, Quote))


async def right_again(client: Redis, since: Decimal) -> bool:
    """Whether every instrument's newest consolidated quote is of a market later than `since`, with its leg counting."""
    for name in NAMES:
        quote = await newest(client, "cbbo", name)
        if not isinstance(quote, Cbbo) or quote.bid_size is None or quote.bid_size <= since or quote.venues != 1:
            return False
    return True


async def test_a_killed_connector_leaves_no_trade_twice_and_says_which_are_missing(valkey: str, client: Redis, tmp_path: Path) -> None:
    """Its successor continues after the last trade on the tape. A gap reports the missing trades with their exact count."""
    async with services(tmp_path, valkey) as market:
        await market.aggregator()
        first = await market.connector()
        await wait_until(lambda: at_trade(client, 3_000), what="a third of the trades", timeout_s=60)
        first.kill()
        await first.wait()
        before = await market_at(client)
        await market.connector()
        await wait_until(lambda: right_again(client, before), what="quotes are right again", timeout_s=AGAIN_S)
        await wait_until(lambda: at_trade(client, TRADES // SYMBOLS), what="the last trade", timeout_s=60)
    for name in NAMES:
        found = await ids(client, name)
        assert found == sorted(set(found))
        holes = [(before, after) for before, after in itertools.pairwise(found) if after != before + 1]
        gaps = [event for event in await tape(client, "gap", name) if isinstance(event, Gap) and event.kind == "trade"]
        assert [gap.missed for gap in gaps] == [after - before - 1 for before, after in holes]
        assert len(holes) == 1


async def test_a_killed_aggregator_counts_every_trade_once_again(valkey: str, client: Redis, tmp_path: Path) -> None:
    """Its successor reads the trades of its windows from the tape: volume and count equal those of the tape."""
    async with services(tmp_path, valkey) as market:
        first = await market.aggregator()
        await market.connector()
        await wait_until(lambda: at_trade(client, 3_000), what="a third of the trades", timeout_s=60)
        first.kill()
        await first.wait()
        before = await market_at(client)
        await market.aggregator()
        await wait_until(lambda: right_again(client, before), what="quotes are right again", timeout_s=AGAIN_S)
        await wait_until(lambda: at_trade(client, TRADES // SYMBOLS), what="the last trade", timeout_s=60)
        await wait_until(lambda: counted(client), what="every trade counted")
    for name in NAMES:
        assert await ids(client, name) == list(range(1, TRADES // SYMBOLS + 1))
        seqs = [event.seq for event in await tape(client, "trade", name)]
        assert seqs == list(range(1, len(seqs) + 1))


async def counted(client: Redis) -> bool:
    """Whether the hour's window of every instrument holds exactly the trades of the tape."""
    for name in NAMES:
        quote = await newest(client, "cbbo", name)
        assert isinstance(quote, Cbbo)
        hour = quote.vwap["1h"]
        if hour.trades > TRADES // SYMBOLS:
            raise AssertionError(f"{name}: {hour.trades} trades counted of {TRADES // SYMBOLS}")
        if hour.trades < TRADES // SYMBOLS:
            return False
        assert hour.volume * 2 == TRADES // SYMBOLS
    return True


async def test_cut_connections_to_the_server_lose_and_double_nothing(valkey: str, client: Redis, tmp_path: Path) -> None:
    """Cut, cut halfway through a batch, an answer lost after the batch was written: each trade is there once, none is missing."""
    async with proxy(valkey) as network, services(tmp_path, network.url) as market:
        await market.connector()
        for number, fault in enumerate(("cut", "half a batch", "answer lost", "cut"), 1):
            await wait_until(partial(at_trade, client, 1_500 * number), what=f"trade {1_500 * number}", timeout_s=60)
            match fault:
                case "cut":
                    network.cut()
                case "half a batch":
                    network.cut_after = 10_000
                case _:
                    network.lose_answers = 1
        await wait_until(lambda: at_trade(client, TRADES // SYMBOLS), what="the last trade", timeout_s=60)
        assert network.connections >= 5
    for name in NAMES:
        events = await tape(client, "trade", name)
        assert [int(event.trade_id) for event in events if isinstance(event, Trade)] == list(range(1, TRADES // SYMBOLS + 1))
        assert [event.seq for event in events] == list(range(1, TRADES // SYMBOLS + 1))
        assert not [event for event in await tape(client, "gap", name) if isinstance(event, Gap) and event.kind == "trade"]
