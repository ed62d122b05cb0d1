"""The callbacks of a tape: `Tape.on` registers them, `Tape.run` reads and calls them."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from crosstape.bus import Entry, Start
from crosstape.errors import BusError
from crosstape.tape.connection import TapeConnection
from crosstape.tape.failures import Failures
from crosstape.tape.losses import OnMissed
from crosstape.tape.selection import Selection
from crosstape.tape.source import EventSource, Starts


class Registered:
    """One callback, and its errors."""

    def __init__(self, call: Callable[[Any], object]) -> None:
        self.call = call
        self._failures = Failures(call)

    def note_failure(self, entry: Entry, exc: BaseException) -> None:
        """Note an error that the callback raised."""
        self._failures.note(exc, stream=entry.stream, id=entry.id)


def check_callback(callback: object, selection: Selection, start: Starts, known: Starts | None) -> None:
    """Raise `TypeError` for what cannot be called, `ValueError` if the same events have another start for another callback: `known`."""
    if not callable(callback):
        raise TypeError(f"a callback is a function of one argument, not {callback!r:.40}")
    if known is not None and start not in (Start.NOW, known):
        raise ValueError(f"{selection.kind} is read already, from {known} on, and one stream has one start here")


class Callbacks:
    """The callbacks of one tape, which may be registered before it is open. One source reads for all; one callback runs at a time."""

    def __init__(self) -> None:
        self._registered: dict[Selection, list[Registered]] = {}
        self._starts: dict[Selection, Starts] = {}
        self._connection: TapeConnection | None = None
        self._source: EventSource | None = None
        self._running = False

    def add(self, selection: Selection, callback: Callable[[Any], object], start: Starts) -> None:
        """Register a callback. Raises as `EventSource.select` while the tape is open; else `open` does."""
        check_callback(callback, selection, start, self._starts.get(selection))
        if self._connection is not None:
            self._source = self._source or EventSource(self._connection)
            self._source.select(selection, start)
        self._starts.setdefault(selection, start)
        self._registered.setdefault(selection, []).append(Registered(callback))

    def open(self, connection: TapeConnection) -> None:
        """Read from this connection, when `run` is called. Raises as `EventSource.select`."""
        self._connection = connection
        if self._starts:
            self._source = EventSource(connection)
            for selection, start in self._starts.items():
                self._source.select(selection, start)

    async def run(self, seconds: float | None, on_missed: OnMissed | None) -> None:
        """Read and call, until cancelled, or for `seconds`, or until closed."""
        source = self._source
        if source is None:
            raise BusError("no callback is registered: write @tape.on(…) first")
        if self._running:
            raise BusError("the callbacks of this tape are being called already: await one tape.run()")
        self._running = True
        try:
            await self._run(source, seconds, on_missed)
        finally:
            self._running = False

    async def _run(self, source: EventSource, seconds: float | None, on_missed: OnMissed | None) -> None:
        source.losses.on_missed = on_missed
        deadline = None if seconds is None else time.monotonic() + seconds
        while not source.closed:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return  # between two callbacks: none is cut off
            if (entry := await source.next_entry(timeout_s=left)) is not None:
                for selection in source.wanting(entry):
                    await self._call(selection, entry)

    async def aclose(self) -> None:
        """End `run`. The callbacks stay registered, for when the tape is opened again."""
        source, self._source, self._connection = self._source, None, None
        if source is not None:
            await source.aclose()

    async def _call(self, selection: Selection, entry: Entry) -> None:
        for one in tuple(self._registered.get(selection, ())):
            try:
                result = one.call(entry.event)
                if inspect.isawaitable(result):
                    await result
            except Exception as exc:  # the user's code: the others are called all the same
                one.note_failure(entry, exc)
            except asyncio.CancelledError as exc:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                one.note_failure(entry, exc)  # something that it waited for was cancelled, and not we
