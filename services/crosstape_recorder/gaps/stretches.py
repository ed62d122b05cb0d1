"""Puts what is missing of many feeds for one reason into one line: a time in which a venue, or nobody at all, was recorded. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from crosstape_recorder.gaps.gap import Feed, HistoryGap, Part, Seen
from crosstape_recorder.gaps.ranges import Range, overlap, union
from crosstape_schemas import VENUE_WIDE

AROUND_NS: Final = 60_000_000_000
"""A gap of one feed begins with its last event before the stretch and ends with its first one behind it: no further away than this."""


class Listed(msgspec.Struct, frozen=True):
    """One line of the list of what the history lacks."""

    gap: HistoryGap
    """The gap of one feed; or of all feeds of a venue, or of all venues, in one stretch of time."""
    members: tuple[HistoryGap, ...]
    """The gaps of single feeds that the line stands for."""

    @property
    def repairable(self) -> tuple[str, ...]:
        """Kinds, with their timeframe, that a repair can fetch."""
        return tuple(sorted({member.feed.feed_kind for member in self.members if not member.why_not}))


def listed(gaps: Sequence[HistoryGap], venues: Collection[str]) -> list[Listed]:
    """Returns the lines for these gaps, by time: one for each stretch in which a venue as a whole is missing, or all `venues` are.

    A gap whose number of missing events is known stays a line of its own, as does one that lasts much longer than the stretch.
    """
    by_stretch: dict[tuple[str, Range], list[HistoryGap]] = defaultdict(list)
    lines: list[Listed] = []
    stretches = {venue: union(ranges) for venue, ranges in _stretches(gaps).items()}
    for gap in gaps:
        stretch = _stretch_of(gap, stretches.get(gap.feed.venue, ()))
        if stretch is None:
            lines.append(Listed(gap, (gap,)))
        else:
            by_stretch[gap.feed.venue, stretch].append(gap)
    lines += [
        Listed(_joined(group, between) if len(group) > 1 else group[0], tuple(group))
        for group, between in _of_all_venues(by_stretch, venues)
    ]
    return sorted(lines, key=lambda line: (line.gap.from_ts, line.gap.feed))


def _stretches(gaps: Iterable[HistoryGap]) -> dict[str, list[Range]]:
    """Return the times in which a venue gave no sign of life, or its connector reported that it did not run."""
    found: dict[str, list[Range]] = defaultdict(list)
    for gap in gaps:
        for part in gap.parts:
            if part.seen is Seen.SILENCE or (gap.feed.instrument == VENUE_WIDE and gap.missing is None):
                found[gap.feed.venue].append((part.from_ts, part.to_ts))
    return found


def _stretch_of(gap: HistoryGap, stretches: Iterable[Range]) -> Range | None:
    if gap.missing is not None:
        return None
    for from_ts, to_ts in stretches:
        is_within = from_ts - AROUND_NS <= gap.from_ts and gap.to_ts <= to_ts + AROUND_NS
        if is_within and overlap((gap.from_ts, gap.to_ts), (from_ts, to_ts)):
            return from_ts, to_ts
    return None


def _of_all_venues(by_stretch: dict[tuple[str, Range], list[HistoryGap]], venues: Collection[str]) -> list[tuple[list[HistoryGap], Range]]:
    """Return the groups with their times, of which those that overlap are one if they are of all venues."""
    found: list[tuple[list[HistoryGap], Range]] = []
    for moment in union(stretch for _, stretch in by_stretch):
        groups = [(group, stretch) for (_, stretch), group in by_stretch.items() if overlap(stretch, moment)]
        if {gap.feed.venue for group, _ in groups for gap in group} >= set(venues):
            groups = [([gap for group, _ in groups for gap in group], moment)]
        found += groups
    return found


def _joined(group: Sequence[HistoryGap], between: Range) -> HistoryGap:
    venues = {gap.feed.venue for gap in group}
    parts: list[Part] = sorted((part for gap in group for part in gap.parts), key=lambda part: (part.from_ts, part.to_ts))
    can_be = any(not gap.why_not for gap in group)
    return HistoryGap(
        Feed(venues.pop() if len(venues) == 1 else VENUE_WIDE, VENUE_WIDE, VENUE_WIDE),
        *between,
        None,
        tuple(parts),
        why_not="" if can_be else "; ".join(sorted({gap.why_not for gap in group})),
    )
