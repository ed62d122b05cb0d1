"""Keeps an instance's leases: calls the server again and again, and lets a policy start and stop the work that needs them.

The time between two calls is a third of a lease's life. One more call is made when a lease of another instance would expire, and the next
call follows at once while there is a lease to take. Which leases to want, and what to serve, is the policy's decision.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from typing import Final, Protocol

from crosstape.bus.client.call import UNAVAILABLE
from crosstape.bus.lease.table import LeaseCountMismatch, LeaseSnapshot

CALLS: Final = 3
"""Calls in the life of a lease."""

MARGIN_S: Final = 0.01
"""Added to the time until another's lease expires, so that its holder counts as dead, too: both happen at one ms of the server's clock."""


class Policy(Protocol):
    """Decides what one instance wants of its leases, and serves what it has."""

    async def prepare(self) -> None:
        """Called before each call to the server."""

    async def ask(self) -> LeaseSnapshot:
        """Make one call to the server. Raises `LeaseCountMismatch`, and one of `call.UNAVAILABLE`."""

    async def apply(self, leases: LeaseSnapshot, sent_at: float) -> bool:
        """Start and stop services by the answer to a call that was sent at `sent_at` (monotonic): whether there is a lease to take now."""

    def unanswered(self, reason: str) -> None:
        """The server does not answer in time. Called once in an outage."""

    def mismatched(self, theirs: int) -> None:
        """Other instances say that there are this many leases. Called each time; may raise, which ends the elector."""


class Elector:
    """Runs one policy. `longest_s` bounds the time between two calls where a third of a lease's life is longer."""

    def __init__(self, policy: Policy, life_s: float, *, longest_s: float = math.inf) -> None:
        self.every_s = min(life_s / CALLS, longest_s)
        """The time between two calls, and the longest wait for an answer."""
        self.answered_at = -math.inf
        """When the server answered last, by the monotonic clock."""
        self._policy = policy
        self._answers = True
        self._stopped = False
        self._turn_lock = asyncio.Lock()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Make the next call now."""
        self._wake.set()

    async def run(self) -> None:
        """Call until cancelled. Raises what the policy raises."""
        while True:
            pause_s = await self._turn()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            self._wake.clear()

    @contextlib.asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Make no more calls from now on. The block is entered when the last call, with what follows from it, is done."""
        self._stopped = True
        async with self._turn_lock:
            yield

    async def _turn(self) -> float:
        """Call, apply the answer, and call again at once while there is a lease to take. Returns the pause in seconds."""
        async with self._turn_lock:
            while not self._stopped:
                await self._policy.prepare()
                sent_at = time.monotonic()
                leases = await self._ask()
                if leases is None:
                    return self.every_s / CALLS
                if not await self._policy.apply(leases, sent_at):
                    return min(self.every_s, leases.next_expiry_s + MARGIN_S)
        return self.every_s

    async def _ask(self) -> LeaseSnapshot | None:
        """Returns the present leases; None if the server did not answer in time, or instances disagree on the number of leases."""
        try:
            async with asyncio.timeout(self.every_s):
                leases = await self._policy.ask()
        except UNAVAILABLE as exc:
            if self._answers:
                self._policy.unanswered(str(exc) or type(exc).__name__)
            self._answers = False
            return None
        except LeaseCountMismatch as exc:
            self._policy.mismatched(exc.theirs)
            return None
        self._answers, self.answered_at = True, time.monotonic()
        return leases
