"""A bounded queue of events between threads."""

from __future__ import annotations

import threading
import time

from crosstape.bus import Entry, Missed
from crosstape.tape.queue import EventQueue


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
