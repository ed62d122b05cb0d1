"""The lines of a capture with its REST answers where they belong, wherever they stand: nothing can be mapped before the instruments are
known, and a book's snapshot is of the time at which it was received.

A capture that can be read twice (a file) is looked through first, and what stands in its place stays there. Of one that can be read only
once (a pipe) the lines before the first list of instruments are held, up to `HELD` bytes; beyond that they are taken as they come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from crosstape_connector.capture_file import Line
from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venue import Venue
from crosstape_schemas import Instrument

HELD: Final = 256 * 1024 * 1024
"""Bytes of frames and answers."""
SLACK_NS: Final = 10_000_000
"""A snapshot is in its place if it is no further from it than this: lines of one moment may stand in either order."""


class RestOrder:
    """What a first reading has found: which instruments come too late, and which snapshots stand elsewhere than their time says."""

    def __init__(self, venue: Venue, lines: Iterable[Line]) -> None:
        """Reads all `lines`, and keeps those that are to be moved."""
        self._moved: set[int] = set()  # numbers of lines
        self._instruments: list[Line] = []
        self._snapshots: list[tuple[int, Line]] = []
        waiting: list[tuple[int, int, Line]] = []  # snapshots that may stand too early
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

    def _move(self, number: int, t: int, line: Line) -> None:
        self._moved.add(number)
        self._snapshots.append((t, line))

    def of(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The same lines, read again, in order."""
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


def instruments_first(venue: Venue, lines: Iterator[Line]) -> Iterator[Line]:
    """The lines, with the first list of instruments before the frames and snapshots that came before it; the order is else as it was."""
    held: list[Line] = []
    size = 0
    begun = False
    for line in lines:
        if line.d == "rest" and _lists_instruments(venue, line):
            if begun:
                yield _timeless(line)
            yield from held
            if not begun:
                yield line
            held.clear()
            break
        held.append(line)
        begun = begun or line.d == "in" or _is_snapshot(venue, line)
        size += len(line.f or line.b or "")
        if size > HELD:
            break
    yield from held
    yield from lines


def _timeless(line: Line) -> Line:
    """The instruments are true from the beginning: their own time is none of the frames that follow."""
    return msgspec.structs.replace(line, t=None)


def _lists_instruments(venue: Venue, line: Line) -> bool:
    if line.bad or not venue.instruments.match(line.u):
        return False
    try:
        return any(isinstance(row, Instrument) for row in venue.instruments.parse(line.body()))
    except FRAME_ERRORS:
        return False


def _is_snapshot(venue: Venue, line: Line) -> bool:
    return line.d == "rest" and not line.bad and venue.snapshots is not None and venue.snapshots.match(line.u) is not None
