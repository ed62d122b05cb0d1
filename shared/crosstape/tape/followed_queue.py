"""The queue behind `Tape.follow` and `Tape.get`: a task reads, a bounded queue holds what was not polled yet."""

from __future__ import annotations

import asyncio

from crosstape.bus import Entry, Missed
from crosstape.errors import BusError
from crosstape.tape.connection import TapeConnection
from crosstape.tape.queue import EventQueue
from crosstape.tape.selection import Selection
from crosstape.tape.source import EventSource, Starts
from crosstape_schemas import AnyEvent


class FollowedQueue:
    """Reads what is followed into one queue, by a task that ends with `aclose`. Any number of callers may wait for its events."""

    def __init__(self, connection: TapeConnection, limit: int) -> None:
        self._queue = EventQueue(limit)
        self._source = EventSource(connection, on_missed=self._put_missed)
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def follow(self, selection: Selection, start: Starts) -> None:
        """Read these events as well, from now on."""
        self._source.select(selection, start)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="tape.follow")

    def unfollow(self, selection: Selection) -> None:
        """Do not read these events any more. Those that are in the queue stay there."""
        self._source.deselect(selection)

    async def get(self, timeout_s: float | None) -> AnyEvent | Missed | None:
        """Remove and return the next item; None if none came within the time, or at the end. Raises what has ended the task."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._queue:
                    if self._task is None:
                        raise BusError("nothing is followed: call tape.follow(…) first")
                    if self._task.done():
                        return None if self._task.cancelled() else self._task.result()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        item = self._queue.get()
        return item.event if isinstance(item, Entry) else item

    async def aclose(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._source.aclose()

    async def _run(self) -> None:
        try:
            while not self._source.closed:
                for entry in await self._source.entries(timeout_s=None):
                    self._queue.put(entry)
                self._changed.set()
        finally:
            self._changed.set()

    def _put_missed(self, missed: Missed) -> None:
        self._queue.put(missed)
        self._changed.set()
