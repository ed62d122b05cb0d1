"""The engine under test is the one that was asked for."""

from __future__ import annotations

from redis.asyncio import Redis


async def test_the_server_of_the_run_is_of_the_engine_asked_for(client: Redis, engine: str) -> None:
    """Redis says so by having no other name; Valkey has one."""
    info = await client.info("server")
    assert info.get("server_name", "redis") == ("redis" if engine == "redis" else "valkey")
