"""When a venue may be connected to once more: all attempts of a connector, for whatever reason, come here first."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.venues.spec import Venue

SHARE: Final = 0.5
"""Of what a venue allows an address. The rest is for what we do not know of: attempts before a restart, others who share
the address."""

NOTED_S: Final = 0.001
"""Waits below this are none."""


class ConnectBudget:
    """The budget of one venue. Any number wait at a time; each gets its turn in the order of asking, within its endpoint's pace."""

    def __init__(self, venue: Venue, counters: Counters) -> None:
        self._counters = counters
        self._rate_limits = {endpoint.name: RateLimit.per_second(endpoint.connects_per_s) for endpoint in venue.endpoints}
        limit = venue.connects
        self._budget = None if limit is None else RateLimit(max(1, int(limit.attempts * SHARE)), limit.window_s)
        self._not_before = 0.0

    async def turn(self, endpoint: str) -> None:
        """Wait until an attempt may be made, however long: the endpoint's pace, the venue's budget, what the venue asked for."""
        started = time.monotonic()
        while True:
            await _pause(self._rate_limits[endpoint].reserve(time.monotonic()))
            if self._budget is not None:
                await _pause(self._budget.reserve(time.monotonic()))
            held_s = self._not_before - time.monotonic()
            if held_s <= 0:
                break
            await _pause(held_s)  # and in line again: those who waited for the same must not go all at once
        waited_s = time.monotonic() - started
        if waited_s > NOTED_S:
            counters = self._counters.endpoints[endpoint]
            counters.connect_waits += 1
            counters.connect_wait_seconds += waited_s

    def hold(self, seconds: float) -> None:
        """The venue wants to be left alone for so long: by all connections, not only by the one that it told."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
