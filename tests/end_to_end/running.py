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
    entries: Any = await client.xrange(KEYS.stream(kind, instrument))
    return [decode(fields[b"d"]) for _, fields in entries]


async def newest(client: Redis, kind: str, instrument: str) -> Event | None:
    """The last event of a stream, if there is one."""
    entries: Any = await client.xrevrange(KEYS.stream(kind, instrument), count=1)
    return decode(entries[0][1][b"d"]) if entries else None
