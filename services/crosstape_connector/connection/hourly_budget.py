"""Counts the requests of one connection where its venue takes only so many in an hour. Pure: times come in as values."""

from __future__ import annotations

from collections import deque
from typing import Final

HOUR_S: Final = 3_600.0
REPLACED: Final = 0.75
"""The share of the budget after which the connection should be replaced: the next one has its own."""


class HourlyBudget:
    """The requests that are left to one connection."""

    def __init__(self, per_hour: int) -> None:
        """`per_hour`: see `Endpoint.requests_per_hour`."""
        self._most = per_hour
        self._spent: deque[float] = deque()  # when, seconds of the monotonic clock

    def spend(self, count: int, now: float) -> bool:
        """Count so many requests. False: the venue would not take them any more, and none is counted."""
        while self._spent and self._spent[0] <= now - HOUR_S:
            self._spent.popleft()
        if not self._most:
            return True
        if len(self._spent) + count > self._most:
            return False
        self._spent.extend([now] * count)
        return True

    @property
    def is_low(self) -> bool:
        """Whether the connection should be replaced."""
        return bool(self._most) and len(self._spent) > self._most * REPLACED
