"""Makes and reads checkpoints on a real server, for the tests of recovery."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import zstandard
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from crosstape_aggregator.recovery.checkpoint import InstrumentCheckpoint, decode, head_field
from crosstape_schemas import encode
from tests.aggregator.builders import X, quote, trade
from tests.aggregator.running import KEYS, FakeVenue, aggregator, newest
from tests.waiting import wait_until

TRADES = KEYS.stream("trade", X)
KEY = KEYS.checkpoint("aggregator")
WINDOWS = ("5m", "1h")
OFTEN_S = 0.05
ETH = "ETH-USDT"


def failed(step: str) -> float:
    """Return the number of failed reads or writes of checkpoints."""
    return REGISTRY.get_sample_value("crosstape_aggregator_checkpoints_failed_total", {"step": step}) or 0.0


def compressed(content: object) -> bytes:
    """Return a compressed field with this content."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(msgspec.msgpack.encode(content))


async def long_ago(client: Redis) -> None:
    """Make a tape that begins before all windows."""
    ms = time.time_ns() // 1_000_000 - 4_000_000
    for kind, event in (("trade", trade("kraken", "1", "1", ms * 1_000_000)), ("quote", quote("kraken", "1", "2", ms * 1_000_000))):
        await client.xadd(KEYS.stream(kind, X), {"d": encode(event)}, id=f"{ms}-0")
        await client.sadd(KEYS.registry(), KEYS.stream(kind, X))


async def trades(kraken: FakeVenue, count: int) -> None:
    """Publish `count` trades of size 1, now."""
    await kraken.say(*(trade("kraken", "100", "1", time.time_ns(), trade_id=str(number)) for number in range(count)))


async def wait_for(client: Redis, count: int, *complete: bool) -> None:
    """Wait until the windows of the newest quote have this many trades, and are complete or not."""

    async def so() -> bool:
        found = await newest(client)
        assert found is None or max(one.trades for one in found.vwap.values()) <= count
        return found is not None and [(one.trades, one.complete) for one in found.vwap.values()] == [(count, one) for one in complete]

    await wait_until(so, what=f"{count} trades, complete {complete}")


async def kept(client: Redis, end: bytes) -> dict[Any, Any]:
    """Wait for the next checkpoint and return its fields. All trades up to the id `end` must be on the stream before."""
    before = await client.hget(KEY, "at")

    async def newer() -> bool:
        return await client.hget(KEY, "at") not in {before, None}

    await wait_until(newer, what="a checkpoint")
    assert await last_id(client) == end
    found: Any = await client.hgetall(KEY)
    return dict(found)


async def last_id(client: Redis) -> bytes:
    """Return the last id of the stream of trades."""
    entries: Any = await client.xrevrange(TRADES, count=1)
    return bytes(entries[0][0])


def saved(fields: dict[Any, Any], instrument: str = X) -> InstrumentCheckpoint:
    """Read the checkpoint of an instrument from the server."""
    return decode(instrument, {name.decode(): field for name, field in fields.items()})


async def two_instruments(client: Redis, kraken: FakeVenue, valkey: str) -> None:
    """Make a checkpoint of two instruments with three trades each, which the streams do not have any more."""
    await long_ago(client)
    async with aggregator(valkey, windows=WINDOWS, checkpoint_s=OFTEN_S):
        for name in (X, ETH):
            await kraken.quote("100", "101", instrument=name)
            await kraken.say(*(trade("kraken", "100", "1", time.time_ns(), instrument=name, trade_id=str(number)) for number in range(3)))
        await wait_for_trades(client, {X: 3, ETH: 3})

        async def written() -> bool:
            fields: Any = await client.hgetall(KEY)
            heads = {head_field(X).encode(), head_field(ETH).encode()}
            return fields.keys() >= heads and [saved(fields, name).state.windows.total[2] for name in (X, ETH)] == [3, 3]

        await wait_until(written, what="a checkpoint of both")
    for name in (X, ETH):
        await client.xtrim(KEYS.stream("trade", name), maxlen=0, approximate=False)
        await client.delete(KEYS.stream("cbbo", name))


async def wait_for_trades(client: Redis, expected: dict[str, int]) -> None:
    """Wait until the windows of the newest quotes have this many trades."""

    async def so() -> bool:
        found = {name: await newest(client, name) for name in expected}
        return {name: one.vwap["1h"].trades for name, one in found.items() if one is not None} == expected

    await wait_until(so, what=f"trades {expected}")
