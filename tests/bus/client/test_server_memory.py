"""The server says what memory it uses; where it must not, nothing is claimed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import connect
from crosstape.bus.client.server_memory import ServerMemory, combined, watch_memory
from crosstape.bus.metrics.prometheus import server_memory
from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape.settings import BusSettings
from tests.waiting import wait_until

CLUSTERED = {"cluster-enabled": "yes", "maxmemory": "32mb"}


@contextlib.asynccontextmanager
async def watching(settings: BusSettings) -> AsyncIterator[list[ServerMemory | None]]:
    """Yields a list that receives each update."""
    told: list[ServerMemory | None] = []
    async with connect(settings) as client:
        task = asyncio.create_task(watch_memory(client, told.append, every_s=0.01))
        try:
            yield told
        finally:
            task.cancel()
            await asyncio.wait({task})
        assert task.cancelled()
    assert told[-1] is None, "who asks no more, knows no more"


async def test_a_server_says_what_it_uses(client: Redis, valkey: str) -> None:
    """And its limit, once it has one."""
    async with watching(BusSettings(url=valkey)) as told:
        await wait_until(lambda: told, what="the server answers")
        assert told[0] is not None
        assert told[0].used > 100_000
        assert told[0].limit == 0
        await client.config_set("maxmemory", 1 << 30)
        try:
            await wait_until(lambda: told[-1] is not None and told[-1].limit == 1 << 30, what="the limit is seen")
        finally:
            await client.config_set("maxmemory", 0)


async def test_the_primaries_of_a_cluster_are_asked(tmp_path: Path) -> None:
    """Each of them, and added up."""
    async with AsyncExitStack() as stack:
        servers = [EmbeddedServer(tmp_path / str(number), port=0, options=CLUSTERED) for number in range(2)]
        for number, server in enumerate(servers):
            await server.start()
            stack.push_async_callback(server.stop)
            node = await stack.enter_async_context(Redis.from_url(server.tcp_url))
            slots = (0, 8191) if number == 0 else (8192, 16383)
            await node.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)  # type: ignore[no-untyped-call]
            await node.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port)  # type: ignore[no-untyped-call]

        async def agree() -> bool:
            return b"cluster_known_nodes:2" in (info := await node.execute_command("CLUSTER", "INFO")) and b"cluster_state:ok" in info  # type: ignore[no-untyped-call]

        await wait_until(agree, what="the two are one cluster", timeout_s=60)
        settings = BusSettings(url=servers[0].tcp_url.replace("redis://", "redis+cluster://"), partitions=4)
        async with watching(settings) as told:
            await wait_until(lambda: told[-1:] != [] and told[-1] is not None and told[-1].limit == 64 << 20, what="both have answered")


async def test_a_refusal_is_said_once(client: Redis, valkey: str) -> None:
    """Access lists may forbid INFO; the aggregator does its work all the same."""
    await client.execute_command("ACL", "SETUSER", "narrow", "on", "nopass", "~*", "&*", "+@all", "-info")  # type: ignore[no-untyped-call]
    try:
        with capture_logs() as logs:
            async with watching(BusSettings(url=valkey, username="narrow", password="any")) as told:
                await wait_until(lambda: len(told) >= 3, what="it was asked again")
    finally:
        await client.execute_command("ACL", "DELUSER", "narrow")  # type: ignore[no-untyped-call]
    assert set(told) == {None}
    (line,) = [log for log in logs if log["event"] == "bus.memory_unknown"]
    assert "info" in line["reason"].lower()


async def test_a_server_that_is_away_is_no_news(client: Redis) -> None:
    """Whoever publishes says so."""
    with capture_logs() as logs:
        async with watching(BusSettings(url="redis://127.0.0.1:1", timeout_s=1.0)) as told:
            await wait_until(lambda: len(told) >= 2, what="it was tried again")
    assert set(told) == {None}
    assert logs == []


@pytest.mark.parametrize(
    ("answers", "memory"),
    [
        ([{"used_memory": 5, "maxmemory": 10}], ServerMemory(5, 10)),
        ([{"used_memory": 5, "maxmemory": 10}, {"used_memory": "7", "maxmemory": "20"}], ServerMemory(12, 30)),
        ([{"used_memory": 5, "maxmemory": 10}, {"used_memory": 7, "maxmemory": 0}], ServerMemory(12, 0)),
        ([{"used_memory": 5}], None),
        ([], None),
    ],
)
def test_primaries_are_added_up(answers: list[dict[str, object]], memory: ServerMemory | None) -> None:
    """One server without a limit means no limit for all; one missing number makes all unknown."""
    assert combined(list(answers)) == memory


def test_nothing_is_exported_while_nothing_is_known() -> None:
    """A 0 would say that the server is empty."""
    registry = CollectorRegistry()
    collector = server_memory(registry)
    assert server_memory(registry) is collector
    assert registry.get_sample_value("crosstape_bus_server_memory_bytes") is None

    collector.update(ServerMemory(5, 10))
    assert registry.get_sample_value("crosstape_bus_server_memory_bytes") == 5
    assert registry.get_sample_value("crosstape_bus_server_memory_limit_bytes") == 10

    collector.update(None)
    assert registry.get_sample_value("crosstape_bus_server_memory_bytes") is None
