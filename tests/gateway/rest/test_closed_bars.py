"""Closed bars of all venues together are known for longer than the tape has them."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.settings import GatewaySettings
from crosstape_gateway.rest import closed_bars
from crosstape_gateway.rest.closed_bars import CLOSED_BARS
from crosstape_schemas import encode
from tests.gateway.rest.served import KEYS, Served, serving
from tests.gateway.rest.test_history import bar

STREAM = KEYS.stream("bar:1m", "BTC-USDT")


async def closes(client: Redis, *minutes: int, revision: int = 0, close: int = 1, venue: str = "consolidated") -> None:
    """The bars of these minutes come, open and then closed."""
    registered: Any = client.sadd(KEYS.registry(), STREAM)
    await registered
    for minute in minutes:
        for one in (bar(minute, closed=False, venue=venue), bar(minute, venue=venue, revision=revision, close=close)):
            await client.xadd(STREAM, {"d": encode(one)})


async def looked(served: Served) -> None:
    """A look, as one is done every ten seconds."""
    await served.parts.catalogue.look()
    await served.app[CLOSED_BARS].look()


async def minutes(served: Served, **query: str | int) -> list[int]:
    """Which bars an answer has."""
    opened = bar(0).open_ts
    return [(row["open_ts"] - opened) // 60_000_000_000 for row in await served.rows("/api/bars", "bars", instrument="BTC-USDT", **query)]


async def test_what_is_trimmed_is_still_answered(client: Redis, valkey: str) -> None:
    """With the newest revision, within the range, as many as are asked for; of single venues only what the tape has."""
    await closes(client, 0)
    async with serving(valkey) as served:
        await looked(served)  # from here on
        await closes(client, 1, 3)
        await closes(client, 1, 2, venue="kraken")
        await looked(served)
        await closes(client, 1, revision=1, close=7)
        await looked(served)
        await client.xtrim(STREAM, maxlen=1, approximate=False)
        await closes(client, 16)

        assert await minutes(served) == [1, 3, 16]
        assert await minutes(served, limit=2) == [3, 16]
        assert await minutes(served, to_ts=bar(3).open_ts) == [1]
        assert await minutes(served, from_ts=bar(2).open_ts) == [3, 16]
        assert await minutes(served, venue="consolidated") == [1, 3, 16]
        (revised,) = await served.rows("/api/bars", "bars", instrument="BTC-USDT", to_ts=bar(2).open_ts)
        assert (revised["close"], revised["revision"]) == ("7", 1)
        assert (await served.get("/api/bars", instrument="BTC-USDT", limit=2)).json["more"] is True


async def test_history_has_no_holes(client: Redis, valkey: str) -> None:
    """Entries that were trimmed before they were read may have been bars: what is older is not answered any more."""
    await closes(client, 0)
    async with serving(valkey) as served:
        await looked(served)
        await closes(client, 1)
        await looked(served)
        await closes(client, 2, 3)
        await client.xtrim(STREAM, maxlen=1, approximate=False)
        assert await minutes(served) == [1, 3]
        await looked(served)
        assert await minutes(served) == [3]


async def test_they_are_bounded(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go. Many entries are read in several calls."""
    monkeypatch.setattr(closed_bars, "OF_A_STREAM", 3)
    monkeypatch.setattr(closed_bars, "AT_ONCE", 4)
    await closes(client, 0)
    async with serving(valkey, GatewaySettings(port=0)) as served:
        await looked(served)
        await closes(client, *range(1, 9))
        await looked(served)
        await client.xtrim(STREAM, maxlen=0, approximate=False)
        assert await minutes(served) == [6, 7, 8]


async def test_a_key_that_is_no_stream_is_left_out(client: Redis, valkey: str) -> None:
    """Others go on."""
    await closes(client, 0)
    name = KEYS.stream("bar:1m", "AAA-USDT")
    await client.set(name, "no stream")
    registered: Any = client.sadd(KEYS.registry(), name)
    await registered
    async with serving(valkey) as served:
        await looked(served)
        await closes(client, 1)
        await looked(served)
        await client.delete(STREAM)
        assert await minutes(served) == [1]
