"""Follows a tape: the newest event of each feed of some kinds, and whether its producer is alive."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple

from crosstape.bus import Client, Position, Reader, Start
from crosstape.bus.client.call import UNAVAILABLE
from crosstape_cli.follow import DISCOVER_S, FIRST_POLL_S, streams
from crosstape_schemas import Bar, Candle, Edge, Event, Keys, feed_kind


class Feed(NamedTuple):
    """One feed: what is sorted by it is in the order of instruments."""

    instrument: str
    venue: str
    """Of an edge both venues: `binance/kraken`."""
    kind: str


class Feeds:
    """Follows all feeds of these kinds (`candle:1m`, `mark`), of some instruments or of all that appear. `latest` changes while it runs."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        kinds: Sequence[str],
        instruments: Sequence[str] = (),
        *,
        start: Position = Start.LAST_THEN_NOW,
    ) -> None:
        """`start`: where to begin on each stream."""
        self.latest: dict[Feed, Event] = {}
        self._is_read = asyncio.Event()
        self._client = client
        self._keys = keys
        self._kinds = tuple(kinds)
        self._wanted = frozenset(instruments)
        self._start = start
        self._reader = Reader(client, keys, signs_of_life=True)

    async def run(self) -> None:
        """Follow the tape until cancelled. While the server is away, it waits."""
        async with self._reader, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._discover(), name="discover feeds")
            tasks.create_task(self._read(), name="read feeds")

    def dead(self) -> set[Feed]:
        """Returns the feeds whose producer gives no sign of life, so that their newest event is not the present one."""
        return {feed for feed, event in self.latest.items() if not self._reader.is_current(event)}

    async def read_once(self, timeout_s: float) -> None:
        """Return once the tape has been read up to now for the first time, or `timeout_s` is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_read.wait()

    async def _read(self) -> None:
        async for entry in self._reader:
            self._apply(entry.event)

    def _apply(self, event: Event) -> None:
        feed = Feed(event.instrument, event.venue, feed_kind(event))
        if isinstance(event, Edge):
            feed = Feed(event.instrument, f"{event.buy_venue}/{event.sell_venue}", "edge")
            self._forget_older_edges(event)
        before = self.latest.get(feed)
        if isinstance(event, Candle | Bar) and isinstance(before, Candle | Bar) and event.open_ts < before.open_ts:
            return  # a correction of an earlier one
        self.latest[feed] = event

    def _forget_older_edges(self, event: Edge) -> None:
        """Forget the edges that an earlier start of the aggregator had open: they are closed."""
        older = [one for one, edge in self.latest.items() if one.instrument == event.instrument and edge.epoch < event.epoch]
        for one in older:
            del self.latest[one]

    async def _discover(self) -> None:
        pause_s = FIRST_POLL_S
        while True:
            try:
                found = await streams(self._client, self._keys, *self._kinds)
                self._reader.add([name for name in found if self._is_wanted(name)], self._start)
                if not self._reader.behind(time.monotonic()):
                    self._is_read.set()
                    pause_s = DISCOVER_S
            except UNAVAILABLE:
                pass  # the server is away, and the reader waits for it
            await asyncio.sleep(pause_s)

    def _is_wanted(self, stream: str) -> bool:
        _, instrument = self._keys.parse(stream) or ("", "")
        return not self._wanted or instrument in self._wanted
