"""A connector as it runs in production: a fake venue, a real bus, and settings for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.asyncio import Redis

from crosstape.settings import Settings
from crosstape_connector import service
from crosstape_schemas import AnyEvent, decode
from tests.connector.fake_venue import FakeVenue
from tests.waiting import wait_until


class World:
    """A fake venue, a bus, and settings for both."""

    def __init__(self, server: FakeVenue, client: Redis, settings: Settings) -> None:
        self.server = server
        self.client = client
        self.settings = settings

    async def stream(self, name: str) -> list[AnyEvent]:
        """The events of a stream."""
        entries: Any = await self.client.xrange(f"tape:{name}")
        return [decode(fields[b"d"]) for _, fields in entries]

    async def has(self, name: str, count: int) -> bool:
        """Return whether a stream has `count` events."""
        return int(await self.client.xlen(f"tape:{name}")) >= count

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the connector, and cancel it at the end, as SIGTERM does."""
        task = asyncio.create_task(service.run(self.settings, "fake"))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()


def changed(settings: Settings, **own: Any) -> Settings:
    """Return the settings with these changes of the venue's settings."""
    return msgspec.structs.replace(settings, venues={"fake": msgspec.structs.replace(settings.venues["fake"], **own)})


async def subscribed(server: FakeVenue, count: int = 1) -> None:
    """Wait until `count` connections were made, and the last has a request."""
    await wait_until(lambda: len(server.peers) == count and server.peer.requests, what="subscribed")
