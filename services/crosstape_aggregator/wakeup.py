"""An alarm clock for one waiter: it rings at the earliest of the moments set."""

from __future__ import annotations

import asyncio
from typing import Final

_NS: Final = 1_000_000_000


class Wakeup:
    """Moments are ns since the epoch, by the clock whose reading the caller passes; setting one costs no task. One waiter."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = asyncio.Event()
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0

    def set(self, at: int, now: int) -> None:
        """Ring at `at`, unless it will ring earlier anyway."""
        if self._handle is not None:
            if self._at <= at:
                return
            self._handle.cancel()
        self._at = at
        self._handle = self._loop.call_later(max(0, at - now) / _NS, self._ring_now)

    async def wait(self) -> None:
        """Until it rings; for ever while no moment is set, since then nothing is due until somebody sets one."""
        await self._ring.wait()
        self._ring.clear()

    def close(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring_now(self) -> None:
        self._handle = None
        self._ring.set()
