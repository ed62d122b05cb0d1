"""Wakes one waiter at the earliest of the moments that were set."""

from __future__ import annotations

import asyncio
from typing import Final

_NS: Final = 1_000_000_000


class Wakeup:
    """An alarm for one waiter, without a task. Moments are ns since the epoch, by the clock that the caller reads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = asyncio.Event()
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0

    def set(self, at: int, now: int) -> None:
        """Wake the waiter at `at`, unless it will be woken earlier."""
        if self._handle is not None:
            if self._at <= at:
                return
            self._handle.cancel()
        self._at = at
        self._handle = self._loop.call_later(max(0, at - now) / _NS, self._ring_now)

    async def wait(self) -> None:
        """Wait for the earliest moment that is set; for ever while none is set."""
        await self._ring.wait()
        self._ring.clear()

    def close(self) -> None:
        """Cancel the alarm."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring_now(self) -> None:
        self._handle = None
        self._ring.set()
