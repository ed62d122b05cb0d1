"""Rate limits as values: when the next message or request may be sent. No clock, no waiting."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

BURST_S: Final = 5.0
"""A limit per minute is kept in windows of this many seconds: a start need not wait a minute, and no burst uses a minute's requests."""


class RateLimit:
    """Allows at most `count` messages in any `window_s` seconds: a sliding window, not a token bucket.

    A bucket that refills while it is emptied lets almost twice its size through in a second, and venues ban clients for that.
    """

    def __init__(self, count: int, window_s: float) -> None:
        self._window_s = window_s
        self._slots: deque[float] = deque(maxlen=count)

    @classmethod
    def per_second(cls, rate: float) -> RateLimit:
        """Return a limit of `rate` per second, evenly spread.

        A venue counts by its own clock, and messages sent a second apart may arrive a little closer: two bursts of `rate` would count twice
        in one of its seconds. Evenly spread, it counts `rate` + 1 at most.
        """
        return cls(1, 1.0 / rate)

    @classmethod
    def per_minute(cls, count: int) -> RateLimit:
        """Return a limit of `count` per minute, in windows of `BURST_S` seconds, or evenly spread if that allows less than one a window."""
        burst = int(count * BURST_S / 60.0)
        return cls(burst, BURST_S) if burst else cls(1, 60.0 / count)

    def reserve(self, now: float, weight: int = 1) -> float:
        """Reserve the next moment at which a message may be sent. Returns the seconds from `now`, of a monotonic clock, until then.

        `weight`: how many messages it counts as; more than there may be in a window count as that many.
        """
        slots, slot = self._slots, now
        most = slots.maxlen or 1
        weight = min(weight, most)
        ended = len(slots) + weight - most  # so many of those before must be out of the window
        if ended > 0:
            slot = max(slot, slots[ended - 1] + self._window_s)
        if slots:
            slot = max(slot, slots[-1])  # slots are given in order
        slots.extend((slot,) * weight)
        return slot - now

    def spend(self, now: float) -> None:
        """Count a message that could not wait, as the answer to a ping; later messages wait longer."""
        self._slots.append(max(now, self._slots[-1]) if self._slots else now)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait by a `Retry-After` header (seconds or a date), or None. `now`: seconds since the epoch.

    A date is compared with the answer's `Date`, since the server's clock and ours may differ by hours; with `now` if there is none.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    with contextlib.suppress(ValueError, OverflowError):
        now = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    return max(0.0, until - now)
