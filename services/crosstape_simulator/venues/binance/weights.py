"""The weight that Binance's requests of one minute may have, and the ban of a client that goes on after a refusal. No clock."""

from __future__ import annotations

from typing import Final

from crosstape_simulator.formats import NS
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.binance import rest

PATIENCE: Final = 10
"""Refused requests in one minute after which the address is banned."""
BAN_S: Final = 120


class Weights:
    """What was requested in the current minute."""

    def __init__(self, most: int) -> None:
        self.used = 0
        self.peak = 0
        """The most that one minute had."""
        self._most = most
        self._minute = self._refused = self._banned_until = 0

    def count(self, weight: int, now: int) -> Answer | None:
        """Count a request at `now` (ns). Returns the refusal; None: it is answered."""
        if now < self._banned_until:
            return answer(rest.refusal(418, ""), 418, {"Retry-After": str((self._banned_until - now) // NS + 1)})
        if now // NS // 60 != self._minute:
            self._minute, self.used, self._refused = now // NS // 60, 0, 0
        self.used += weight
        self.peak = max(self.peak, self.used)
        if self.used <= self._most:
            return None
        self._refused += 1
        if self._refused > PATIENCE:
            self._banned_until = now + BAN_S * NS
            return answer(rest.refusal(418, ""), 418, {"Retry-After": str(BAN_S)})
        return answer(rest.refusal(429, ""), 429, {"Retry-After": str(60 - now // NS % 60)})
