"""Counts the rows of REST answers that cannot be used, and logs the first of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import structlog

from crosstape_connector.metrics.counters import Counters
from crosstape_connector.venues.messages import Odd

log = structlog.get_logger(__name__)


class OddRows:
    """Counts and logs for one venue."""

    def __init__(self, venue: str, counters: Counters) -> None:
        self._venue = venue
        self._counters = counters
        self._logged: set[tuple[str, str]] = set()

    def report(self, answer: str, odd: Iterable[Odd]) -> None:
        """Count the odd rows of one answer. `answer`: its kind, `trades`. The log has the first row of a kind, and how many there were."""
        found = list(odd)
        if not found:
            return
        for kind, count in Counter(one.kind for one in found).items():
            self._counters.odd[kind] += count
            if (answer, kind) not in self._logged:
                self._logged.add((answer, kind))
                first = next(one.reason for one in found if one.kind == kind)
                log.warning("rest.odd_row", venue=self._venue, answer=answer, kind=kind, rows=count, reason=first)
