"""Decides which instruments are probed next, and when. Pure: `probes` makes the requests."""

from __future__ import annotations

import math
from collections.abc import Collection


class ProbeSchedule:
    """The instruments of one kind of probe. Times are seconds of one steady clock."""

    def __init__(self, *, urgent_s: float, silent_s: float, routine_s: float = math.inf) -> None:
        """How often at most to probe one that is urgent, one that has been silent for a while, and any other (`math.inf`: never)."""
        self._urgent_s = urgent_s
        self._silent_s = silent_s
        self._routine_s = routine_s
        self._requested: dict[str, None] = {}
        self._probed: dict[str, float] = {}
        self._periods: dict[str, float] = {}

    def request(self, name: str) -> None:
        """Probe this one as soon as its period as an urgent one allows."""
        self._requested[name] = None

    def next_names(self, names: Collection[str], *, now: float, urgent: Collection[str], silent: Collection[str], count: int) -> list[str]:
        """Return at most `count` of the `names`: first those requested, then those not probed for longest. Empty: none is due.

        `urgent` and `silent`: which of them are. One that is new is due at once.
        """
        self._probed = {name: self._probed.get(name, -math.inf) for name in names}
        self._requested = {name: None for name in self._requested if name in self._probed}
        periods = dict.fromkeys(names, self._routine_s) | dict.fromkeys(silent, self._silent_s)
        periods |= dict.fromkeys((*urgent, *self._requested), self._urgent_s)
        self._periods = {name: periods[name] for name in self._probed}
        due = [name for name, period_s in self._periods.items() if now - self._probed[name] >= period_s]
        due.sort(key=lambda name: (name not in self._requested, self._probed[name]))
        turn = due[:count]
        for name in turn:
            self._probed[name] = now
            self._requested.pop(name, None)
        return turn

    def due_in(self, now: float) -> float:
        """Return the seconds until one of the last `names` is due, if all stay as they were; `math.inf`: none will be."""
        return min((max(0.0, self._probed[name] + period_s - now) for name, period_s in self._periods.items()), default=math.inf)
