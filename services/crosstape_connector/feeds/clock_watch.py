"""Notices that our clock was set, or that this process was stopped for a while. Pure: times come in as values.

A process may be stopped by a signal, with its virtual machine, or by a laptop that sleeps. When it goes on, its sockets still hold what
came first, and the rest was never sent: data that are read now may be as old as the stop. A clock may be set by its user or by NTP: then
times that were read before it do not compare with those after it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from crosstape_connector.feeds.clock_step import ClockStep

SET_NS: Final = 500_000_000
"""Our clock was set if it and the steady clock disagree by more than this between two checks."""

STOPPED_NS: Final = 2_000_000_000
"""This process was stopped if the next check comes later than this."""


class Stop(NamedTuple):
    """The time in which this process did nothing, by our clock as it is set now."""

    from_ts: int
    to_ts: int


class ClockWatch:
    """Compares our clock with a steady one at each `check`, which is due several times a second."""

    def __init__(self, now: int, steady_ns: int) -> None:
        """`now`: ns since the epoch. `steady_ns`: ns of a clock that nobody sets and that goes on while the machine sleeps."""
        self._checked_ts = now
        self._steady_ns = steady_ns

    def check(self, now: int, steady_ns: int) -> tuple[ClockStep | None, Stop | None]:
        """Return the step of our clock and the stop of this process since the last check, if any."""
        passed_ns = steady_ns - self._steady_ns
        step_ns = now - self._checked_ts - passed_ns
        step = ClockStep(step_ns, self._checked_ts + step_ns, now) if abs(step_ns) > SET_NS else None
        before_ts = self._checked_ts if step is None else self._checked_ts + step_ns
        self._checked_ts, self._steady_ns = now, steady_ns
        return step, Stop(before_ts, now) if passed_ns > STOPPED_NS else None
