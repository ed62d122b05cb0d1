"""Limits how often a connector connects to its venue. Every attempt to connect, for whatever reason, waits here first."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.venues.spec import Venue

BUDGET_SHARE: Final = 0.5
"""The part of a venue's limit that we use. The rest is for attempts that we cannot count: before a restart, and by other programs with our
IP address."""

NOTED_S: Final = 0.001
"""Shorter waits are not counted."""


class ConnectBudget:
    """The connect budget of one venue. Attempts are served in order; any number of them may wait."""

    def __init__(self, venue: Venue, counters: Counters) -> None:
        self._counters = counters
        self._rate_limits = {endpoint.name: RateLimit.per_second(endpoint.connects_per_s) for endpoint in venue.endpoints}
        limit = venue.connects
        self._budget = None if limit is None else RateLimit(max(1, int(limit.attempts * BUDGET_SHARE)), limit.window_s)
        self._not_before = 0.0

    async def wait_turn(self, endpoint: str) -> None:
        """Wait, however long, until the endpoint's rate limit, the venue's budget and any `hold_off` allow an attempt."""
        started = time.monotonic()
        while True:
            await _pause(self._rate_limits[endpoint].reserve(time.monotonic()))
            if self._budget is not None:
                await _pause(self._budget.reserve(time.monotonic()))
            held_s = self._not_before - time.monotonic()
            if held_s <= 0:
                break
            await _pause(held_s)  # then reserve again: attempts that waited for the same moment must not all go at once
        waited_s = time.monotonic() - started
        if waited_s > NOTED_S:
            counters = self._counters.endpoints[endpoint]
            counters.connect_waits += 1
            counters.connect_wait_seconds += waited_s

    def hold_off(self, seconds: float) -> None:
        """Delay all attempts by this many seconds: the venue asked one connection to wait, and its limit is for our IP address."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
