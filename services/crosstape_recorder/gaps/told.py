"""Reads the gaps that events report, and takes off what was repaired, by the rules of the event `gap`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from crosstape_recorder.gaps.gap import Feed, Part, Seen
from crosstape_recorder.gaps.ranges import Range
from crosstape_schemas import Gap


class GapRow(NamedTuple):
    """A recorded event `gap`."""

    gap: Gap
    by_recorder: bool
    """Whether the recorder wrote it: of entries that left the tape unread, or of a repair."""


class Nonexistent(NamedTuple):
    """Ids of trades, or candles, that never existed though others around them do."""

    feed: Feed
    between: Range
    ids: int
    by_recorder: bool


class Told(msgspec.Struct, frozen=True):
    """What the recorded gaps say."""

    open: tuple[Part, ...]
    """What is still missing."""
    all: tuple[Part, ...]
    """The same, and the gaps that were repaired: they explain why rows are missing, or were."""
    nonexistent: tuple[Nonexistent, ...]
    repaired: tuple[Part, ...]
    """The repairs themselves."""


class _Open:
    """A gap that may be repaired. Several events may have the same feed, times and cause."""

    def __init__(self, part: Part) -> None:
        self.parts = [part]
        self.recovered = 0

    @property
    def left(self) -> Part | None:
        """What is missing of it; None: nothing."""
        if not self.parts:
            return None
        counts = [part.missing for part in self.parts]
        if any(count is None for count in counts):
            return self.parts[0]
        missing = sum(count or 0 for count in counts) - self.recovered
        return msgspec.structs.replace(self.parts[0], missing=missing) if missing > 0 else None


def read(rows: Iterable[GapRow]) -> Told:
    """Returns what the recorded gaps say, in whatever order they come.

    A repaired gap with the times and the cause of one that was reported closes it. One with narrower times takes its count off: a part
    came. What is counted as nonexistent is in the count of the repair.
    """
    gaps: dict[tuple[Feed, int, int, str], _Open] = {}
    every: list[Part] = []
    repairs: list[tuple[Gap, Part]] = []
    nonexistent: list[Nonexistent] = []
    seen: set[tuple[object, ...]] = set()
    for gap, by_recorder in rows:
        # Numbers of the recorder's gaps are those of the missing events.
        number = by_recorder, gap.venue, gap.instrument, gap.kind, gap.epoch, gap.seq
        if gap.seq and number in seen:
            continue  # a server that lost data got it twice
        seen.add(number)
        feed = Feed.of(gap.venue, gap.instrument, gap.kind)
        part = Part(feed, gap.from_ts, gap.to_ts, gap.missed, gap.cause.value, Seen.RECORDER if by_recorder else Seen.EVENT)
        if gap.repaired:
            repairs.append((gap, part))
            if gap.nonexistent:
                nonexistent.append(Nonexistent(feed, (gap.from_ts, gap.to_ts), gap.nonexistent, by_recorder))
            continue
        every.append(part)
        key = feed, gap.from_ts, gap.to_ts, gap.cause.value
        if key in gaps:
            gaps[key].parts.append(part)
        else:
            gaps[key] = _Open(part)
    for gap, part in sorted(repairs, key=lambda repair: repair[0].received_ts):
        _apply(gaps, gap, part)
    still = tuple(left for one in gaps.values() if (left := one.left) is not None)
    return Told(still, tuple(every), tuple(nonexistent), tuple(part for _, part in repairs))


def _apply(gaps: dict[tuple[Feed, int, int, str], _Open], gap: Gap, part: Part) -> None:
    if gap.missed == 0 and gap.nonexistent < 0:
        return  # trades came for ids that were counted as nonexistent: nothing was missing
    exact = gaps.get((part.feed, part.from_ts, part.to_ts, part.cause))
    if exact is not None and exact.parts:
        exact.parts.pop()
        if not exact.parts:
            exact.recovered = 0
        return
    around = [
        one
        for (feed, from_ts, to_ts, cause), one in gaps.items()
        if feed == part.feed and cause == part.cause and from_ts <= part.from_ts and part.to_ts <= to_ts and one.parts
    ]
    if around:
        narrowest = min(around, key=lambda one: one.parts[0].to_ts - one.parts[0].from_ts)
        narrowest.recovered += gap.missed or 0
