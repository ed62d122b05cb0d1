"""The examples do what they say, against a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Cbbo, Exclusion, FeedState, Keys, Leg, Market, Status, Vwap, encode

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
    """Writes a quote as the bus does: stream, channel, last value."""
    data = encode(quote)
    await client.xadd(STREAM, {"d": data})
    await client.hset(Keys().last("cbbo", quote.instrument), CONSOLIDATED, data)
    await client.publish(STREAM, data)


async def publish_life(client: Redis, epoch: int, seq: int) -> None:
    """An aggregator's sign of life."""
    status = Status(CONSOLIDATED, VENUE_WIDE, None, time.time_ns(), VENUE_WIDE, FeedState.LIVE, epoch=epoch, seq=seq)
    await client.xadd(Keys().venue(CONSOLIDATED), {"d": encode(status)})


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


async def line(process: Process, *, error: bool = False) -> str:
    """Returns the next line of the program's output."""
    stream = process.stderr if error else process.stdout
    assert stream is not None
    return (await asyncio.wait_for(stream.readline(), 30)).decode().strip()


@pytest.mark.parametrize("name", [path.name for path in EXAMPLES.iterdir() if path.is_file()])
def test_an_example_is_short(name: str) -> None:
    """An example has fewer than 120 lines."""
    assert len((EXAMPLES / name).read_text().splitlines()) < 120


async def test_edges_with_plain_redis(client: Redis, valkey: str) -> None:
    """Buy where it is asked for least, sell where it is bid for most; a leg that is excluded has no part in it."""
    await publish(
        client, msgspec.structs.replace(QUOTE, legs=(QUOTE.legs[0], msgspec.structs.replace(QUOTE.legs[1], excluded=Exclusion.SUSPECT)))
    )
    await publish(client, QUOTE)

    async with example(sys.executable, str(EXAMPLES / "edges.py"), valkey, "--from-start") as process:
        assert await line(process) == "BTC-USDT: buy on binance, sell on kraken: 0.5"


async def test_an_edge_of_a_dead_aggregator_is_said_to_be_not_current(client: Redis, valkey: str) -> None:
    """The edge is reported three seconds after the last sign of life."""
    await publish(client, QUOTE)

    async with example(sys.executable, str(EXAMPLES / "edges.py"), valkey, "--from-start") as process:
        assert await line(process) == "BTC-USDT: buy on binance, sell on kraken: 0.5"
        assert await line(process, error=True) == "BTC-USDT: not current: its aggregator has been silent for 3 s"


async def test_above_vwap_with_the_reader(client: Redis, valkey: str) -> None:
    """It starts with the last value if the aggregator is alive, and follows the tape from there until the aggregator is silent."""
    await publish(client, QUOTE)

    async with example(sys.executable, str(EXAMPLES / "above_vwap.py"), valkey) as process:
        first = asyncio.create_task(line(process))
        seq = 0
        while not first.done():
            seq += 1
            await publish_life(client, QUOTE.epoch, seq)
            await asyncio.wait([first], timeout=0.5)
        assert await first == "BTC-USDT 101.25 is above 100, paid over 3 trades"
        await publish(client, msgspec.structs.replace(QUOTE, mid=Decimal(99), seq=2))
        assert await line(process) == "BTC-USDT 99 is below 100, paid over 3 trades"
        assert await line(process) == "BTC-USDT is not current: its aggregator gives no sign of life"


async def test_above_vwap_does_not_use_what_a_dead_aggregator_left(client: Redis, valkey: str) -> None:
    """The last value is still on the tape, and the sign of life of another aggregator does not make it current."""
    await publish(client, QUOTE)

    async with example(sys.executable, str(EXAMPLES / "above_vwap.py"), valkey) as process:
        first = asyncio.create_task(line(process))
        seq = 0
        while not first.done():
            seq += 1
            await publish_life(client, QUOTE.epoch + 1, seq)
            await asyncio.wait([first], timeout=0.5)
        assert await first == "BTC-USDT is not current: its aggregator gives no sign of life"
        await publish(client, msgspec.structs.replace(QUOTE, epoch=QUOTE.epoch + 1, mid=Decimal(99)))
        assert await line(process) == "BTC-USDT 99 is below 100, paid over 3 trades"


REDIS_CLI = """#!/bin/sh
# What `redis-cli --raw PSUBSCRIBE` prints for a subscription and two messages; then its connection is cut.
[ "$*" = "-s /sock --raw PSUBSCRIBE tape:cbbo:*" ] || exit 1
printf 'psubscribe\\ntape:cbbo:*\\n1\\n'
printf 'pmessage\\ntape:cbbo:*\\ntape:cbbo:BTC-USDT\\n%s\\n' '{normal}' '{crossed}'
"""


async def test_crossed_with_redis_cli(tmp_path: Path) -> None:
    """A crossed market is one line; when the connection is lost, it reports that and subscribes again. Needs no redis-cli."""
    normal = encode(msgspec.structs.replace(QUOTE, market=Market.NORMAL)).decode()
    stub = tmp_path / "redis-cli"
    stub.write_text(REDIS_CLI.format(normal=normal, crossed=encode(QUOTE).decode()))
    stub.chmod(0o755)

    async with example("env", f"PATH={tmp_path}:{os.environ['PATH']}", str(EXAMPLES / "crossed.sh"), "-s", "/sock") as process:
        for _ in range(2):
            assert await line(process) == "BTC-USDT crossed by -49.38 bps"
            assert "the connection ended; quotes are lost until it is back" in await line(process, error=True)
