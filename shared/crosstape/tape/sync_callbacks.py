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
from crosstape.tape.callbacks import Registered, check_callback
from crosstape.tape.loop_thread import LoopThread
from crosstape.tape.losses import OnMissed
from crosstape.tape.selection import Selection
from crosstape.tape.source import Starts
from crosstape.tape.thread_tape import ThreadTape


class SyncCallbacks:
    """The callbacks of one tape, which may be registered before it is open. One source reads for all; one callback runs at a time."""

    def __init__(self) -> None:
        self._setup = threading.Lock()
        self._running = threading.Lock()
        self._registered: dict[Selection, list[Registered]] = {}
        self._starts: dict[Selection, Starts] = {}
        self._thread: LoopThread[ThreadTape] | None = None
        self._source: BlockingSource | None = None

    def add(self, selection: Selection, callback: Callable[[Any], object], start: Starts) -> None:
        """Register a callback. Raises as `EventSource.select` while the tape is open; else `open` does."""
        if self._thread is not None:
            self._thread.check()
        with self._setup:
            check_callback(callback, selection, start, self._starts.get(selection))
            if self._thread is not None:
                self._select(self._thread, selection, start)
            self._starts.setdefault(selection, start)
            self._registered.setdefault(selection, []).append(Registered(callback))

    def open(self, thread: LoopThread[ThreadTape]) -> None:
        """Read from the tape on this thread, when `run` is called. Raises as `EventSource.select`."""
        with self._setup:
            for selection, start in self._starts.items():
                self._select(thread, selection, start)
            self._thread = thread

    def run(self, seconds: float | None, on_missed: OnMissed | None) -> None:
        """Read and call, for `seconds`, or until closed. Raises `BusError` if another thread does."""
        source = self._source
        if source is None:
            raise BusError("no callback is registered: write @tape.on(…) first")
        if not self._running.acquire(blocking=False):
            raise BusError("another thread runs the callbacks of this tape")
        try:
            source.set_on_missed(on_missed)
            deadline = None if seconds is None else time.monotonic() + seconds
            while not source.closed:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return  # between two callbacks: none is cut off
                if (entry := source.next_entry(left)) is not None:
                    for selection in source.source.wanting(entry):
                        self._call(selection, entry)
        finally:
            self._running.release()

    def _select(self, thread: LoopThread[ThreadTape], selection: Selection, start: Starts) -> None:
        tape = thread.opened
        if self._source is None:
            self._source = BlockingSource(thread, thread.call(tape.source(newest=False)))
        thread.call(tape.select(self._source.source, selection, start))

    def _call(self, selection: Selection, entry: Entry) -> None:
        for one in tuple(self._registered.get(selection, ())):
            try:
                result = one.call(entry.event)
                if inspect.isawaitable(result):
                    assert self._thread is not None
                    self._thread.call(_awaited(result))
            except Exception as exc:  # the user's code: the others are called all the same
                one.note_failure(entry, exc)


async def _awaited(result: Awaitable[object]) -> None:
    await result
