"""Limits per time, as values: what a venue allows, when the next may go. No clock, no waiting."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

BURST_S: Final = 5.0
"""A budget per minute is spent in windows of so many seconds: a start need not wait a minute, a bad minute cannot spend it at once."""


class RateLimit:
    """At most `count` in any `window_s` seconds: a rolling window, not a bucket.

    A bucket that refills while it is emptied lets through almost twice its size in a second, which venues answer with a ban.
    """

    def __init__(self, count: int, window_s: float) -> None:
        self._window_s = window_s
        self._slots: deque[float] = deque(maxlen=count)

    @classmethod
    def per_second(cls, rate: float) -> RateLimit:
        """`rate` a second, evenly spread.

        A venue counts by its own clock, and what was sent a second apart may reach it a little closer: two bursts of `rate` would be twice
        as much within its second. Evenly spread, one more than `rate` is the most that it can count.
        """
        return cls(1, 1.0 / rate)

    @classmethod
    def per_minute(cls, count: int) -> RateLimit:
        """`count` a minute, in windows of `BURST_S`, or of one each where those are longer."""
        burst = int(count * BURST_S / 60.0)
        return cls(burst, BURST_S) if burst else cls(1, 60.0 / count)

    def reserve(self, now: float) -> float:
        """Take the next free slot; returns how many seconds from `now` it lies. `now` in seconds of one steady clock, never backwards."""
        slot = now
        if len(self._slots) == self._slots.maxlen:
            slot = max(slot, self._slots[0] + self._window_s)
        if self._slots:
            slot = max(slot, self._slots[-1])  # slots are given in order
        self._slots.append(slot)
        return slot - now

    def spend(self, now: float) -> None:
        """Count one that could not wait (an answer to the venue's ping): what follows waits for it."""
        self._slots.append(max(now, self._slots[-1]) if self._slots else now)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait from a `Retry-After` header (seconds or a date), or None. `now`: seconds since the epoch.

    A date is compared with the answer's own, for the server's clock and ours may differ by hours; with `now` where it has none.
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
