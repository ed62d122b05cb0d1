"""Waits until a request for the past may be made: within our own limit, and within what live connectors leave of the venue's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from crosstape.bus.client.call import UNAVAILABLE
from crosstape.bus.request_budget import RequestBudget, RequestLimit
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.venues.spec import Venue

POLL_S: Final = 5.0
"""The longest wait before the budget is asked again: live connectors may have spent less than it seemed."""

log = structlog.get_logger(__name__)


class PastLimiter:
    """The limit of one venue's requests for the past. Also the `Spender` of their client: it has reserved what the client counts."""

    def __init__(
        self, venue: Venue, budget: RequestBudget | None, share: float, *, waiting: Callable[[float], object] = lambda _seconds: None
    ) -> None:
        """`budget`: shared with the connectors of a running tape; None: no tape runs. `share`: see `RequestBudget.reserve`.

        `waiting`: is told before each wait how many seconds it may last.
        """
        self._venue = venue
        self._budget = budget
        self._share = share
        self._waiting = waiting
        self._own: dict[tuple[str, int], RateLimit] = {}
        self._away_until = 0.0
        self._is_away = False

    async def wait(self, path: str) -> None:
        """Return when a request for this path may be made, and is counted."""
        limit = self._venue.rest_limit(path)
        if limit is None:
            return
        weight = limit.weight(path)
        if (pause := self._own_limit(limit, weight).reserve(time.monotonic())) > 0:
            self._waiting(pause)
            await asyncio.sleep(pause)
        while (pause := await self._reserve(limit, weight)) > 0:  # for as long as live connectors need the limit
            self._waiting(pause)
            await asyncio.sleep(min(pause, POLL_S))

    async def spend(self, limit: RequestLimit, weight: int) -> float:
        """Nothing is to be counted: `wait` did."""
        return 0.0

    async def hold(self, limit: RequestLimit, seconds: float) -> None:
        """Let live connectors wait, too: the venue has asked us to."""
        if self._budget is not None:
            try:
                await self._budget.hold(limit, seconds)
            except UNAVAILABLE as exc:
                self._note(exc)

    async def _reserve(self, limit: RequestLimit, weight: int) -> float:
        if self._budget is None or time.monotonic() < self._away_until:
            return 0.0
        try:
            pause = await self._budget.reserve(limit, weight, self._share)
        except UNAVAILABLE as exc:
            self._note(exc)
            return 0.0
        if self._is_away:
            log.info("past.budget_available", venue=self._venue.id)
        self._is_away = False
        return pause

    def _own_limit(self, limit: RequestLimit, weight: int) -> RateLimit:
        """Our own limit for requests of this weight: the share of the venue's, as if nobody else made any."""
        key = limit.name, weight
        if key not in self._own:
            most = limit.capacity * self._share / weight * 60.0 / limit.window_s
            self._own[key] = RateLimit.per_minute(max(1, int(most)))
        return self._own[key]

    def _note(self, exc: BaseException) -> None:
        """Go on with our own limit while the server is away."""
        self._away_until = time.monotonic() + POLL_S
        if not self._is_away:
            log.warning("past.budget_unavailable", venue=self._venue.id, error=str(exc), instead="our own limit only")
        self._is_away = True
