"""The rate limit of a venue: a bucket that fills at a steady rate. No clock: time comes in as a value."""

from __future__ import annotations

from crosstape_simulator.formats import NS


class Bucket:
    """A token bucket, full at first; each request uses one token."""

    def __init__(self, per_s: float, burst: float) -> None:
        """`per_s` 0: no limit. `burst`: how many tokens it holds, one at least."""
        self._per_s = per_s
        self._burst = self._held = max(1.0, burst)
        self._ts: int | None = None

    def allows(self, now: int) -> bool:
        """Whether a request at `now` (ns) is within the limit; it is then counted."""
        if not self._per_s:
            return True
        elapsed = max(0, now - self._ts) if self._ts is not None else 0
        self._ts = now
        self._held = min(self._burst, self._held + elapsed / NS * self._per_s)
        if self._held < 1.0:
            return False
        self._held -= 1.0
        return True
