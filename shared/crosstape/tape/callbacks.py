"""The callbacks of a tape: `Tape.on` registers them, `Tape.run` reads and calls them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any, Final

from crosstape.bus import Entry
from crosstape.errors import BusError
from crosstape.log import get_log
from crosstape.tape.connection import TapeConnection
from crosstape.tape.losses import OnMissed, name_of
from crosstape.tape.selection import Selection
from crosstape.tape.source import EventSource, Starts

LOG_S: Final = 60.0
"""A callback that fails again and again is logged once in this time."""

log = get_log(__name__)


class Registered:
    """One callback, and how often it failed."""

    def __init__(self, call: Callable[[Any], object]) -> None:
        self.call = call
        self.failures = 0
        self.logged_s = float("-inf")
        self.logged = 0

    def note_failure(self, entry: Entry, exc: Exception) -> None:
        """Count an error that the callback raised, and log it, at most once in `LOG_S`."""
        self.failures += 1
        now = time.monotonic()
        if now >= self.logged_s + LOG_S:
            log.error(
                "tape.callback_failed", callback=name_of(self.call), stream=entry.stream, id=entry.id,
                failures=self.failures - self.logged, exc_info=exc,
            )  # fmt: skip
            self.logged_s, self.logged = now, self.failures


class Callbacks:
    """The callbacks of one tape. All streams are read by one source; one callback runs at a time."""

    def __init__(self, connection: TapeConnection) -> None:
        self._source = EventSource(connection)
        self._registered: dict[Selection, list[Registered]] = {}

    @property
    def missed(self) -> int:
        """How many events of all callbacks were missed."""
        return self._source.losses.count

    def add(self, selection: Selection, callback: Callable[[Any], object], start: Starts) -> None:
        """Register a callback. Raises as `EventSource.select`."""
        self._source.select(selection, start)
        self._registered.setdefault(selection, []).append(Registered(callback))

    async def run(self, seconds: float | None, on_missed: OnMissed | None) -> None:
        """Read and call, until cancelled, or for `seconds`, or until closed."""
        if not self._registered:
            raise BusError("no callback is registered: write @tape.on(…) first")
        self._source.losses.on_missed = on_missed
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._source.closed:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return  # between two callbacks: none is cut off
            if (entry := await self._source.next_entry(timeout_s=left)) is not None:
                await self._dispatch(entry)

    async def aclose(self) -> None:
        """End `run`."""
        await self._source.aclose()

    async def _dispatch(self, entry: Entry) -> None:
        for selection in self._source.wanting(entry):
            for one in tuple(self._registered.get(selection, ())):
                try:
                    result = one.call(entry.event)
                    if inspect.isawaitable(result):
                        await result
                except Exception as exc:  # the user's code: the others are called all the same
                    one.note_failure(entry, exc)
