"""Plans how to read the trades from before the start: the id at which to begin on each stream, and the id at which its past ends.

A window needs all trades since its start. So streams of trades and gaps are read from `AHEAD_S` before the start of the longest window
(earlier, because a venue's clock may be ahead of the server's). The windows of an instrument are not complete in these cases:

- until its streams have been read up to the last id that they had when they were found
- if its stream of trades begins after the start of the window, because it was trimmed or created later
- if a stream of gaps or of venue-wide events was trimmed after the start of the window: gaps and clock offsets may be unknown. (If such a
  stream was created later, nothing is missing.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from crosstape.bus import Bookmark, Client, Position, Start
from crosstape.bus.client.call import execute
from crosstape.bus.read.script import LOOK
from crosstape_aggregator.clocks import AHEAD_S
from crosstape_aggregator.recovery.discovery import FoundStream

LOOKS: Final = 64
"""Streams looked up at the same time."""

NO_STREAM: Final = frozenset({b"", b"!", b"0-0"})
"""Answers of `LOOK` instead of a last id: the key does not exist, it is no stream, no entry was ever added."""

SETTLED_S: Final = 2
"""Seconds after the first entry whose trades may have been trimmed, too: entries are not exactly in the order of their trades' seconds."""


class StreamExtent(NamedTuple):
    """The first and last ids of a stream."""

    first: str | None
    """The id of its first entry; None: it has no entry, or there is no such stream."""
    last: str | None
    """The last id that was ever added, even if this entry was trimmed; None: it never had an entry, or there is no such stream."""
    trimmed: bool = False
    """Whether there were, or may have been, entries before the first one: not every server version knows."""


class ReadPlan(NamedTuple):
    """How to read one stream: from `position` on; its past ends with id `until`; then its trades are complete from `known_from_s` on."""

    position: Position
    until: str | None
    known_from_s: int | None


def order(entry_id: str) -> tuple[int, int]:
    """Return the sort key of an id."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number or 0)


def plan(extent: StreamExtent, start_s: int) -> ReadPlan:
    """Plan how to read a stream whose events matter from `start_s` on. `known_from_s` is None if the stream has no entry yet."""
    if extent.last is None:
        return ReadPlan(Start.BEGINNING, None, None)
    begin = f"{(start_s - AHEAD_S) * 1000}-0"
    if order(extent.last) < order(begin):
        return ReadPlan(extent.last, extent.last, start_s)
    if extent.first is None:  # all entries were trimmed: it is complete after the last one
        return ReadPlan(extent.last, extent.last, max(start_s, first_known_s(extent.last)))
    if order(extent.first) >= order(begin):
        return ReadPlan(Start.BEGINNING, extent.last, max(start_s, first_known_s(extent.first)))
    return ReadPlan(begin, extent.last, start_s)


def resume(extent: StreamExtent, mark: Bookmark, start_s: int, known_from_s: int | None) -> ReadPlan | None:
    """Plan how to continue after a checkpoint, if events matter from `start_s` on.

    None if the checkpoint is older than the start of the longest window, or if the stream ends before it (the server lost data).
    """
    if extent.last is None or not ((start_s - AHEAD_S) * 1000, 0) <= order(mark.id) <= order(extent.last):
        return None
    if order(mark.id) == order(extent.last):
        return ReadPlan(mark, None, known_from_s)
    if extent.first is None:  # nothing is left to read; for what was trimmed see `trimmed_s`
        return ReadPlan(extent.last, None, known_from_s)
    return ReadPlan(mark, extent.last, known_from_s)


def trimmed_s(extent: StreamExtent, stored_id: str) -> tuple[int, int] | None:
    """Find the first and the last second of the entries that were trimmed after a stored id; None if none were.

    If a stream was trimmed to nothing, all entries after the stored id are gone, up to the last id that it gave.
    """
    gone_until = extent.last if extent.first is None else extent.first
    if gone_until is None or order(gone_until) <= order(stored_id):
        return None
    return order(stored_id)[0] // 1000, first_known_s(gone_until) - 1


def silent_until_s(extent: StreamExtent) -> int:
    """Return the second up to which events of a stream of gaps or venue-wide events may have been trimmed; 0 = none were."""
    first = extent.first or extent.last
    return first_known_s(first) - 1 if extent.trimmed and first is not None else 0


def first_known_s(first_id: str) -> int:
    """Return the second from which on the trades of a stream are complete, if it begins with this entry."""
    return order(first_id)[0] // 1000 + SETTLED_S


async def extents(client: Client, streams: Sequence[str]) -> list[StreamExtent]:
    """Look up the range of each stream. Raises one of `call.UNAVAILABLE`; a key that is no stream counts as missing."""
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
    """Tracks the streams whose past is still being read, and the instruments that have not caught up because of it."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[int, int]] = {}  # stream → last id of its past
        self._of: dict[str, str] = {}  # stream with a past → its instrument; no venue-wide streams
        self._behind: dict[str, int] = {}  # instrument → number of its streams with a past
        self._known_from: dict[str, int] = {}
        self.without_entries: dict[str, str] = {}
        """Streams of trades that have no entry yet → instrument."""

    def start(self, one: FoundStream, how: ReadPlan) -> bool:
        """Add a stream that is read as planned. Returns whether it has a past to read."""
        if one.kind == "trade":
            if how.known_from_s is None:
                self.without_entries[one.stream] = one.name
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
        """Whether the past of this stream is still being read."""
        return stream in self._until

    def started(self, stream: str, entry_id: str) -> None:
        """Note the arrival of an entry. If it is the first one ever of its stream, trades are complete from there on."""
        if stream in self.without_entries:
            self._known_from[self.without_entries.pop(stream)] = first_known_s(entry_id)

    def reached(self, cursors: Mapping[str, str]) -> list[str]:
        """Return the streams whose past has been read since the last call. `cursors`: stream → last id read."""
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
        """Return instrument → the second from which on its trades are complete, of those that have caught up; each is returned once."""
        if any(stream not in self._of for stream in self._until):
            return {}  # past venue-wide events may contain a gap of any instrument
        known = {name: second for name, second in self._known_from.items() if name not in self._behind}
        for name in known:
            del self._known_from[name]
        return known

    def unread(self) -> Collection[str] | None:
        """Return the instruments whose past is still being read; None: all, because past venue-wide events may contain a gap of any."""
        return None if len(self._of) < len(self._until) else self._behind.keys()

    def __len__(self) -> int:
        """Return the number of instruments with trades that have not caught up yet."""
        return len(self._known_from)
