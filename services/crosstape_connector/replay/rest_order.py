"""Puts the REST answers of a capture in their places: the instruments first, each book snapshot at the time when it was received. Pure.

A capture that can be read twice (a file) is searched first, and only lines that are in a wrong place are moved. Of one that can be read
only once (a pipe) the lines before the first list of instruments are kept back, and snapshots before frames of earlier times: up to
`CAPACITY` bytes of each; beyond that, lines are passed on as they come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Final

import msgspec

from crosstape_connector.capture.reader import CaptureLine
from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.replay.polled_answers import is_polled
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Instrument

CAPACITY: Final = 256 * 1024 * 1024
"""Bytes of frames and answers kept back at most."""
END: Final = 1 << 63
"""A time after all others."""
SLACK_NS: Final = 10_000_000
"""A snapshot may be this far from its place, ns: lines of one moment may be in either order."""


class RestOrder:
    """Finds, in a first reading, lists of instruments that come too late, and snapshots that are not in the order of their times."""

    def __init__(self, venue: Venue, lines: Iterable[CaptureLine]) -> None:
        """Read all `lines`, and keep those that must be moved."""
        self._venue = venue
        self._moved: set[int] = set()  # numbers of lines
        self._instruments: list[CaptureLine] = []
        self._snapshots: list[tuple[int, CaptureLine]] = []
        waiting: list[tuple[int, int, CaptureLine]] = []  # snapshots that may be too early
        newest_ts = 0
        begun = False
        for number, line in enumerate(lines):
            if line.d == "rest":
                if begun and _lists_instruments(venue, line):
                    self._instruments.append(line)
                    self._moved.add(number)
                elif _is_snapshot(venue, line):
                    begun = True
                    if line.t is None:
                        continue
                    if line.t < newest_ts - SLACK_NS:
                        self._move(number, line.t, line)
                    else:
                        waiting.append((number, line.t, line))
            elif line.d == "in":
                begun = True
                if line.t is None:
                    continue
                newest_ts = max(newest_ts, line.t)
                for one in waiting:
                    if line.t < one[1] - SLACK_NS:
                        self._move(*one)
                waiting.clear()
        self._snapshots.sort(key=lambda pair: pair[0])

    def _move(self, number: int, t: int, line: CaptureLine) -> None:
        self._moved.add(number)
        self._snapshots.append((t, line))

    def of(self, lines: Iterable[CaptureLine]) -> Iterator[CaptureLine]:
        """Yield the same lines, read again, in order."""
        return self._ordered(_without_idle_times(self._venue, lines))

    def _ordered(self, lines: Iterable[CaptureLine]) -> Iterator[CaptureLine]:
        yield from map(_timeless, self._instruments)
        due = deque(self._snapshots)
        for number, line in enumerate(lines):
            if number in self._moved:
                continue
            while due and line.t is not None and due[0][0] < line.t:
                yield due.popleft()[1]
            yield line
        for _, line in due:
            yield line


def of_a_pipe(venue: Venue, lines: Iterator[CaptureLine]) -> Iterator[CaptureLine]:
    """Yield the lines of a capture that can be read only once, as `RestOrder` does; but snapshots after later frames stay there."""
    return _snapshots_in_order(venue, _without_idle_times(venue, _instruments_first(venue, lines)))


def _instruments_first(venue: Venue, lines: Iterator[CaptureLine]) -> Iterator[CaptureLine]:
    """Yield the lines, with the first list of instruments before the frames and snapshots that came before it."""
    kept: list[CaptureLine] = []
    size = 0
    begun = False
    for line in lines:
        if line.d == "rest" and _lists_instruments(venue, line):
            if begun:
                yield _timeless(line)
            yield from kept
            if not begun:
                yield line
            kept.clear()
            break
        kept.append(line)
        begun = begun or line.d == "in" or _is_snapshot(venue, line)
        size += _size(line)
        if size > CAPACITY:
            break
    yield from kept
    yield from lines


class _Early:
    """Keeps snapshots that come before frames of earlier times, until it is their turn."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, CaptureLine]] = []  # a heap, by time and place
        self._places = count()
        self._size = 0

    def add(self, t: int, line: CaptureLine) -> None:
        """Keep one more snapshot."""
        heappush(self._waiting, (t, next(self._places), line))
        self._size += _size(line)

    def due(self, t: int | None) -> Iterator[CaptureLine]:
        """Yield those from before `t` (None: no time), and the oldest of more than may be kept."""
        while self._waiting and (self._size > CAPACITY or (t is not None and self._waiting[0][0] < t)):
            line = heappop(self._waiting)[2]
            self._size -= _size(line)
            yield line


def _snapshots_in_order(venue: Venue, lines: Iterable[CaptureLine]) -> Iterator[CaptureLine]:
    """Yield the lines, with each snapshot that comes before frames of earlier times moved behind those."""
    early = _Early()
    kept: list[CaptureLine] = []  # a snapshot that may be early, and what came since: the next frame's time decides
    size = 0
    for line in lines:
        if (kept or _is_snapshot(venue, line)) and (line.d != "in" or line.t is None) and size <= CAPACITY:
            kept.append(line)
            size += _size(line)
            continue
        for one in kept:
            if line.t is not None and one.t is not None and line.t < one.t - SLACK_NS and _is_snapshot(venue, one):
                early.add(one.t, one)
            else:
                yield from early.due(one.t)
                yield one
        kept.clear()
        size = 0
        yield from early.due(line.t)
        yield line
    for one in kept:
        yield from early.due(one.t)
        yield one
    yield from early.due(END)


def _without_idle_times(venue: Venue, lines: Iterable[CaptureLine]) -> Iterator[CaptureLine]:
    """Yield the lines; REST lines other than snapshots and polled figures without their time, for nothing is published of them."""
    for line in lines:
        is_idle = line.d == "rest" and not _is_snapshot(venue, line) and not is_polled(venue, line)
        yield _timeless(line) if is_idle else line


def _size(line: CaptureLine) -> int:
    return len(line.f or line.b or "")


def _timeless(line: CaptureLine) -> CaptureLine:
    """Return the line without its time: instruments are valid from the beginning of the capture."""
    return msgspec.structs.replace(line, t=None)


def _lists_instruments(venue: Venue, line: CaptureLine) -> bool:
    if line.bad or not venue.instruments.match(line.u):
        return False
    try:
        return any(isinstance(row, Instrument) for row in venue.instruments.parse(line.body()))
    except FRAME_ERRORS:
        return False


def _is_snapshot(venue: Venue, line: CaptureLine) -> bool:
    return line.d == "rest" and not line.bad and venue.snapshots is not None and venue.snapshots.match(line.u) is not None
