"""The examples do what they say, against a real server."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape_schemas import CONSOLIDATED, Cbbo, FeedState, Keys, Leg, Market, Vwap, encode

EXAMPLES = Path(__file__).parents[2] / "examples"
STREAM = Keys().stream("cbbo", "BTC-USDT")


def leg(venue: str, bid: str, ask: str) -> Leg:
    """A live leg that counts."""
    return Leg(venue, Decimal(bid), Decimal(1), Decimal(ask), Decimal(1), 1, FeedState.LIVE, None, 1, 1)


QUOTE = Cbbo(
    venue=CONSOLIDATED, instrument="BTC-USDT", venue_ts=None, received_ts=1, ts=1, bid_price=Decimal("101.5"), bid_size=Decimal(1),
    bid_venues=("kraken",), ask_price=Decimal(101), ask_size=Decimal(1), ask_venues=("binance",), mid=Decimal("101.25"),
    spread=Decimal("-0.5"), spread_bps=Decimal("-49.38"), market=Market.CROSSED, venues=2, vwap={"1m": Vwap(Decimal(100), Decimal(5), 3)},
    legs=(leg("binance", "100", "101"), leg("kraken", "101.5", "102")), epoch=1, seq=1,
)  # fmt: skip


async def publish(client: Redis, quote: Cbbo) -> None:
    """As the bus does: stream, channel, last value."""
    data = encode(quote)
    await client.xadd(STREAM, {"d": data})
    await client.hset(Keys().last("cbbo", quote.instrument), CONSOLIDATED, data)
    await client.publish(STREAM, data)


@asynccontextmanager
async def example(*command: str) -> AsyncIterator[Process]:
    """The running example, ended with the block."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, start_new_session=True)
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # a pipeline is several processes
        await process.communicate()


async def line(process: Process) -> str:
    """What it says next."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


@pytest.mark.parametrize("name", ["crossed.sh", "edges.py", "above_vwap.py"])
def test_an_example_is_short(name: str) -> None:
    """Under 40 lines, or it is not an example."""
    assert len((EXAMPLES / name).read_text().splitlines()) < 40


async def test_edges_with_plain_redis(client: Redis, valkey: str) -> None:
    """Buy where it is asked for least, sell where it is bid for most."""
    await publish(client, QUOTE)

    async with example(sys.executable, str(EXAMPLES / "edges.py"), valkey, "--from-start") as process:
        assert await line(process) == "BTC-USDT: buy on binance, sell on kraken: 0.5"


async def test_above_vwap_with_the_reader(client: Redis, valkey: str) -> None:
    """It begins with the last value, and follows the tape from there."""
    await publish(client, QUOTE)

    async with example(sys.executable, str(EXAMPLES / "above_vwap.py"), valkey) as process:
        assert await line(process) == "BTC-USDT 101.25 is above 100, paid over 3 trades"
        await publish(client, msgspec.structs.replace(QUOTE, mid=Decimal(99), seq=2))
        assert await line(process) == "BTC-USDT 99 is below 100, paid over 3 trades"


REDIS_CLI = """#!/bin/sh
# What `redis-cli --raw PSUBSCRIBE` prints for a subscription and two messages, then waits as it does.
[ "$*" = "-s /sock --raw PSUBSCRIBE tape:cbbo:*" ] || exit 1
printf 'psubscribe\\ntape:cbbo:*\\n1\\n'
printf 'pmessage\\ntape:cbbo:*\\ntape:cbbo:BTC-USDT\\n%s\\n' '{normal}' '{crossed}'
exec sleep 60
"""


async def test_crossed_with_redis_cli(tmp_path: Path) -> None:
    """A crossed market is told in a line; redis-cli itself need not be installed to know it."""
    normal = encode(msgspec.structs.replace(QUOTE, market=Market.NORMAL)).decode()
    stub = tmp_path / "redis-cli"
    stub.write_text(REDIS_CLI.format(normal=normal, crossed=encode(QUOTE).decode()))
    stub.chmod(0o755)

    async with example("env", f"PATH={tmp_path}:{os.environ['PATH']}", str(EXAMPLES / "crossed.sh"), "-s", "/sock") as process:
        assert await line(process) == "BTC-USDT crossed by -49.38 bps"


def snippets() -> list[str]:
    """The Python of the README."""
    return re.findall(r"```python\n(.*?)```", (EXAMPLES.parent / "README.md").read_text(), re.DOTALL)


async def test_the_readmes_snippets_run(client: Redis, valkey: str, tmp_path: Path) -> None:
    """As they stand, but for the server's address and where the first begins to read."""
    plain, typed = snippets()
    await publish(client, QUOTE)
    for code, expected in (
        (plain.replace("redis.Redis(), ", f"redis.Redis.from_url({valkey!r}), ").replace('"$"', '"0"'), "101.5 101 ['binance', 'kraken']"),
        (typed.replace("redis://localhost", valkey), "Cbbo(venue='consolidated', instrument='BTC-USDT'"),
    ):
        assert valkey in code
        file = tmp_path / "snippet.py"
        file.write_text(code)
        async with example(sys.executable, "-u", str(file)) as process:
            assert expected in await line(process)
