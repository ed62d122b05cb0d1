"""A server that evicts keys loses the tape: that is said at the start, and again when something was lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import connect
from crosstape.bus.client.eviction import harmful
from crosstape.bus.client.server_memory import combined
from crosstape.bus.client.startup_check import wait_until_usable
from tests.bus.tape import KEYS, command, fast, on_tape, publishing, trade

LIMIT = 1 << 30


@pytest.fixture
async def evicting(client: Redis) -> AsyncIterator[Redis]:
    """A server with a limit."""
    await client.config_set("maxmemory", LIMIT)
    try:
        yield client
    finally:
        await client.config_set("maxmemory", 0)
        await client.config_set("maxmemory-policy", "noeviction")


async def start(url: str, **settings: Any) -> list[dict[str, Any]]:
    """Returns what the start of a service logs about eviction."""
    bus = fast(url, start_s=20.0, **settings)
    with capture_logs() as logs:
        async with connect(bus) as own:
            await wait_until_usable(own, KEYS, bus, producer="connector.kraken")
    return [dict(entry) for entry in logs if entry["event"] == "bus.evicts"]


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl", "volatile-random"])
async def test_the_policy_is_named_at_the_start(evicting: Redis, valkey: str, policy: str) -> None:
    """The log says what the server evicts, and what to set instead."""
    await evicting.config_set("maxmemory-policy", policy)
    (said,) = await start(valkey)
    assert (said["policy"], said["maxmemory"], said["log_level"], said["cause_of_loss"]) == (policy, LIMIT, "warning", False)
    assert said["what"] == ("the tape's streams" if policy.startswith("allkeys") else "leases and checkpoints")
    assert "maxmemory-policy noeviction" in said["hint"]


async def test_a_server_that_evicts_nothing_is_not_spoken_of(evicting: Redis, valkey: str) -> None:
    """Its policy evicts nothing, or it has no limit."""
    assert await start(valkey) == []
    await evicting.config_set("maxmemory-policy", "allkeys-lru")
    await evicting.config_set("maxmemory", 0)
    assert await start(valkey) == []


async def test_who_may_not_ask_starts_all_the_same(evicting: Redis, valkey: str) -> None:
    """A managed server may refuse the question, or the access list may be older."""
    await evicting.config_set("maxmemory-policy", "allkeys-lru")
    await command(evicting, "ACL", "SETUSER", "tape", "on", ">hunter2", "+@all", "-info", "~tape:*", "&*")
    try:
        assert await start(valkey, username="tape", password="hunter2") == []
    finally:
        await command(evicting, "ACL", "DELUSER", "tape")


async def test_it_is_named_as_the_cause_when_something_is_lost(evicting: Redis, valkey: str) -> None:
    """A cursor that is gone though nobody restarted the server."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        await evicting.config_set("maxmemory-policy", "allkeys-lru")
        await evicting.delete(KEYS.cursor("connector.binance"))
        with capture_logs() as logs:
            publisher.publish(trade(2))
            assert await publisher.drain(5)
    assert [(entry["event"], entry.get("cause_of_loss")) for entry in logs if entry["event"] in {"bus.data_lost", "bus.evicts"}] == [
        ("bus.data_lost", None),
        ("bus.evicts", True),
    ]
    assert len(await on_tape(evicting)) == 2


def test_one_of_several_servers_is_enough() -> None:
    """One server of a cluster evicts. A server that does not answer the question does not count as evicting."""
    fine = {"used_memory": 1, "maxmemory": 5, "maxmemory_policy": "noeviction"}
    bad = {**fine, "maxmemory_policy": "allkeys-lru"}
    assert harmful([fine, bad]) == "allkeys-lru"
    assert harmful([fine, {}, {"maxmemory": 5}]) == ""
    assert combined([fine, bad]) == (2, 10, True)
    assert combined([fine]) == (1, 5, False)
