"""A step of our own clock, and how times that were read before it are shifted. Pure."""

from __future__ import annotations

from typing import NamedTuple


class ClockStep(NamedTuple):
    """Our clock was set between two checks (see `ClockWatch`)."""

    step_ns: int
    """ns forward; negative = back."""
    from_ts: int
    to_ts: int
    """Times from `from_ts` to `to_ts` were read after the step already."""

    def shifted(self, ts: int) -> int:
        """Return what the clock, as it is set now, would have shown at `ts`. 0 means no time, and stays 0."""
        return ts if not ts or self.from_ts <= ts <= self.to_ts else ts + self.step_ns
