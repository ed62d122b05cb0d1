"""Follows a tape: the newest event of each feed of some kinds, and whether its connector is alive."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple

from crosstape.bus import Client, Reader, Start
from crosstape.bus.client.call import UNAVAILABLE
from crosstape_cli.follow import DISCOVER_S, FIRST_POLL_S, streams
from crosstape_schemas import Candle, Event, Keys, feed_kind


class Feed(NamedTuple):
    """One feed: what is sorted by it is in the order of instruments."""

    instrument: str
    venue: str
    kind: str


class Feeds:
    """Follows all feeds of these kinds (`candle:1m`, `mark`), of some instruments or of all that appear. `latest` changes while it runs."""

    def __init__(self, client: Client, keys: Keys, kinds: Sequence[str], instruments: Sequence[str] = ()) -> None:
        self.latest: dict[Feed, Event] = {}
        self._is_read = asyncio.Event()
        self._client = client
        self._keys = keys
        self._kinds = tuple(kinds)
        self._wanted = frozenset(instruments)
        self._reader = Reader(client, keys, start=Start.LAST_THEN_NOW, signs_of_life=True)

    async def run(self) -> None:
        """Follow the tape until cancelled. While the server is away, it waits."""
        async with self._reader, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._discover(), name="discover feeds")
            tasks.create_task(self._read(), name="read feeds")

    def dead(self) -> set[Feed]:
        """Returns the feeds whose connector gives no sign of life, so that their newest event is not the present one."""
        return {feed for feed, event in self.latest.items() if not self._reader.is_current(event)}

    async def read_once(self, timeout_s: float) -> None:
        """Return once the tape has been read up to now for the first time, or `timeout_s` is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_read.wait()

    async def _read(self) -> None:
        async for entry in self._reader:
            event = entry.event
            feed = Feed(event.instrument, event.venue, feed_kind(event))
            before = self.latest.get(feed)
            if not (isinstance(event, Candle) and isinstance(before, Candle) and event.open_ts < before.open_ts):
                self.latest[feed] = event  # else it is a correction of an earlier candle

    async def _discover(self) -> None:
        pause_s = FIRST_POLL_S
        while True:
            try:
                found = await streams(self._client, self._keys, *self._kinds)
                self._reader.add([name for name in found if self._is_wanted(name)], Start.LAST_THEN_NOW)
                if not self._reader.behind(time.monotonic()):
                    self._is_read.set()
                    pause_s = DISCOVER_S
            except UNAVAILABLE:
                pass  # the server is away, and the reader waits for it
            await asyncio.sleep(pause_s)

    def _is_wanted(self, stream: str) -> bool:
        _, instrument = self._keys.parse(stream) or ("", "")
        return not self._wanted or instrument in self._wanted
