"""Calls callbacks on a thread of their own, with what waits in a bounded queue."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from crosstape.bus import Entry, Missed
from crosstape.log import get_log
from crosstape.tape.failures import Failures, name_of
from crosstape.tape.waiting_queue import WaitingQueue

JOIN_S: Final = 30.0
"""How long `CallbackThread.stop` waits for a callback that runs."""

log = get_log(__name__)


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
