"""Waiting in tests: for a condition, never for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

POLL_S = 0.005


async def wait_until(predicate: Callable[[], object | Awaitable[object]], *, what: str, timeout_s: float = 20.0) -> None:
    """Return once `predicate()` (or what it awaits to) is true; fail the test naming `what` if it is not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = predicate()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(POLL_S)
