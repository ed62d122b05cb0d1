"""Catching up with what was traded before the aggregator was started: where to begin on each stream, and when all of it has been read.

A window needs the trades from its start on, so that is where streams of trades and gaps are read from, `AHEAD_S` earlier because a venue's
clock may be ahead of the server's. Until an instrument's streams have been read up to where they ended when they were found, its windows
are not called complete. Nor do they reach to before the first entry of its stream of trades: where the stream was trimmed, or begun,
later than the window, `complete` is false until the window starts after that. The same holds where a stream of gaps was trimmed, or a
venue's own: which gaps there were before its first entry, and whether clocks were right, is not known. (One that was begun later than
the window is complete: there was nothing before.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from crosstape.bus import Client, Mark, Position, Start
from crosstape.bus.client.call import execute
from crosstape.bus.read.script import LOOK
from crosstape_aggregator.clocks import AHEAD_S
from crosstape_aggregator.recovery.discovery import FoundStream

LOOKS: Final = 64
"""Streams looked at together."""

NO_STREAM: Final = frozenset({b"", b"!", b"0-0"})
"""What `LOOK` answers in place of a last id: no such key, no stream, nothing was ever added."""

SETTLED_S: Final = 2
"""Trades of the seconds around the first entry may have been cut off with the ones before it."""


class StreamExtent(NamedTuple):
    """Which ids a stream has."""

    first: str | None
    """Of its first entry. None: it has none, or there is no such stream."""
    last: str | None
    """The last id it ever gave out, also if that entry was trimmed since. None: it never had an entry, or there is no such stream."""
    trimmed: bool = False
    """It had entries before the first one, or may have had: not every server says so."""


class ReadPlan(NamedTuple):
    """How one stream is read: from where, up to which id it is history, and from which second on its instrument is then known."""

    position: Position
    until: str | None
    known_from_s: int | None


def order(entry_id: str) -> tuple[int, int]:
    """An id as it is ordered."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number or 0)


def plan(extent: StreamExtent, start_s: int) -> ReadPlan:
    """How to read a stream whose events matter from `start_s` on. Known from a stream that has nothing yet: None, until it has."""
    if extent.last is None:
        return ReadPlan(Start.BEGINNING, None, None)
    begin = f"{(start_s - AHEAD_S) * 1000}-0"
    if order(extent.last) < order(begin):
        return ReadPlan(extent.last, extent.last, start_s)
    if extent.first is None:  # all entries were trimmed: the stream is known from behind the last one
        return ReadPlan(extent.last, extent.last, max(start_s, first_known_s(extent.last)))
    if order(extent.first) >= order(begin):
        return ReadPlan(Start.BEGINNING, extent.last, max(start_s, first_known_s(extent.first)))
    return ReadPlan(begin, extent.last, start_s)


def resume(extent: StreamExtent, mark: Mark, start_s: int, known_from_s: int | None) -> ReadPlan | None:
    """How to read on from where a checkpoint ends, whose events matter from `start_s` on. None if the stream is no longer that one (it ends
    earlier: the server lost data), or the checkpoint is so old that reading from there is the longer way.
    """
    if extent.last is None or not ((start_s - AHEAD_S) * 1000, 0) <= order(mark.id) <= order(extent.last):
        return None
    if order(mark.id) == order(extent.last):
        return ReadPlan(mark, None, known_from_s)
    if extent.first is None:  # nothing is left to read; what was trimmed is a gap, see `trimmed_s`
        return ReadPlan(extent.last, None, known_from_s)
    return ReadPlan(mark, extent.last, known_from_s)


def trimmed_s(extent: StreamExtent, stored_id: str) -> tuple[int, int] | None:
    """The first and the last second of what was trimmed between a stored id and what there is now; None if nothing was.

    Of a stream that was trimmed to nothing, all entries behind the stored id are gone, up to the last id that it gave out.
    """
    gone_until = extent.last if extent.first is None else extent.first
    if gone_until is None or order(gone_until) <= order(stored_id):
        return None
    return order(stored_id)[0] // 1000, first_known_s(gone_until) - 1


