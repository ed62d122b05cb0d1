"""Waiting in tests: for a condition, never for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

POLL_S = 0.005
MAX_POLL_S = 0.05


async def wait_until(predicate: Callable[[], object | Awaitable[object]], *, what: str, timeout_s: float = 20.0) -> None:
    """Return once `predicate()` (or what it awaits to) is true; fail the test naming `what` if it is not within `timeout_s`.

    The pause between two calls is three times as long as a call, so that one that reads the whole tape leaves the machine to others.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        called = time.monotonic()
        result = predicate()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(min(max(POLL_S, 3 * (now - called)), MAX_POLL_S))
