"""Which instruments are to be asked about next, and when. Pure: the shell is `questions`."""

from __future__ import annotations

import math
from collections.abc import Collection


class ProbeSchedule:
    """Of one kind of question. Times are seconds of one steady clock."""

    def __init__(self, *, urgent_s: float, silent_s: float, routine_s: float = math.inf) -> None:
        """So often, at most, what is urgent is asked about, what has been silent for a while, and all others (never without a number)."""
        self._urgent_s = urgent_s
        self._silent_s = silent_s
        self._routine_s = routine_s
        self._urgent: dict[str, None] = {}
        self._asked: dict[str, float] = {}

    def want(self, name: str) -> None:
        """Ask about this one as soon as may be."""
        self._urgent[name] = None

    def next(self, names: Collection[str], *, now: float, often: Collection[str], silent: Collection[str], count: int) -> list[str]:
        """At most `count` of the `names`: what is wanted first, then those that were not asked about for longest. Empty: none is due.

        `often`: those that are urgent, too, `silent`: those that have been silent for a while. One that is new is due at once.
        """
        self._asked = {name: self._asked.get(name, -math.inf) for name in names}
        self._urgent = {name: None for name in self._urgent if name in self._asked}
        periods = dict.fromkeys(names, self._routine_s) | dict.fromkeys(silent, self._silent_s)
        periods |= dict.fromkeys((*often, *self._urgent), self._urgent_s)
        due = [name for name in self._asked if now - self._asked[name] >= periods[name]]
        due.sort(key=lambda name: (name not in self._urgent, self._asked[name]))
        turn = due[:count]
        for name in turn:
            self._asked[name] = now
            self._urgent.pop(name, None)
        return turn
