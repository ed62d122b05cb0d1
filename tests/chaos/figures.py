"""The rule of figures: a mark price, a funding rate, an open interest was true when it was received, and never goes back.

What the venue gives must be the true figures of one moment, which was over for at most `fresh_ns` at the venue's time (where it gives none,
when they were received), and which is not before the moment of the event before. A delay within the venue, as after a stall, can be seen in
its times, and is no error of the tape. Open interest of an inverse contract is not compared: its base units depend on the price at which
the venue counts them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from crosstape_schemas import KIND_OF, Funding, Mark, OpenInterest
from tests.chaos.true_market import TrueFigures, TrueInstrument
from tests.chaos.violations import Violation

CLOCK_NS: Final = 50_000_000
"""How far the market's clock and ours, on one machine, may be apart."""

Figure = Mark | Funding | OpenInterest
FIELDS: Final = {Mark: ("mark_price", "index_price"), Funding: ("rate", "next_ts", "interval_s"), OpenInterest: ("size",)}


class Figures:
    """Checks the figures of one contract of one venue."""

    def __init__(self, true: TrueInstrument, *, fresh_ns: int) -> None:
        """`fresh_ns`: how long after they are over figures may still be given."""
        self._true = true
        self._fresh_ns = fresh_ns
        self._since: dict[str, int] = {}  # kind → the time of the moment that its newest event tells of
        self.checked = 0

    def take(self, event: Figure) -> Iterator[Violation]:
        """The next of its feed."""
        if isinstance(event, OpenInterest) and self._true.inverse:
            return
        kind = KIND_OF[type(event)]
        where = f"{kind} of {self._true.instrument} at {self._true.venue}, epoch {event.epoch} seq {event.seq}"
        known = self._true.figures
        last = bisect_right(known, event.received_ts + CLOCK_NS, key=lambda one: one.ts)
        fits = [index for index in range(last) if _is(event, known[index])]
        self.checked += 1
        if not fits:
            yield Violation("a figure never was", where, f"one of {last}", _said(event))
            return
        since = self._since.get(kind, 0)
        later = [index for index in fits if known[index].ts >= since]
        if not later:
            yield Violation("an older figure came after a newer", where, f"of {since} or later", known[fits[-1]].ts)
            return
        self._since[kind] = known[later[0]].ts
        given_ts = event.received_ts if event.venue_ts is None else min(event.venue_ts, event.received_ts)
        over = known[later[-1] + 1].ts if later[-1] + 1 < len(known) else given_ts
        if given_ts - over > self._fresh_ns:
            yield Violation("a figure is of the past", where, f"{self._fresh_ns / 1e9:g} s at most", f"{(given_ts - over) / 1e9:.1f} s")


def _is(event: Figure, true: TrueFigures) -> bool:
    for name in FIELDS[type(event)]:
        said = getattr(event, name)
        if said is not None and said != getattr(true, "open_interest" if name == "size" else name):
            return False
    return True


def _said(event: Figure) -> tuple[object, ...]:
    return tuple(getattr(event, name) for name in FIELDS[type(event)])
