"""Streams stay about as long as they should, though not every entry trims."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from crosstape.settings.model import MaxLen
from tests.bus.tape import TRADES, command, fast, publishing, trade
from tests.engines import StartServer

NODE = 100
"""Entries that a server removes at once, by default."""
SHORT = MaxLen(trade=200)


@pytest.mark.parametrize("at_once", [1, 7, 16, 150, 1_000])
async def test_a_stream_keeps_its_length(client: Redis, valkey: str, at_once: int) -> None:
    """In batches of one entry, and of more entries than the stream keeps."""
    async with publishing(fast(valkey, max_len=SHORT, batch=at_once)) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 2_001))
        assert await publisher.drain(20)
    assert SHORT.trade <= await client.xlen(TRADES) <= SHORT.trade + NODE + 16


async def test_long_groups_do_not_outgrow_a_server_that_trims_little(start_server: StartServer) -> None:
    """With one entry in a node, a trim removes a hundred entries at most."""
    server = await start_server(options={"stream-node-max-entries": "1"})
    async with Redis.from_url(server.url) as client, publishing(fast(server.url, max_len=SHORT)) as publisher:
        for start in range(1, 5_001, 1_000):
            publisher.publish_all(trade(number) for number in range(start, start + 1_000))
            assert await publisher.drain(20)
        assert SHORT.trade <= await client.xlen(TRADES) <= SHORT.trade + 100


async def test_a_stream_whose_channel_is_forbidden_is_trimmed_too(client: Redis, valkey: str) -> None:
    """Its entries are added without a word to anybody, and its last value is the last of them."""
    await command(client, "ACL", "SETUSER", "mute", "on", ">pw", "~*", "resetchannels", "+@all")
    try:
        async with publishing(fast(valkey, username="mute", password="pw", max_len=SHORT)) as publisher:
            publisher.publish_all(trade(number) for number in range(1, 1_001))
            assert await publisher.drain(20)
            (last,) = (await publisher.last("trade", ["BTC-USDT"], "binance")).values()
    finally:
        await client.acl_deluser("mute")
    assert SHORT.trade <= await client.xlen(TRADES) <= SHORT.trade + NODE + 16
    assert last.seq == 1_000


async def test_a_producer_that_starts_again_and_again_trims(client: Redis, valkey: str) -> None:
    """Each start writes few entries; the first of them trims."""
    async with publishing(fast(valkey, max_len=SHORT)) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 1_001))
        assert await publisher.drain(20)
    length = await client.xlen(TRADES)
    for _ in range(30):
        async with publishing(fast(valkey, max_len=SHORT)) as publisher:
            publisher.publish_all(trade(number) for number in range(1, 9))
            assert await publisher.drain(20)
    assert await client.xlen(TRADES) <= length + NODE
