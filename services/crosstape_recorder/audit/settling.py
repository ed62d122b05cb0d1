"""Follows one leg from quote to quote, and says whether it may count, must settle, or is suspect. From the text of `cbbo/1`.

The moments are those of published quotes: each change of a leg is published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from crosstape_recorder.audit.price_stream import Input
from crosstape_schemas import Exclusion, Leg

FAULTS: Final = frozenset({Exclusion.STATE, Exclusion.STALE, Exclusion.CROSSED, Exclusion.OUTLIER})
"""After one of these a leg that has prices must settle."""

Verdict = tuple[str, str] | None
"""Why `excluded` is not as it must be: what it must be, and why. None: it may be so."""


class Settling:
    """What was published of one leg, by one aggregator."""

    __slots__ = ("_before", "_named", "_settles_from", "_suspect_from", "_suspect_since")

    def __init__(self) -> None:
        self._before: Leg | None = None
        self._named: Input | None = None
        self._settles_from: int | None = None  # `ts` from which it settles; None: not known
        self._suspect_from = 0  # `ts` of the first quote in which it is suspect, without a break …
        self._suspect_since = 0  # … and of the last one in which it may have become so again

    def is_newly_suspect(self, leg: Leg, named: Input | None) -> bool:
        """Whether a suspect leg was not suspect in the quote before, or its feed has brought something since."""
        before = self._before
        return before is None or before.excluded is not Exclusion.SUSPECT or self._named is not named

    def verdict(self, leg: Leg, named: Input | None, ts: int, settle_ns: int, had_fault: Callable[[], bool]) -> Verdict:
        """Compare with the quote before. `had_fault`: whether the leg may have had a fault since then that no quote shows."""
        before, self._before = self._before, leg
        newly = before is None or before.excluded is not Exclusion.SUSPECT or self._named is not named
        self._named = named
        excluded, former = leg.excluded, before.excluded if before is not None else None
        verdict = None if before is None else self._judge(excluded, before, ts, settle_ns, had_fault)
        if excluded is Exclusion.SETTLING and former is not Exclusion.SETTLING:
            self._settles_from = ts if before is not None else None
        if excluded is Exclusion.SUSPECT and newly:
            if former is not Exclusion.SUSPECT:
                self._suspect_from = ts
            self._suspect_since = ts
        return verdict

    def _judge(self, excluded: Exclusion | None, before: Leg, ts: int, settle_ns: int, had_fault: Callable[[], bool]) -> Verdict:
        if excluded is Exclusion.SETTLING:
            return self._settles(before, ts, settle_ns, had_fault)
        if excluded is None:
            return self._counts(before, ts, settle_ns)
        return None

    def _settles(self, before: Leg, ts: int, settle_ns: int, had_fault: Callable[[], bool]) -> Verdict:
        former = before.excluded
        if former is Exclusion.SETTLING:
            if self._settles_from is None or ts - self._settles_from < settle_ns:
                return None
            if had_fault():
                self._settles_from = None
                return None
            return "null", f"it has settled since {self._settles_from}, which is over"
        if former in FAULTS or former is Exclusion.EMPTY or had_fault():
            return None
        if former is Exclusion.SUSPECT:
            if ts - self._suspect_from >= settle_ns:
                return None
            return "null", f"it was suspect from {self._suspect_from} on, for less than settle_s"
        return "null", "it counted in the quote before, and had no fault since"

    def _counts(self, before: Leg, ts: int, settle_ns: int) -> Verdict:
        former = before.excluded
        if not settle_ns:
            return None
        if former in FAULTS and before.seq:
            return "settling", f"it was excluded in the quote before: {former}"
        if former is Exclusion.SUSPECT and ts - self._suspect_since >= settle_ns:
            return "settling", f"it was suspect from {self._suspect_from} on, for settle_s or longer"
        if former is Exclusion.SETTLING and self._settles_from is not None and ts - self._settles_from < settle_ns:
            return "settling", f"it settles since {self._settles_from}"
        return None
