"""Gathers a number of events into a list."""

from __future__ import annotations

import time
from typing import TypeVar

from crosstape.tape.subscription import Subscription
from crosstape_schemas import Event

E = TypeVar("E", bound=Event)


async def collect(subscription: Subscription[E], n: int, seconds: float | None) -> list[E]:
    """Returns the next `n` events, or those that come within `seconds`, or until the subscription is closed. It stays open."""
    if n < 1:
        raise ValueError(f"n = {n}: it is at least 1")
    found: list[E] = []
    deadline = None if seconds is None else time.monotonic() + seconds
    while len(found) < n and not subscription.closed:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            break
        if (event := await subscription.next(timeout_s=left)) is not None:
            found.append(event)
    return found
