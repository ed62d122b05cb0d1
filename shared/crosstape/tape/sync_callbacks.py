"""The callbacks of a blocking tape: they run on the thread that calls `run`."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from crosstape.bus import Entry
from crosstape.errors import BusError
from crosstape.tape.blocking_source import BlockingSource
from crosstape.tape.callbacks import Registered
from crosstape.tape.loop_thread import LoopThread
from crosstape.tape.losses import OnMissed
from crosstape.tape.selection import Selection


class SyncCallbacks:
    """The callbacks of one tape. All streams are read by one source; one callback runs at a time."""

    def __init__(self, thread: LoopThread[Any], source: BlockingSource) -> None:
        self.source = source
        self._thread = thread
        self._registered: dict[Selection, list[Registered]] = {}
        self._running = threading.Lock()

    def add(self, selection: Selection, callback: Callable[[Any], object]) -> None:
        """Register a callback for a selection that the source has."""
        self._registered.setdefault(selection, []).append(Registered(callback))

    def run(self, seconds: float | None, on_missed: OnMissed | None) -> None:
        """Read and call, for `seconds`, or until closed. Raises `BusError` if another thread does."""
        if not self._running.acquire(blocking=False):
            raise BusError("another thread runs the callbacks of this tape")
        try:
            self.source.set_on_missed(on_missed)
            deadline = None if seconds is None else time.monotonic() + seconds
            while not self.source.closed:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                if (entry := self.source.next_entry(left)) is not None:
                    self._dispatch(entry)
        finally:
            self._running.release()

    def _dispatch(self, entry: Entry) -> None:
        for selection in self.source.source.wanting(entry):
            for one in tuple(self._registered.get(selection, ())):
                try:
                    result = one.call(entry.event)
                    if inspect.isawaitable(result):
                        self._thread.call(_awaited(result))
                except Exception as exc:  # the user's code: the others are called all the same
                    one.note_failure(entry, exc)


async def _awaited(result: Awaitable[object]) -> None:
    await result
