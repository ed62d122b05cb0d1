"""How many requests a venue answers: a bucket that fills at a steady rate and holds so many. No clock: time comes in as a value."""

from __future__ import annotations

from crosstape_simulator.formats import NS


class Bucket:
    """Full at first; each request takes one."""

    def __init__(self, per_s: float, burst: float) -> None:
        """`per_s` 0: no limit. `burst`: how many it holds, one at least."""
        self._per_s = per_s
        self._burst = self._held = max(1.0, burst)
        self._ts: int | None = None

    def allows(self, now: int) -> bool:
        """Whether there was one left for a request at `now` (ns)."""
        if not self._per_s:
            return True
        elapsed = max(0, now - self._ts) if self._ts is not None else 0
        self._ts = now
        self._held = min(self._burst, self._held + elapsed / NS * self._per_s)
        if self._held < 1.0:
            return False
        self._held -= 1.0
        return True
