"""What some other program has written to the bus is skipped and counted: REST and streams go on, and never send it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from crosstape.settings import GatewaySettings
from crosstape_schemas import encode
from tests.gateway.rest.served import KEYS, Served, publish, serving
from tests.gateway.rest.test_history import bar, candle, sign, trade
from tests.waiting import wait_until

NO_EVENTS = (
    b"",
    b"not JSON",
    b"null",
    b"\xff\xfe",
    encode(trade(1)).replace(b'"57000.10"', b'"dear"'),
    encode(trade(1)).replace(b'"trade_id":"1"', b'"trade_id":"\xff"'),
    encode(trade(1))[:-1] + b',"later":' + b"[" * 5_000,
    encode(bar(0)).replace(b'"type":"bar"', b'"type":"nothing of ours"'),
    b'{"type":"bar","venue":"consolidated","open_ts":1785999960000000000,"closed":true,"revision":9}',
    b'{"type":"edge","epoch":9,"change":"open","buy_venue":"kraken","sell_venue":"bitstamp"}',
)
KINDS = ("trade", "bar:1m", "candle:1m", "gap", "edge", "cbbo", "quote", "depth")


def count() -> float:
    """How often something was skipped."""
    return REGISTRY.get_sample_value("crosstape_gateway_foreign_total") or 0.0


async def litter(client: Redis) -> None:
    """Writes what is no event to streams and last values of `BTC-USDT`, behind what is there."""
    for name in [*(KEYS.stream(kind, "BTC-USDT") for kind in KINDS), KEYS.venue("kraken")]:
        await register(client, name)
        for data in NO_EVENTS:
            await client.xadd(name, {"d": data})
        await client.xadd(name, {"other": "1"})
        await client.xadd(name, {b"\xff": "1", "d": "{}"})
    for kind, instrument in [*((kind, "BTC-USDT") for kind in KINDS), ("status", "*")]:
        for number, data in enumerate(NO_EVENTS):
            written: Any = client.hset(KEYS.last(kind, instrument), f"kraken:{number}", data)
            await written


async def register(client: Redis, *names: str) -> None:
    """Puts streams into the registry, where a gateway finds them."""
    added: Any = client.sadd(KEYS.registry(), *names)
    await added


async def occupy(client: Redis, instrument: str) -> None:
    """Makes streams and last values of an instrument something else."""
    for kind in KINDS:
        await client.set(KEYS.stream(kind, instrument), "no stream")
        await client.set(KEYS.last(kind, instrument), "no hash")
        await register(client, KEYS.stream(kind, instrument))


@pytest.mark.parametrize(
    ("path", "name", "rows"),
    [
        ("/api/trades?instrument=BTCUSDT", "trades", 1),
        ("/api/trades?instrument=BTCUSDT&after=0", "trades", 1),
        ("/api/trades?instrument=ETHUSDT", "trades", 0),
        ("/api/trades?instrument=ETHUSDT&after=0", "trades", 0),
        ("/api/bars?instrument=BTCUSDT", "bars", 2),
        ("/api/bars?instrument=ETHUSDT", "bars", 0),
        ("/api/candles?symbol=BTCUSDT&venue=kraken", "candles", 1),
        ("/api/gaps", "gaps", 0),
        ("/api/edges", "edges", 0),
        ("/api/quotes?venue=kraken", "quotes", 0),
        ("/api/depth?instrument=BTCUSDT", "depths", 0),
        ("/api/last?topics=trade:*,bar:1m:*,venue:*,depth:*", "events", 3),
    ],
)
async def test_rest_answers_with_events_alone(client: Redis, valkey: str, path: str, name: str, rows: int) -> None:
    """Whatever stands beside them, and also where a key is no stream."""
    await publish(valkey, trade(1), bar(0), bar(1), candle(1), sign("kraken"))
    await litter(client)
    await occupy(client, "ETH-USDT")
    before = count()
    async with serving(valkey) as served:
        assert len(await served.rows(path, name)) == rows
    assert count() > before


async def test_a_venue_is_known_by_its_statuses_alone(client: Redis, valkey: str) -> None:
    """An entry that is not even UTF-8 stands before the newest status."""
    await publish(valkey, sign("kraken"), trade(1))
    await litter(client)
    async with serving(valkey) as served:
        (found,) = await served.rows("/api/venues", "venues")
    assert (found["venue"], found["state"]) == ("kraken", "live")


@pytest.mark.parametrize("after", ["", "&after=0"])
async def test_streams_go_on(client: Redis, valkey: str, after: str) -> None:
    """A client follows all instruments, one of which is no stream: it gets the others' events, new ones, and ids to resume from."""
    await publish(valkey, trade(1))
    await litter(client)
    await occupy(client, "ETH-USDT")
    async with serving(valkey, GatewaySettings(port=0, heartbeat_s=0.2), streams=True) as served:
        async with asyncio.timeout(60):
            lines = await lines_until_trade(served, f"/api/stream?topics=trade:*{after}", valkey)
        assert served.parts.hub.away_since_ts is None
    sent = [line for line in lines if line.startswith(b'data: {"type":"') and b'"type":"trade"' in line]
    assert len(sent) >= 2
    assert not any(b"later" in line or b"dear" in line or b"\xff" in line for line in lines)


async def lines_until_trade(served: Served, path: str, url: str) -> list[bytes]:
    """Returns the lines of a stream until a trade that is published meanwhile, and an id, have come."""
    lines: list[bytes] = []
    async with served.http.get(served.url + path) as answer:
        await served.parts.catalogue.next_look()

        async def read(note: Callable[[bytes], None]) -> None:
            async for line in answer.content:
                note(line)

        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(lines.append))
            await wait_until(lambda: any(b'"trade_id":"1"' in line for line in lines), what="the first trade")
            await publish(url, trade(2))
            await wait_until(lambda: any(b'"trade_id":"2"' in line for line in lines), what="the second trade")
            await wait_until(lambda: any(line.startswith(b"id: ") for line in lines), what="an id")
            reading.cancel()
    return lines
