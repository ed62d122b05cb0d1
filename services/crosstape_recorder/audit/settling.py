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

    __slots__ = ("_before", "_may_have_fault", "_settles_from", "_settles_since", "_suspect_from", "_suspect_since", "_suspected")

    def __init__(self) -> None:
        self._before: Leg | None = None
        self._settles_from: int | None = None  # `ts` from which it settles; None: not known …
        self._settles_since = 0  # … and of the last quote before which it may have begun again
        self._suspected: Input | None = None  # its newest event when it became suspect; None: it is not
        self._suspect_from = 0  # `ts` of the first quote in which it was suspect, without counting since …
        self._suspect_since = 0  # … and of the last one in which it may have become so again
        self._may_have_fault = False  # whether it may have had a fault since it counted last

    def is_newly_suspect(self, leg: Leg, named: Input | None) -> bool:
        """Whether a leg is suspect that was not, or whose feed has brought something since. Another reason may hide the suspicion."""
        return leg.excluded is Exclusion.SUSPECT and (self._suspected is None or self._suspected is not named)

    def verdict(self, leg: Leg, named: Input | None, ts: int, settle_ns: int, had_fault: Callable[[], bool]) -> Verdict:
        """Compare with the quote before. `had_fault`: whether the leg may have had a fault since then that no quote shows."""
        before, self._before = self._before, leg
        excluded, former = leg.excluded, before.excluded if before is not None else None
        if excluded is None:
            verdict = None if before is None else self._counts(before, ts, settle_ns)
            self._may_have_fault, self._suspected = False, None
            return verdict
        verdict = None
        had = had_fault()
        self._may_have_fault = self._may_have_fault or had or excluded in FAULTS
        if excluded is Exclusion.SETTLING:
            if had:
                self._settles_since = ts
            if before is not None:
                verdict = self._settles(former, ts, settle_ns)
            if former is not Exclusion.SETTLING:
                self._settles_from, self._settles_since = (ts if before is not None else None), ts
        elif self.is_newly_suspect(leg, named):
            self._suspect_from = ts if self._suspected is None else self._suspect_from
            self._suspect_since, self._suspected = ts, named
        return verdict

    def _settles(self, former: Exclusion | None, ts: int, settle_ns: int) -> Verdict:
        """Say why a leg that settles must not."""
        if former is Exclusion.SETTLING:
            if ts - self._settles_since < settle_ns or self._settles_from is None:
                return None
            return "null", f"it settles since {self._settles_since}, which is over"
        if self._may_have_fault or former is Exclusion.EMPTY:
            return None
        if former is Exclusion.SUSPECT:
            if ts - self._suspect_from >= settle_ns:
                return None
            return "null", f"it was suspect from {self._suspect_from} on, for less than settle_s"
        return "null", "it counted in the quote before, and had no fault since"

    def _counts(self, before: Leg, ts: int, settle_ns: int) -> Verdict:
        """Say why a leg that counts must not yet."""
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
