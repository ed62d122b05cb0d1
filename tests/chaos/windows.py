"""The rule of windows: a window that is marked complete holds as many trades as there were.

A window of N seconds of a consolidated quote must hold at least all trades of all venues that were made in its last N seconds, less those
of the first second and the newest, which may be late by `late_ns`; and at most those of the N + 2 seconds until its `ts`. A wrong clock
does not matter: trades are counted by their true times. Each instrument is checked every `EVERY_NS`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from crosstape_schemas import Cbbo
from tests.chaos.true_market import TrueInstrument
from tests.chaos.violations import Violation

SECOND: Final = 1_000_000_000
EVERY_NS: Final = 100_000_000
CLOCK_NS: Final = 50_000_000
_FORM: Final = re.compile(r"(\d+)([smh])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600}


class Times:
    """The times of one instrument's trades at one venue, as far as they have been requested."""

    def __init__(self, true: TrueInstrument) -> None:
        self._true = true
        self._times: list[int] = []
        self._last = 0

    def more(self) -> None:
        """Bring it up to what is known."""
        new: list[int] = []
        for number in reversed(self._true.trades):
            if number <= self._last:
                break
            new.append(self._true.trades[number].ts)
        self._last = next(reversed(self._true.trades), 0)
        self._times += reversed(new)

    def between(self, first_ts: int, last_ts: int) -> int:
        """How many, both ends included."""
        return max(0, bisect_right(self._times, last_ts) - bisect_left(self._times, first_ts))


class Windows:
    """Checks the windows of all instruments."""

    def __init__(self, market: Mapping[tuple[str, str], TrueInstrument], *, late_ns: int) -> None:
        """`market`: all venues that are consolidated. `late_ns`: how late a trade may be that is not reported as missing."""
        self._times: dict[str, list[Times]] = defaultdict(list)
        for (_, instrument), true in market.items():
            self._times[instrument].append(Times(true))
        self._late_ns = late_ns
        self._judged: dict[str, int] = defaultdict(int)
        self.checked = 0

    def look(self) -> None:
        """Learn what has been traded since the last time."""
        for venues in self._times.values():
            for times in venues:
                times.more()

    def take(self, quote: Cbbo) -> Iterator[Violation]:
        """The next of its instrument; the market must be known up to its time."""
        if quote.ts < self._judged[quote.instrument] + EVERY_NS:
            return
        self._judged[quote.instrument] = quote.ts
        for name, window in quote.vwap.items():
            form = _FORM.fullmatch(name)
            if form is None or not window.complete:
                continue
            self.checked += 1
            start = quote.ts - int(form[1]) * _UNITS[form[2]] * SECOND
            of = self._times[quote.instrument]
            least = sum(times.between(start + SECOND, quote.ts - self._late_ns) for times in of)
            most = sum(times.between(start - 2 * SECOND, quote.ts + CLOCK_NS) for times in of)
            if not least <= window.trades <= most:
                where = f"{name} of {quote.instrument}, epoch {quote.epoch} seq {quote.seq}, ts {quote.ts}"
                yield Violation("a complete window holds not its trades", where, f"{least} to {most}", window.trades)
