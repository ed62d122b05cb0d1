"""The hub behind the streams: which streams are read, what is counted, and how much is gathered."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from crosstape.settings import BusSettings
from crosstape_gateway.hub import group, routing
from crosstape_schemas import Keys
from tests.bus.tape import fast, publishing
from tests.gateway.streams.running import gateway, quote, settings, trade
from tests.waiting import wait_until

TRADES = "/api/stream?topics=trade:BTC-USDT"


def counted(name: str, **labels: str) -> float:
    """Returns the value of a metric of the gateway."""
    return REGISTRY.get_sample_value(f"crosstape_gateway_{name}", labels) or 0.0


async def test_a_stream_is_read_while_somebody_follows_it(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a while longer; who comes after that gets last values and all that is new, as the first one did."""
    monkeypatch.setattr(routing, "LINGER_S", 0.1)
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(heartbeat_s=0.2)) as running:
        for number in range(3):
            publisher.publish(trade(2 * number))
            assert await publisher.drain(10)
            async with running.sse(TRADES) as one, running.sse(TRADES) as other:
                publisher.publish(trade(2 * number + 1))
                for reader in (one, other):
                    await reader.count("trade", 2)
                    assert [message["trade_id"] for message in reader.of("trade")] == [str(2 * number), str(2 * number + 1)]
                assert list(running.hub.streams) == ["tape:trade:BTC-USDT"]
            await wait_until(lambda: not list(running.hub.streams), what="it is not read any more")


async def test_overlapping_topics_bring_each_event_once(client: Redis, valkey: str) -> None:
    """An instrument, all instruments, and one venue of them."""
    path = "/api/stream?topics=trade:BTC-USDT,trade:*,trade:*@kraken,trade:BTC-USDT@binance,quote:*@kraken"
    async with publishing(fast(valkey)) as publisher, publishing(fast(valkey), producer="other") as other, gateway(valkey) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(path) as reader:
            publisher.publish_all([trade(1), trade(1, "ETH-USDT"), quote(1)])
            other.publish_all([trade(1, venue="binance"), quote(2, venue="binance")])
            assert await other.drain(10)
            publisher.publish(trade(2))
            await reader.count("trade", 5)
            trades = sorted((t["instrument"], t["venue"], t["trade_id"]) for t in reader.of("trade"))
            await reader.count("quote", 1)

    assert trades == [("BTC-USDT", "binance", "1"), *(("BTC-USDT", "kraken", str(n)) for n in range(3)), ("ETH-USDT", "kraken", "1")]
    assert [message["venue"] for message in reader.of("quote")] == ["kraken"]


async def test_several_partitions(client: Redis, valkey: str) -> None:
    """Names of streams have a hash tag; following, patterns and resuming work as with one partition."""
    bus = BusSettings(url=valkey, partitions=4)
    names = [f"COIN{number}-USDT" for number in range(8)]
    async with publishing(bus, keys=Keys("tape", 4)) as publisher, gateway(bus) as running:
        publisher.publish_all([trade(0, name) for name in names])
        assert await publisher.drain(10)
        async with running.sse("/api/stream?topics=trade:*") as reader:
            await reader.count("trade", len(names))
            await reader.until(lambda: reader.ids, "an id")
        publisher.publish_all([trade(1, name) for name in names])
        assert await publisher.drain(10)
        async with running.sse("/api/stream?topics=trade:*", last_event_id=reader.ids[-1]) as reader:
            publisher.publish_all([trade(2, name) for name in names])
            await reader.count("trade", 3 * len(names))

    for name in names:
        assert [message["seq"] for message in reader.of("trade") if message["instrument"] == name] == [1, 2, 3]


async def test_what_is_gathered_is_bounded(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that it is sent, long before the time is over."""
    monkeypatch.setattr(group, "GATHERED", 50)
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(TRADES + "&last=0&gather_ms=5000") as reader:
            publisher.publish_all([trade(number) for number in range(1, 120)])
            await reader.count("trade", 100)
            assert len(reader.of("trade")) == 100


async def test_what_is_counted(client: Redis, valkey: str) -> None:
    """Clients, deliveries and bytes by transport; refusals over WebSocket by code."""
    before = {
        (name, transport): counted(name, transport=transport)
        for name in ("deliveries_total", "bytes_total")
        for transport in ("sse", "websocket")
    }
    refused = counted("refused_total", code="bad_topic")
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(heartbeat_s=600.0)) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(TRADES) as reader, running.websocket() as (socket, listener):
            await socket.send_json({"op": "subscribe", "topics": ["trade:BTC-USDT"]})
            await socket.send_json({"op": "subscribe", "topics": ["nonsense"]})
            await listener.count("error", 1)
            assert (counted("clients", transport="sse"), counted("clients", transport="websocket")) == (1, 1)
            assert counted("streams") == 1
            for number in range(1, 11):
                publisher.publish(trade(number))
            await reader.count("trade", 11)
            await listener.count("trade", 11)
        await wait_until(lambda: not running.hub.subscribers, what="both have left")

    assert (counted("clients", transport="sse"), counted("clients", transport="websocket")) == (0, 0)
    assert counted("refused_total", code="bad_topic") == refused + 1
    for transport in ("sse", "websocket"):
        assert 12 <= counted("deliveries_total", transport=transport) - before["deliveries_total", transport] <= 16
        assert 12 * 200 <= counted("bytes_total", transport=transport) - before["bytes_total", transport] <= 16 * 300
