"""Services in this process, for the length of a block, and what is on the tape meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from crosstape.settings import AggregatorSettings, BusSettings, RunSettings, Settings, TelemetrySettings, VenueSettings
from crosstape_schemas import Event, Keys, decode

KEYS = Keys()


def settings(bus: str, run_dir: Path, venues: Mapping[str, VenueSettings], aggregator: AggregatorSettings | None = None) -> Settings:
    """Settings of a test: nothing but what it is about."""
    return Settings(
        bus=BusSettings(url=bus),
        run=RunSettings(dir=str(run_dir)),
        telemetry=TelemetrySettings(http_enabled=False),
        aggregator=aggregator or AggregatorSettings(),
        venues=dict(venues),
    )


@contextlib.asynccontextmanager
async def running(*services: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Services that run while the block does; one that fails fails the test."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service) for service in services]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def tape(client: Redis, kind: str, instrument: str) -> list[Event]:
    """Everything on a stream, in order."""
    entries: list[tuple[bytes, dict[bytes, bytes]]] = await client.xrange(KEYS.stream(kind, instrument))
    return [decode(fields[b"d"]) for _, fields in entries]


async def length(client: Redis, kind: str, instrument: str) -> int:
    """How many entries a stream has."""
    return int(await client.xlen(KEYS.stream(kind, instrument)))