def silent_until_s(extent: StreamExtent) -> int:
    """The second up to which nothing is known of what a stream of gaps, or a venue's own, had to say; 0: all of it is there."""
    first = extent.first or extent.last
    return first_known_s(first) - 1 if extent.trimmed and first is not None else 0


def first_known_s(first_id: str) -> int:
    """The second from which on a stream is whole that begins with this entry."""
    return order(first_id)[0] // 1000 + SETTLED_S


async def extents(client: Client, streams: Sequence[str]) -> list[StreamExtent]:
    """Of each stream. Raises what the client raises when the server does not answer; a key that is no stream counts as a missing one."""
    found: list[StreamExtent] = []
    for at in range(0, len(streams), LOOKS):
        found += await asyncio.gather(*(_extent(client, stream) for stream in streams[at : at + LOOKS]))
    return found


async def _extent(client: Client, stream: str) -> StreamExtent:
    key = stream.encode()
    last, first, length, added, *_ = (await execute(client, "EVAL", LOOK, 2, key, key, 0))[0]
    if last in NO_STREAM:
        return StreamExtent(None, None)
    return StreamExtent(first.decode() or None, last.decode(), trimmed=added < 0 or added > length)


class CatchUp:
    """Which streams are still history, and which instruments' windows are therefore not known yet."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[int, int]] = {}  # stream → the id at which it stops being history
        self._of: dict[str, str] = {}  # those of instruments
        self._behind: dict[str, int] = {}  # instrument → how many of its streams are history
        self._known_from: dict[str, int] = {}
        self.unbegun: dict[str, str] = {}
        """Streams of trades that have no entry yet → instrument."""

    def start(self, one: FoundStream, how: ReadPlan) -> bool:
        """A stream is read from now on, as planned. Whether there is history on it."""
        if one.kind == "trade":
            if how.known_from_s is None:
                self.unbegun[one.stream] = one.name
            else:
                self._known_from[one.name] = how.known_from_s
        if how.until is None or how.position == how.until:
            return False
        self._until[one.stream] = order(how.until)
        if one.kind != "venue":
            self._of[one.stream] = one.name
            self._behind[one.name] = self._behind.get(one.name, 0) + 1
        return True

    def is_behind(self, stream: str) -> bool:
        """Whether what comes from this stream is history."""
        return stream in self._until

    def started(self, stream: str, entry_id: str) -> None:
        """Something came from a stream; the first entry ever is the beginning of what is known."""
        if stream in self.unbegun:
            self._known_from[self.unbegun.pop(stream)] = first_known_s(entry_id)

    def reached(self, cursors: Mapping[str, str]) -> list[str]:
        """The streams whose history has been read since the last call."""
        streams = [stream for stream, until in self._until.items() if stream in cursors and order(cursors[stream]) >= until]
        for stream in streams:
            del self._until[stream]
            name = self._of.pop(stream, None)
            if name is not None:
                self._behind[name] -= 1
                if not self._behind[name]:
                    del self._behind[name]
        return streams

    def known(self) -> dict[str, int]:
        """The instruments of which there is no more history to read, and the second from which on each is known; each once."""
        if any(stream not in self._of for stream in self._until):
            return {}  # a venue's own stream may still tell of a gap in anything
        known = {name: second for name, second in self._known_from.items() if name not in self._behind}
        for name in known:
            del self._known_from[name]
        return known

    def unread(self) -> Collection[str] | None:
        """The instruments that still have history to read; None: all, since a venue's own stream has, which may tell a gap in any."""
        return None if len(self._of) < len(self._until) else self._behind.keys()

    def __len__(self) -> int:
        """How many instruments' windows are not known yet, of those that have trades."""
        return len(self._known_from)
