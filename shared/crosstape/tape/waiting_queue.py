"""A bounded queue of events between threads, and the thread that calls callbacks with what is in one."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final

from crosstape.bus import Entry, Missed
from crosstape.log import get_log
from crosstape.tape.failures import Failures, name_of
from crosstape.tape.queue import EventQueue

JOIN_S: Final = 30.0
"""How long `CallbackThread.stop` waits for a callback that runs."""

log = get_log(__name__)


class WaitingQueue:
    """`EventQueue` for threads: of a state the newest, of all other events the newest `limit`; the oldest are dropped and counted."""

    def __init__(self, limit: int) -> None:
        self._queue = EventQueue(limit)
        self._changed = threading.Condition()
        self._woken = 0
        self.closed = False

    def put(self, entry: Entry) -> None:
        """Add an entry. Never waits."""
        with self._changed:
            if not self.closed:
                self._queue.put(entry)
                self._changed.notify()

    def get(self, timeout_s: float | None) -> Entry | Missed | None:
        """Returns the next item; None: none came within the time, or it is closed or was woken."""
        with self._changed:
            self._wait(timeout_s)
            return self._queue.get()

    def get_all(self, timeout_s: float | None) -> list[Entry | Missed]:
        """Returns all items, as soon as there is one; none within the time, or when it is closed or was woken."""
        with self._changed:
            self._wait(timeout_s)
            return list(iter(self._queue.get, None))

    def wake(self) -> None:
        """Let all who wait return with nothing."""
        with self._changed:
            self._woken += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Take no more entries. Those that are there can still be taken."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _wait(self, timeout_s: float | None) -> None:
        woken = self._woken
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._queue and not self.closed and self._woken == woken:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            self._changed.wait(left)


class CallbackThread:
    """Calls `deliver` with each entry, on a thread of its own, one after the other. A callback that is slow delays only others."""

    def __init__(self, name: str, limit: int, deliver: Callable[[Entry], None], note_missed: Callable[[Missed], None]) -> None:
        self.queue = WaitingQueue(limit)
        self._deliver = deliver
        self._note_missed = note_missed
        self._runner: asyncio.Runner | None = None
        self._failures: dict[str, Failures] = {}
        """Name of a callback → its errors. Callbacks come and go; their names are few."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, callback: Callable[..., object], *arguments: object) -> None:
        """Calls a function, or runs a coroutine function to its end. An error of it is logged, once a minute. Only within `deliver`."""
        try:
            result = callback(*arguments)
            if inspect.isawaitable(result):
                self._runner = self._runner or asyncio.Runner()
                self._runner.run(_awaited(result))
        except Exception as exc:  # the user's code: others are called all the same
            name = name_of(callback)
            if name not in self._failures:
                self._failures[name] = Failures(callback)
            self._failures[name].note(exc)

    def stop(self) -> None:
        """Drop what waits, and join the thread when the callback that runs has returned. A callback may call this."""
        self.queue.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_S)
            if self._thread.is_alive():
                log.error("tape.thread_busy", thread=self._thread.name, waited_s=JOIN_S, hint="a callback does not return")

    def _run(self) -> None:
        try:
            while not self.queue.closed:
                item = self.queue.get(None)  # without a timeout: until `stop`
                if self.queue.closed:
                    return
                if isinstance(item, Missed):
                    self._note_missed(item)
                elif item is not None:
                    self._deliver(item)
        finally:
            if self._runner is not None:
                self._runner.close()


async def _awaited(result: Awaitable[object]) -> None:
    await result
