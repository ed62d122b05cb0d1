"""How far our clock is from a venue's, measured by what its feeds bring. Pure: times come in as values.

Every event has two times: `venue_ts`, the venue's, and `received_ts`, ours. Their difference is what the clocks differ by, and how long the
frame was on its way. The smallest difference has the shortest way in it, so the offset is the smallest of the last minute.

Only data that were sent when they were made can be used. A snapshot, a replay of trades, a late trade and an answer of REST are older than
their frame, and so may be a quote of a quiet market that is sent once more: a feed is used when its newest data came by its stream, as a
change, with a venue time above the one before.

One wrong time must not spoil a minute, and a clock that was set must show soon. So a sample far below all others is used once the next
look finds it so again; and when the newest `RISEN` samples are all far above the smallest, that one is of a time before the clock was set.
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
"""How many samples in a row must be far above the smallest one, until that is dropped."""

IMPOSSIBLE_NS: Final = 2 * 86_400_000_000_000
"""A difference beyond two days is no setting of a clock but a wrong time in a frame."""


class Sample(NamedTuple):
    """The smallest difference that one look found."""

    at_s: float
    offset_ns: int


class ClockOffset:
    """The offset of one venue's clock. `look` about once a second."""

    def __init__(self) -> None:
        self.offset_ns: int | None = None
        """Our clock less the venue's; negative: the venue's is ahead. None: nothing usable was received within the last minute."""
        self._samples: deque[Sample] = deque()
        self._doubted: Sample | None = None
        self._seen: dict[FeedRecord, tuple[int, int | None]] = {}  # count and venue time at the look before

    def measure(self, records: Collection[FeedRecord], now_s: float) -> None:
        """Measure again. `now_s`: of a steady clock."""
        offsets = self._offsets(records)
        samples = self._samples
        while samples and now_s - samples[0].at_s > WINDOW_S:
            samples.popleft()
        if offsets:
            self._add(Sample(now_s, min(offsets)))
        self.offset_ns = min((sample.offset_ns for sample in samples), default=None)

    def restart(self, records: Collection[FeedRecord]) -> None:
        """Our clock was set, or the process was stopped: forget what was measured, and do not use what was received until now."""
        self._samples.clear()
        self._doubted = None
        self.offset_ns = None
        self._offsets(records)

    def _add(self, sample: Sample) -> None:
        samples, doubted = self._samples, self._doubted
        self._doubted = None
        if samples and sample.offset_ns < min(samples, key=_offset).offset_ns - STEP_NS:
            if doubted is None:
                self._doubted = sample
                return
            samples.clear()
            samples.append(doubted)
        samples.append(sample)
        newest = list(samples)[-RISEN:]
        if len(newest) == RISEN and min(newest, key=_offset).offset_ns > min(samples, key=_offset).offset_ns + STEP_NS:
            samples.clear()
            samples.extend(newest)

    def _offsets(self, records: Collection[FeedRecord]) -> list[int]:
        """Of each feed that has brought usable data since the last look."""
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
