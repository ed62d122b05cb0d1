"""Flow: who publishes faster than the server writes waits, as long as there is a server."""

from __future__ import annotations

from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from tests.bus.tape import KEYS, Counts, fast, numbers, on_tape, publishing, trade
from tests.proxy import proxy

BATCH = 10


async def test_a_reader_that_asks_never_fills_the_memory(client: Redis, valkey: str) -> None:
    """Far more than fits is published in one go; nothing is dropped, and never are more than a few batches pending."""
    counts, most = Counts(), 0
    async with publishing(fast(valkey, batch=BATCH, pending=200), metrics=counts) as publisher:
        for number in range(1, 3_001):
            publisher.publish(trade(number))
            if not number % BATCH:
                await publisher.flow()
                most = max(most, publisher.pending)
        assert await publisher.drain(10)
    assert most <= 4 * BATCH
    assert not [name for name in counts.of if name.startswith("dropped")]
    assert numbers(await on_tape(client)) == list(range(1, 3_001))


async def test_a_server_that_is_away_holds_nobody_back(client: Redis, valkey: str) -> None:
    """Events that arrive meanwhile are kept in memory."""
    async with proxy(valkey) as network, publishing(fast(network.url, batch=BATCH)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        network.refusing = True
        network.cut()
        for number in range(2, 502):
            publisher.publish(trade(number))
            if not number % BATCH:
                await publisher.flow()
        assert publisher.pending == 500
        network.refusing = False
        assert await publisher.drain(10)
    assert numbers(await on_tape(client)) == list(range(1, 502))


async def test_a_server_that_stands_still_holds_back_for_a_time_only(valkey: str) -> None:
    """Before the server is known to be away, a wait ends after the timeout of the settings."""
    settings = fast(valkey, batch=BATCH, timeout_s=0.05)
    async with connect(settings) as client:
        publisher = Publisher(client, KEYS, settings, producer="connector.binance")  # that nobody runs
        for number in range(1, 10 * BATCH):
            publisher.publish(trade(number))
        await publisher.flow()
        assert publisher.pending == 10 * BATCH - 1
