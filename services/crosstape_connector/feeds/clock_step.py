"""A step of our own clock, and what becomes of times that were read from it before. Pure."""

from __future__ import annotations

from typing import NamedTuple


class ClockStep(NamedTuple):
    """Somebody set our clock between two beats."""

    step_ns: int
    """Forward; negative: back."""
    from_ts: int
    to_ts: int
    """Times from the one to the other were read after the step."""

    def shifted(self, ts: int) -> int:
        """A time of before the step, as the clock shows it now; 0 means that there is none, and stays."""
        return ts if not ts or self.from_ts <= ts <= self.to_ts else ts + self.step_ns
