"""Follows the signs of life on a tape beside what a reader reads, over a connection of its own and at its own pace.

So a slow caller does no harm: whether a producer is alive is known all the time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import Client, execute
from crosstape.bus.metrics.hooks import ReaderMetrics
from crosstape.bus.read.decoding import ReaderCallbacks
from crosstape.bus.read.entry import Fetched, Start
from crosstape.bus.read.followed import FollowedStream
from crosstape.bus.read.poller import Poller
from crosstape.liveness import Life, SignsOfLife
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Event, Keys, Status

DISCOVER_S: Final = 1.0
"""How often to look for venues that are not followed yet: that reads one small hash."""


class LifeWatch:
    """Follows the streams of all venues and of the aggregators, from `start` to `aclose`."""

    def __init__(self, client: Client, keys: Keys, availability: Availability, on_life: Callable[[Life], None]) -> None:
        """`on_life` is called for each producer that starts or stops giving signs of life."""
        self._client = client
        self._keys = keys
        self._availability = availability
        self._on_life = on_life
        self._signs = SignsOfLife()
        self._poller = Poller(client, availability, ReaderCallbacks(lambda _: None, lambda _: None, ReaderMetrics()))
        self._follow(CONSOLIDATED)
        self._known = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def is_current(self, event: Event) -> bool:
        """See `SignsOfLife.is_current`."""
        return self._signs.is_current(event, time.monotonic())

    async def start(self) -> None:
        """Return when the signs of life that are on the tape are known. Raises `BusError` as a first read does."""
        if self._known.is_set() and self._task is not None and not self._task.done():
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="bus.signs_of_life")
        known = asyncio.create_task(self._known.wait(), name="bus.signs_of_life.known")
        try:
            await asyncio.wait({known, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            known.cancel()
        if self._task.done():
            self._task.result()

    async def aclose(self) -> None:
        """Stop following them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._poller.close()

    async def _run(self) -> None:
        """Follow and discover until cancelled. Neither may wait for the other, and neither may delay the clock: when the server is away all
        producers become silent.
        """
        fetching: asyncio.Task[Fetched] | None = None
        discovering: asyncio.Task[set[str]] | None = None
        discover_at = time.monotonic()
        discovered = False
        try:
            while True:
                now = time.monotonic()
                if discovering is None and now >= discover_at:
                    discovering = asyncio.create_task(self._discover(), name="bus.signs_of_life.discover")
                if fetching is None and discovered:
                    fetching = asyncio.create_task(self._poller.fetch(), name="bus.signs_of_life.fetch")
                due = math.inf if discovering is not None else discover_at
                wait_s = min(due - now, self._signs.next_silence_s(now))
                tasks = {task for task in (fetching, discovering) if task is not None}
                await asyncio.wait(tasks, timeout=None if wait_s == math.inf else max(0.0, wait_s), return_when=asyncio.FIRST_COMPLETED)
                if discovering is not None and discovering.done():
                    done, discovering = discovering, None
                    discovered, discover_at = True, time.monotonic() + DISCOVER_S
                    new = [venue for venue in done.result() if self._follow(venue)]
                    if new and fetching is not None:
                        fetching.cancel()  # it may wait for long, and does not read the new ones
                        await asyncio.wait({fetching})
                        fetching = None if fetching.cancelled() else fetching
                if fetching is not None and fetching.done():
                    fetched, fetching = fetching, None
                    self._apply(fetched.result())
                for life in self._signs.turned(time.monotonic()):
                    self._on_life(life)
                if discovered and all(stream.id or stream.wrong for stream in self._poller.streams.values()):
                    self._known.set()
        finally:
            for task in (fetching, discovering):
                if task is not None:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)

    async def _discover(self) -> set[str]:
        """Returns the venues that have given a sign of life."""
        name = self._keys.last("status", VENUE_WIDE)
        fields = await self._availability.until_answered(lambda: execute(self._client, "HGETALL", name), self)
        return {field.decode(errors="replace").partition(":")[0] for field in fields}

    def _follow(self, venue: str) -> bool:
        name = self._keys.venue(venue)
        if not venue or self._keys.parse(name) is None or name.encode() in self._poller.streams:
            return False
        self._poller.add(FollowedStream(name, Start.LAST_THEN_NOW, self._keys))
        return True

    def _apply(self, batch: Fetched) -> None:
        now, now_ts = time.monotonic(), time.time_ns()
        for entry in batch.entries:
            if isinstance(entry.event, Status):
                self._signs.apply(entry.event, now, now_ts)
