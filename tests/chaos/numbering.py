"""The rule of numbers: within (stream, venue, epoch) `seq` is 1, 2, 3 …; epochs only grow; missing numbers are reported as gaps, exactly.

Only a server that loses acknowledged entries may leave missing numbers. The producer publishes those entries again or, where it cannot,
a gap of cause `bus` with their count. A gap of bars is of the venue `consolidated`, whichever venue's bars it reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Gap, GapCause
from tests.chaos.tape import KEYS, Entry
from tests.chaos.violations import Violation


class Numbering:
    """Checks the numbers of all streams."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], tuple[int, int]] = {}  # (stream, venue) → (epoch, seq) of its newest
        self._holes: Counter[tuple[str, str]] = Counter()  # (stream, venue) → numbers that are missing
        self._told: Counter[tuple[str, str]] = Counter()

    def take(self, entry: Entry, trimmed: Collection[str]) -> Iterator[Violation]:
        """The next of its stream. `trimmed`: streams whose beginning is not known."""
        stream, _, event = entry
        venue = event.venue
        if venue == CONSOLIDATED and event.instrument == VENUE_WIDE:
            venue = f"{venue} {event.epoch}"  # aggregators of several shares write there at the same time
        key = stream, venue
        epoch, seq = self._at.get(key, (0, 0))
        if isinstance(event, Gap) and event.cause is GapCause.BUS:
            self._told[_stream(event), event.venue] += event.missed or 0
        if event.epoch < epoch:
            yield Violation("an epoch came back", _where(entry), f"epoch {epoch} or later", f"epoch {event.epoch}")
            return
        if event.epoch > epoch:
            seq = event.seq - 1 if not epoch and stream in trimmed else 0
        self._at[key] = event.epoch, max(seq, event.seq)
        if event.seq <= seq:
            yield Violation("a number came again", _where(entry), f"seq {seq + 1} of epoch {event.epoch}", f"seq {event.seq}")
        elif event.seq > seq + 1:
            self._holes[key] += event.seq - seq - 1

    def done(self) -> Iterator[Violation]:
        """Check at the end whether missing numbers and reported gaps agree."""
        for stream, venue in list(self._holes):
            if ":bar:" in stream and venue != CONSOLIDATED:
                self._holes[stream, CONSOLIDATED] += self._holes.pop((stream, venue), 0)
        for key in sorted({*self._holes, *self._told}):
            if self._holes[key] != self._told[key]:
                yield Violation("numbers are missing", " of ".join(key), f"{self._told[key]}, as gaps say", f"{self._holes[key]}")


def _where(entry: Entry) -> str:
    return f"{entry.stream} {entry.id} of {entry.event.venue}"


def _stream(gap: Gap) -> str:
    """The stream that a gap is about."""
    return KEYS.venue(gap.venue) if gap.instrument == "*" else KEYS.stream(gap.kind, gap.instrument)
