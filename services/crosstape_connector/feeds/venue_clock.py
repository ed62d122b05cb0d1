"""Measures how far our clock is from a venue's, by the times in its data. Pure: times come in as values.

Every event has two times: `venue_ts`, the venue's, and `received_ts`, ours. Their difference is the offset of the clocks plus the time that
the frame was on its way. The smallest difference has the shortest way in it, so the offset is the smallest of the last minute.

Only data that were sent when they were made can be used. A snapshot, a replay of trades, a late trade and an answer of REST are older than
their frame, and so may be a quote of a quiet market that is sent once more: a feed is used when its newest data came by its stream, as a
change, with a venue time above the one before.

One wrong time must not spoil a minute, and a clock that was set must show soon. So a sample far below all others is used only when the next
measurement finds it again; and when the newest `RISEN` samples are all far above the smallest, that one is from before the clock was set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final, NamedTuple

from crosstape_connector.feeds.feed_state import FeedRecord

WINDOW_S: Final = 60.0
"""Samples older than this are dropped."""

STEP_NS: Final = 1_000_000_000
"""Samples that differ by more than this are of different settings of a clock."""

RISEN: Final = 5
"""Samples in a row that must be far above the smallest one before that is dropped."""

IMPOSSIBLE_NS: Final = 2 * 86_400_000_000_000
"""A difference beyond two days comes from a wrong time in a frame, not from a clock."""


class Sample(NamedTuple):
    """The smallest difference that one measurement found."""

    at_s: float
    offset_ns: int


class ClockOffset:
    """Keeps the offset of one venue's clock; call `measure` about once a second."""

    def __init__(self) -> None:
        self.offset_ns: int | None = None
        """Our clock minus the venue's, ns; negative = the venue's is ahead. None: nothing usable was received in the last minute."""
        self._samples: deque[Sample] = deque()
        self._unconfirmed: Sample | None = None
        self._seen: dict[FeedRecord, tuple[int, int | None]] = {}  # count and venue time at the last measurement

    def measure(self, records: Collection[FeedRecord], now_s: float) -> None:
        """Measure with what these feeds have received since the last time. `now_s`: seconds of a steady clock."""
        offsets = self._offsets(records)
        samples = self._samples
        while samples and now_s - samples[0].at_s > WINDOW_S:
            samples.popleft()
        if offsets:
            self._add(Sample(now_s, min(offsets)))
        self.offset_ns = min((sample.offset_ns for sample in samples), default=None)

    def restart(self, records: Collection[FeedRecord]) -> None:
        """Forget all samples, and ignore what was received until now: our clock was set, or the process was stopped."""
        self._samples.clear()
        self._unconfirmed = None
        self.offset_ns = None
        self._offsets(records)

    def _add(self, sample: Sample) -> None:
        samples, unconfirmed = self._samples, self._unconfirmed
        self._unconfirmed = None
        if samples and sample.offset_ns < min(samples, key=_offset).offset_ns - STEP_NS:
            if unconfirmed is None:
                self._unconfirmed = sample
                return
            samples.clear()
            samples.append(unconfirmed)
        samples.append(sample)
        newest = list(samples)[-RISEN:]
        if len(newest) == RISEN and min(newest, key=_offset).offset_ns > min(samples, key=_offset).offset_ns + STEP_NS:
            samples.clear()
            samples.extend(newest)

    def _offsets(self, records: Collection[FeedRecord]) -> list[int]:
        """Return the offset of each feed that has brought usable data since the last measurement."""
        seen, offsets = self._seen, list[int]()
        for record in records:
            before = seen.get(record)
            if before is not None and before[0] == record.count:
                continue
            venue_ts = record.venue_ts
            seen[record] = record.count, venue_ts
            if before is None or before[1] is None or venue_ts is None or venue_ts <= before[1]:
                continue
            offset = record.received_ts - venue_ts
            if record.received_ts != record.replayed_ts and abs(offset) <= IMPOSSIBLE_NS:
                offsets.append(offset)
        if len(seen) > len(records):
            present = set(records)
            self._seen = {record: what for record, what in seen.items() if record in present}
        return offsets


def _offset(sample: Sample) -> int:
    return sample.offset_ns
