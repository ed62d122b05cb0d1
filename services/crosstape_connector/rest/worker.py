"""Makes the REST requests of one kind: waits until one is due, makes it, pauses after a failure. Each kind decides which request is next.

Every kind has its own worker (snapshots have two), so that a request that hangs delays no other kind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from crosstape_connector.backoff import pause_s
from crosstape_connector.errors import RestFailed

LOOK_S: Final = 1.0
"""The longest wait for the next request: a due request is noticed within this time, even if `wake` is not called."""

RestRequest: TypeAlias = Callable[[], Awaitable[None]]
"""Makes one request and uses its answer. Raises `RestFailed`."""


class RequestWorker:
    """Makes the requests of one kind, one at a time."""

    def __init__(self, next_request: Callable[[], RestRequest | float]) -> None:
        """`next_request`: returns the request that is due, or how many seconds to wait for one (`math.inf`: until `wake`)."""
        self.failures = 0
        """Requests that failed in a row until now."""
        self._next_request = next_request
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Ask `next_request` again now: something has happened that may make a request due. A pause after a failure is not shortened."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._woken.clear()  # before looking: a call of `wake` from here on leads to another look
            request = self._next_request()
            if isinstance(request, float):
                await self._wait(request)
                continue
            try:
                await request()
            except RestFailed as exc:
                self.failures += 1
                await asyncio.sleep(max(pause_s(self.failures), exc.retry_after_s or 0.0))
            else:
                self.failures = 0

    async def _wait(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, LOOK_S)):
                await self._woken.wait()
