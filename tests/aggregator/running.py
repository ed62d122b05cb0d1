"""Runs venues that publish and an aggregator on a real server, for the tests of the service."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from crosstape.settings import AggregatorSettings, BusSettings, Settings, TelemetrySettings
from crosstape_aggregator.service import run
from crosstape_schemas import Cbbo, Event, Exclusion, FeedState, Keys, Status, decode
from tests.aggregator.builders import S, X, alive, quote, status
from tests.waiting import wait_until

KEYS = Keys()
ALIVE_S = 0.1
"""Seconds between two signs of life of a venue."""


def settings_for(url: str, **aggregator: object) -> Settings:
    """Return the default settings with these changes, without HTTP."""
    return Settings(
        bus=BusSettings(url=url),
        telemetry=TelemetrySettings(http_enabled=False),
        aggregator=AggregatorSettings(**aggregator),  # type: ignore[arg-type]
    )


@contextlib.asynccontextmanager
async def aggregator(url: str, **changed: object) -> AsyncIterator[asyncio.Task[None]]:
    """Run an aggregator during the block. At the end it is cancelled, as by a signal."""
    task = asyncio.create_task(run(settings_for(url, **changed)))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            raise error


class FakeVenue:
    """Publishes like the connector of one venue."""

    def __init__(self, name: str, publisher: Publisher) -> None:
        self.name = name
        self.publisher = publisher
        self._offset_ns: int | None = 0
        self._living: asyncio.Task[None] | None = None

    async def say(self, *events: Event) -> None:
        """Publish these events and wait until they are on the tape."""
        self.publisher.publish_all(events)
        assert await self.publisher.drain(10)

    async def quote(self, bid: str, ask: str, *, sizes: tuple[str, str] = ("1", "1"), instrument: str = X) -> None:
        """Publish best prices, received now."""
        await self.say(quote(self.name, bid, ask, time.time_ns(), sizes=sizes, instrument=instrument))

    async def live_on(self, *, clock_offset_ns: int | None = 0) -> None:
        """Publish that the feed of trades is live, and signs of life until the block ends.

        The connector's clock is an hour ahead of the venue's and ours, so that a sign stays valid for a full test.
        """
        self._offset_ns = clock_offset_ns
        await self.say(status(self.name, FeedState.LIVE, time.time_ns(), kind="trade"), self._alive())
        if self._living is None:
            self._living = asyncio.create_task(self._live())

    def _alive(self) -> Status:
        ahead_ns = 3_600 * S
        offset_ns = None if self._offset_ns is None else self._offset_ns + ahead_ns
        return msgspec.structs.replace(alive(self.name, time.time_ns() + ahead_ns), clock_offset_ns=offset_ns)

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_S)
            self.publisher.publish(self._alive())

    def die(self) -> None:
        """Stop the signs of life."""
        if self._living is not None:
            self._living.cancel()
            self._living = None


@contextlib.asynccontextmanager
async def venue(url: str, name: str, *, epoch: int = 0) -> AsyncIterator[FakeVenue]:
    """Start a connector. Its epoch is `epoch` or, if that is 0, the time or a number above its last epoch."""
    settings = BusSettings(url=url)
    async with connect(settings) as client:
        publisher = Publisher(client, KEYS, settings, producer=f"connector.{name}", epoch=epoch)
        task = asyncio.create_task(publisher.run())
        one = FakeVenue(name, publisher)
        try:
            yield one
        finally:
            one.die()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def published(client: Redis, instrument: str = X) -> list[Cbbo]:
    """Read all consolidated quotes of an instrument."""
    entries: Any = await client.xrange(KEYS.stream("cbbo", instrument))
    events = [decode(fields[b"d"]) for _, fields in entries]
    return [event for event in events if isinstance(event, Cbbo)]


async def newest(client: Redis, instrument: str = X) -> Cbbo | None:
    """Read the last consolidated quote."""
    found = await published(client, instrument)
    return found[-1] if found else None


async def wait_for_legs(client: Redis, expected: dict[str, Exclusion | None], instrument: str = X) -> Cbbo:
    """Wait for a newest quote with exactly these legs and reasons."""

    async def there() -> bool:
        found = await newest(client, instrument)
        return found is not None and {leg.venue: leg.excluded for leg in found.legs} == expected

    await wait_until(there, what=f"legs {expected}")
    found = await newest(client, instrument)
    assert found is not None
    return found
