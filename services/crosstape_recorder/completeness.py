"""Says whether a bar is complete, by the rules of docs/explanation/bars.md, from what the history has. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from crosstape_recorder.gaps.ranges import Range, any_overlaps, union
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, FeedState, Status


class _Sign(NamedTuple):
    received_ts: int
    epoch: int


class FeedLife:
    """When a venue's feed of trades in an instrument was live, and its connector's clock right, as statuses say."""

    def __init__(self, tolerance_ns: int) -> None:
        self._tolerance_ns = tolerance_ns
        self._signs: list[_Sign] = []  # of the venue, where it was live and its clock right
        self._states: dict[int, list[tuple[int, bool]]] = {}  # epoch → (when, whether live), of the feed

    def note(self, status: Status) -> None:
        """Note a status of the venue or of its feed, in any order."""
        if status.instrument == VENUE_WIDE:
            offset = status.clock_offset_ns
            if status.state is FeedState.LIVE and offset is not None and abs(offset) <= self._tolerance_ns:
                self._signs.append(_Sign(status.received_ts, status.epoch))
        elif status.kind in ("trade", VENUE_WIDE):
            states = self._states.setdefault(status.epoch, [])
            states.append((status.received_ts, status.state is FeedState.LIVE))

    def sort(self) -> None:
        """Call it once all are noted."""
        self._signs.sort()
        for states in self._states.values():
            states.sort()

    @property
    def is_known(self) -> bool:
        """Whether there is a status of the feed."""
        return bool(self._states)

    def was_right_after(self, ts: int) -> bool:
        """Whether at this moment (ns) or later the venue was live, its clock right, and its feed live."""
        for sign in self._signs[bisect_left(self._signs, (ts, 0)) :]:
            states = self._states.get(sign.epoch, [])
            at = bisect_right(states, (sign.received_ts, True)) - 1
            if at >= 0 and states[at][1]:
                return True
        return False


class Completeness:
    """What is known of the trades of one instrument."""

    def __init__(
        self, gaps: Mapping[str, Iterable[Range]], since: Mapping[str, int], lives: Mapping[str, FeedLife], *, tolerance_ns: int
    ) -> None:
        """`gaps`: venue → ranges in which trades are missing. `since`: venue → from when on (ns) its trades are known.

        The venues are those of `since`: all that trade the instrument.
        """
        self.venues = tuple(since)
        self._gaps = {venue: union(ranges) for venue, ranges in gaps.items()}
        self._since = since
        self._lives = lives
        self._tolerance_ns = tolerance_ns

    def of(self, venue: str, open_ts: int, close_ts: int, before: Iterable[str] = ()) -> bool:
        """Whether the bar of a venue, or of all together, is complete. `before`: the venues whose bar of this interval was complete before:
        that their feeds were right then stays so.
        """
        if venue == CONSOLIDATED:
            return bool(self._since) and all(self.of(one, open_ts, close_ts, before) for one in self._since)
        if venue not in self._since or self._since[venue] > open_ts:
            return False
        gaps = self._gaps.get(venue, [])
        if any_overlaps(gaps, (open_ts - self._tolerance_ns, close_ts + self._tolerance_ns - 1)):
            return False
        life = self._lives.get(venue)
        return venue in before or (life is not None and life.was_right_after(close_ts))
