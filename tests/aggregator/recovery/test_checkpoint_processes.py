"""Aggregators as processes that are killed at any moment, under load: what the last quotes say is what the streams add up to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape_aggregator.decimals import average
from crosstape_schemas import Cbbo, Event, Trade, Vwap, decode
from tests.aggregator.builders import S, quote, trade
from tests.aggregator.running import KEYS, FakeVenue, newest, venue
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMES = [f"COIN{number}-USDT" for number in range(10)]
KILLS = 12
ROUND = 20
SETTINGS = """\
[bus]
url = "{url}"
[telemetry]
http_enabled = false
[aggregator]
lease_s = 1.0
checkpoint_s = 0.1
windows = ["1h"]
"""


async def start(directory: Path, url: str) -> Process:
    """Start an aggregator as a process."""
    file = directory / "settings.toml"
    file.write_text(SETTINGS.format(url=url))
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "crosstape_cli", "aggregator", "--settings", str(file))


async def market(venues: Sequence[FakeVenue], chance: random.Random) -> None:
    """Publish trades of all venues and instruments until cancelled: some thousands a second, some of them late."""
    number = 0
    while True:
        for one in venues:
            now, events = time.time_ns(), list[Event]()
            for name in NAMES:
                events.append(quote(one.name, "100", "101", now, instrument=name))
                for _ in range(ROUND):
                    number += 1
                    price, size = str(chance.randint(1, 10**9)), f"0.{chance.randint(1, 10**8):08}"
                    ts = now - chance.choice((0, 0, 0, 5, 60)) * S
                    events.append(trade(one.name, price, size, ts, received_ts=now, instrument=name, trade_id=str(number)))
            one.publisher.publish_all(events)
            await one.publisher.flow()
        await asyncio.sleep(0.05)


async def computed(client: Redis, name: str) -> Vwap:
    """Compute the window over all trades on the stream by its definition."""
    entries: Any = await client.xrange(KEYS.stream("trade", name))
    found = [event for _, fields in entries if isinstance(event := decode(fields[b"d"]), Trade)]
    volume = sum((one.size for one in found), Decimal(0))
    value = sum((one.price * one.size for one in found), Decimal(0))
    return Vwap(average(value, volume), volume, len(found), complete=False)


def same(found: Cbbo | None, expected: Vwap) -> bool:
    """Whether the last quote has exactly these values."""
    one = found.vwap["1h"] if found is not None else None
    return one is not None and (one.price, one.volume, one.trades) == (expected.price, expected.volume, expected.trades)


async def test_every_trade_counts_once_whenever_it_is_killed(client: Redis, valkey: str, tmp_path: Path) -> None:
    """It is killed at a dozen random moments, also while it starts and restores.

    Its windows continue from a checkpoint, not from the streams.
    """
    chance = random.Random(7)
    async with venue(valkey, "binance") as binance, venue(valkey, "kraken") as kraken:
        for one in (binance, kraken):
            await one.live_on()
        trading = asyncio.create_task(market((binance, kraken), chance))
        process = await start(tmp_path, valkey)
        try:
            await wait_until(lambda: client.exists(KEYS.checkpoint("aggregator")), what="a checkpoint", timeout_s=60)
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.0, 4.0))  # the moment is what is tried
                process.kill()
                await process.wait()
                process = await start(tmp_path, valkey)
            trading.cancel()
            await asyncio.wait({trading})
            for one in (binance, kraken):
                assert await one.publisher.drain(60)
            for name in NAMES:
                expected = await computed(client, name)

                async def so(name: str = name, expected: Vwap = expected) -> bool:
                    found = await newest(client, name)
                    assert found is None or found.vwap["1h"].trades <= expected.trades
                    return same(found, expected)

                await wait_until(so, what=f"{expected} of {name}", timeout_s=120)

            process.terminate()
            assert await asyncio.wait_for(process.wait(), 60) == 0
            every = {name: await computed(client, name) for name in NAMES}
            for name in NAMES:  # what is on the streams no more can only be known from the checkpoint
                await client.xtrim(KEYS.stream("trade", name), maxlen=1, approximate=False)
                await client.delete(KEYS.stream("cbbo", name))
            process = await start(tmp_path, valkey)
            for name in NAMES:

                async def still(name: str = name) -> bool:
                    return same(await newest(client, name), every[name])

                await wait_until(still, what=f"{every[name]} of {name} again", timeout_s=120)
        finally:
            trading.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            await asyncio.wait({trading})
