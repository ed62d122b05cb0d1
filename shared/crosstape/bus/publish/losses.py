"""What will not be on the tape, until a gap has said so: of one stream, or of the whole venue where nobody knows of which.

Losses of one stream and one cause are joined, so that a long trouble is told in few gaps. Publishing the gaps is the publisher's.
"""

from __future__ import annotations

from typing import Final

from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.publish.stream import Stream
from crosstape_schemas import VENUE_WIDE, Gap, GapCause

REPORT_S: Final = 1.0
"""Losses are reported at most so often."""


class Loss:
    """What a stream lacks, from the first to the last of it."""

    __slots__ = ("from_ts", "missed", "to_ts")

    def __init__(self, from_ts: int, to_ts: int, missed: int) -> None:
        self.from_ts = from_ts
        self.to_ts = to_ts
        self.missed = missed

    def join(self, from_ts: int, to_ts: int, missed: int) -> None:
        """So many more are missing, somewhere between these."""
        self.from_ts = min(self.from_ts, from_ts)
        self.to_ts = max(self.to_ts, to_ts)
        self.missed += missed


class Losses:
    """Of one publisher. Each is counted when it is noted, and forgotten when the gap for it is taken."""

    def __init__(self, metrics: PublisherMetrics) -> None:
        self._metrics = metrics
        self._streams: dict[Stream, dict[GapCause, Loss]] = {}
        self._venue_wide: list[tuple[int | None, int]] = []
        self._reported_at = 0.0

    def note(self, stream: Stream, cause: GapCause, from_ts: int, to_ts: int, missed: int) -> None:
        """So many events of a stream will not be on the tape."""
        losses = self._streams.setdefault(stream, {})
        if cause in losses:
            losses[cause].join(from_ts, to_ts, missed)
        else:
            losses[cause] = Loss(from_ts, to_ts, missed)
        self._metrics.dropped(stream.kind, missed, cause)

    def note_venue_wide(self, missed: int | None, from_ts: int) -> None:
        """So many events (None: nobody knows how many) will not be on the tape, of which streams nobody knows."""
        if missed:
            self._metrics.dropped(VENUE_WIDE, missed, GapCause.BUS)
        self._venue_wide.append((missed, from_ts))

    def untold(self, venue: str) -> bool:
        """Whether there is a loss to report. What only the venue is known of waits until that is: until then it is ''."""
        return bool(self._streams) or (bool(self._venue_wide) and bool(venue))

    def due(self, now: float) -> bool:
        """Whether the last report is long enough ago, on the monotonic clock."""
        return now >= self._reported_at + REPORT_S

    def venue_gaps(self, venue: str, now: float, now_ts: int) -> list[Gap]:
        """The gaps of a report that begins now: those of the whole venue, if that is known by now."""
        self._reported_at = now
        if not venue:
            return []
        losses, self._venue_wide = self._venue_wide, []
        return [Gap(venue, VENUE_WIDE, None, now_ts, VENUE_WIDE, from_ts, now_ts, missed, GapCause.BUS) for missed, from_ts in losses]

    def stream_gaps(self, now_ts: int) -> list[Gap]:
        """And those of one stream after another, by cause; none when all are told."""
        if not self._streams:
            return []
        stream = next(iter(self._streams))
        return [
            Gap(stream.venue, stream.instrument, None, now_ts, stream.kind, loss.from_ts, loss.to_ts, loss.missed, cause)
            for cause, loss in self._streams.pop(stream).items()
        ]
