"""What a recording shows of each feed's pace: how many events, how often, the longest silence, and how old they are when they arrive."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from crosstape_connector.evidence.finding import Finding, Verdict, millis, quantile, spread

SECTION: Final = "Pace and lag"


class _Feed:
    """The times of one kind of event, ns."""

    def __init__(self) -> None:
        self.newest_ts: int | None = None
        self.intervals = array("q")
        self.lags = array("q")
        self.count = 0


class PaceEvidence:
    """Gathers the times of all kinds of events of one instrument."""

    def __init__(self, kinds: Iterable[str]) -> None:
        """`kinds`: those of which something should come: the venue has them, and they were subscribed."""
        self._feeds = {kind: _Feed() for kind in kinds}

    def add(self, kind: str, venue_ts: int | None, received_ts: int) -> None:
        """Count one event."""
        feed = self._feeds.setdefault(kind, _Feed())
        feed.count += 1
        if feed.newest_ts is not None:
            feed.intervals.append(received_ts - feed.newest_ts)
        feed.newest_ts = received_ts
        if venue_ts is not None:
            feed.lags.append(received_ts - venue_ts)

    def findings(self) -> Iterator[Finding]:
        """Yield one row for each kind."""
        for kind, feed in self._feeds.items():
            if not feed.count:
                yield Finding(SECTION, kind, "no event", "the venue has it", Verdict.NOT_SEEN)
                continue
            parts = [f"{feed.count} events"]
            if feed.intervals:
                ordered = sorted(feed.intervals)
                parts.append(f"median interval {millis(quantile(ordered, 0.5))}, longest silence {millis(ordered[-1])}")
            parts.append(f"lag {spread(feed.lags)}" if feed.lags else "no time of the venue's")
            yield Finding(SECTION, kind, "; ".join(parts), "the venue has it", Verdict.HOLDS)
