"""Decides when to poll by REST, and which feeds next. Pure: `polling` makes the requests, `FeedHandler` applies the answers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

from crosstape_connector.feeds.feed_state import POLLED

POLL_S: Final = 1.0
"""No feed is polled more often, whatever the limit."""


class Absence:
    """Measures for how long an endpoint has been away. Times are seconds of one steady clock."""

    def __init__(self, after_s: float) -> None:
        """`after_s`: how long it may be away."""
        self._after_s = after_s
        self._since: float | None = None

    def is_too_long(self, now: float, *, connected: bool) -> bool:
        """Note whether the endpoint is connected now; return whether it has been away for too long."""
        if connected:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._after_s

    def due_in(self, now: float) -> float:
        """Return the seconds until the absence is too long, if it goes on; `math.inf`: it is too long already, or there is none."""
        left_s = math.inf if self._since is None else self._since + self._after_s - now
        return left_s if left_s > 0 else math.inf


class PollSchedule:
    """Decides which feeds are polled next: all in turn, as often as the limit allows, `POLL_S` after the last time at the earliest."""

    def __init__(self, *, per_minute: int, batch: int, every_s: float = 0.0) -> None:
        """`per_minute`: requests. `batch`: feeds in one request. `every_s`: how often to poll a feed, if that is less often."""
        self._per_minute = per_minute
        self._batch = batch
        self._every_s = every_s
        self._interval_s = POLL_S
        self._polled: dict[str, float] = {}

    def interval_s(self, count: int) -> float:
        """Return how often each of `count` feeds is polled."""
        return max(POLL_S, self._every_s, math.ceil(count / self._batch) * 60.0 / self._per_minute)

    def next_names(self, names: Collection[str], now: float) -> Sequence[str]:
        """Return the instruments to poll next, in one request; empty: none is due. `names`: all that are to be polled."""
        self._interval_s = interval_s = self.interval_s(len(names))
        self._polled = {name: self._polled.get(name, now - interval_s) for name in names}
        due = sorted((name for name, at in self._polled.items() if now - at >= interval_s), key=self._polled.__getitem__)
        turn = due[: self._batch]
        self._polled |= dict.fromkeys(turn, now)
        return turn

    def due_in(self, now: float) -> float:
        """Return the seconds until one of the last `names` is due; `math.inf`: there were none."""
        return min((max(0.0, at + self._interval_s - now) for at in self._polled.values()), default=math.inf)


def reason(interval_s: float) -> str:
    """Return the reason in the status of a polled feed."""
    return f"{POLLED}, every {interval_s:.3g} s at best"
