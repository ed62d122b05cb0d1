"""Remembers what will not be on the tape until a gap has reported it: of one stream, or of the venue where the stream is not known.

Losses of one stream and one cause are joined, so that a long outage is reported in few gaps. The publisher publishes the gaps.
"""

from __future__ import annotations

from typing import Final

from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.publish.stream import Stream
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Gap, GapCause

BAR: Final = "bar:"
REPORT_S: Final = 1.0
"""Shortest time between two reports."""


class Loss:
    """What one stream lacks for one cause, from the first missing event to the last."""

    __slots__ = ("from_ts", "missed", "to_ts")

    def __init__(self, from_ts: int, to_ts: int, missed: int) -> None:
        self.from_ts = from_ts
        self.to_ts = to_ts
        self.missed = missed

    def join(self, from_ts: int, to_ts: int, missed: int) -> None:
        """Add more missing events, which lie somewhere between these times."""
        self.from_ts = min(self.from_ts, from_ts)
        self.to_ts = max(self.to_ts, to_ts)
        self.missed += missed


class Losses:
    """The losses of one publisher. Each is counted when it is noted, and forgotten when its gap is made."""

    def __init__(self, metrics: PublisherMetrics) -> None:
        self._metrics = metrics
        self._streams: dict[Stream, dict[GapCause, Loss]] = {}
        self._venue_wide: list[tuple[int | None, int]] = []
        self._reported_at = 0.0

    def note(self, stream: Stream, cause: GapCause, from_ts: int, to_ts: int, missed: int) -> None:
        """Remember that this many events of a stream will not be on the tape."""
        losses = self._streams.setdefault(stream, {})
        if cause in losses:
            losses[cause].join(from_ts, to_ts, missed)
        else:
            losses[cause] = Loss(from_ts, to_ts, missed)
        self._metrics.dropped(stream.kind, missed, cause)

    def note_venue_wide(self, missed: int | None, from_ts: int) -> None:
        """Remember that this many events (None: the count is not known) will not be on the tape, of streams that are not known."""
        if missed:
            self._metrics.dropped(VENUE_WIDE, missed, GapCause.BUS)
        self._venue_wide.append((missed, from_ts))

    def unreported(self, venue: str) -> bool:
        """Whether there is a loss to report. A venue-wide loss waits until the venue is known (not '')."""
        return bool(self._streams) or (bool(self._venue_wide) and bool(venue))

    def due(self, now: float) -> bool:
        """Whether the last report is long enough ago, by the monotonic clock."""
        return now >= self._reported_at + REPORT_S

    def venue_gaps(self, venue: str, now: float, now_ts: int) -> list[Gap]:
        """Start a report. Returns the gaps of the whole venue; none while the venue is not known."""
        self._reported_at = now
        if not venue:
            return []
        losses, self._venue_wide = self._venue_wide, []
        return [Gap(venue, VENUE_WIDE, None, now_ts, VENUE_WIDE, from_ts, now_ts, missed, GapCause.BUS) for missed, from_ts in losses]

    def stream_gaps(self, now_ts: int) -> list[Gap]:
        """Returns the gaps of one stream, by cause, and forgets them; with each call of the next stream; none when all are reported.

        A gap of bars is of the venue `consolidated`, whose publisher makes the bars of all venues: it has no number for a gap of another.
        """
        if not self._streams:
            return []
        stream = next(iter(self._streams))
        venue = CONSOLIDATED if stream.kind.startswith(BAR) else stream.venue
        return [
            Gap(venue, stream.instrument, None, now_ts, stream.kind, loss.from_ts, loss.to_ts, loss.missed, cause)
            for cause, loss in self._streams.pop(stream).items()
        ]
