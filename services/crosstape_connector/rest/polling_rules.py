"""When to poll over REST, whom next, and what an answer puts on the tape. Pure: the shell is `fallback`."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

from crosstape_connector.feeds.feed_state import POLLED

POLL_S: Final = 1.0
"""No feed is polled more often, whatever the budget."""


class Absence:
    """Since when an endpoint has not been there. Times are seconds of one steady clock."""

    def __init__(self, after_s: float, now: float) -> None:
        """`after_s`: so long it may be away."""
        self._after_s = after_s
        self._since: float | None = now

    def look(self, now: float, *, there: bool) -> bool:
        """Whether it has been away for too long."""
        if there:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._after_s


class Turns:
    """Whose turn it is: all in turn, as often as the budget has it, and never sooner than `POLL_S` after the last time."""

    def __init__(self, *, per_minute: int, batch: int) -> None:
        """`batch`: so many in one request."""
        self._per_minute = per_minute
        self._batch = batch
        self._polled: dict[str, float] = {}

    def interval_s(self, count: int) -> float:
        """How often each of so many is polled."""
        return max(POLL_S, math.ceil(count / self._batch) * 60.0 / self._per_minute)

    def next(self, names: Collection[str], now: float) -> Sequence[str]:
        """The next to ask for, in one request; empty: none is due."""
        interval_s = self.interval_s(len(names))
        self._polled = {name: self._polled.get(name, now - interval_s) for name in names}
        due = sorted((name for name, at in self._polled.items() if now - at >= interval_s), key=self._polled.__getitem__)
        turn = due[: self._batch]
        self._polled |= dict.fromkeys(turn, now)
        return turn


def reason(interval_s: float) -> str:
    """What is said of a polled feed."""
    return f"{POLLED}, every {interval_s:.3g} s at best"
