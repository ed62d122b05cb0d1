"""Plans how to catch up with trades from before the start: where to begin on each stream, and when its past has been read.

A window needs the trades from its start on. So streams of trades and gaps are read from the start of the longest window, and `AHEAD_S`
earlier, because a venue's clock may be ahead of the server's. Until an instrument's streams have been read up to where they ended when they
were found, its windows are not complete. Nor are they complete before the first entry of its stream of trades: if the stream was trimmed or
created later than the start of a window, `complete` is false until the window starts after that. The same is true if a stream of gaps or a
venue's own stream was trimmed: gaps and clock offsets before its first entry are not known. (If such a stream was created later than the
start of the window, nothing is missing.)
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
"""Streams looked up at the same time."""

NO_STREAM: Final = frozenset({b"", b"!", b"0-0"})
"""Answers of `LOOK` in place of a last id: there is no such key, it is no stream, nothing was ever added."""

SETTLED_S: Final = 2
"""Trades of the seconds around the first entry may have been cut off with the ones before it."""


class StreamExtent(NamedTuple):
    """The range of ids of a stream."""

    first: str | None
    """The id of its first entry; None: it has no entry, or there is no such stream."""
    last: str | None
    """The last id that it ever gave, even if that entry was trimmed since; None: it never had an entry, or there is no such stream."""
    trimmed: bool = False
    """Whether it had entries before the first one, or may have had: not every server can say."""


class ReadPlan(NamedTuple):
    """How to read one stream: from where, up to which id it is history, and from which second on its instrument is complete then."""

    position: Position
    until: str | None
    known_from_s: int | None


def order(entry_id: str) -> tuple[int, int]:
    """The sort key of an id."""
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


def resume(extent: StreamExtent, mark: Mark, start_s: int, known_from_s: int | None) -> ReadPlan | None:
    """Plan how to continue where a checkpoint ends, if events matter from `start_s` on. None if the stream is another one (it ends earlier:
    the server lost data), or if the checkpoint is older than the start of the longest window.
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
    """The second up to which events of a stream of gaps, or of a venue's own stream, may have been trimmed; 0: none were."""
    first = extent.first or extent.last
    return first_known_s(first) - 1 if extent.trimmed and first is not None else 0


def first_known_s(first_id: str) -> int:
    """The second from which on a stream is complete that begins with this entry."""
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
    """Tracks the streams whose past is still being read, and the instruments whose windows are not known because of it."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[int, int]] = {}  # stream → the last id of its past
        self._of: dict[str, str] = {}  # such a stream, if it is of an instrument → instrument
        self._behind: dict[str, int] = {}  # instrument → number of such streams
        self._known_from: dict[str, int] = {}
        self.without_entries: dict[str, str] = {}
        """Streams of trades that have no entry yet → instrument."""

    def start(self, one: FoundStream, how: ReadPlan) -> bool:
        """A stream is read from now on, as planned. Whether it has a past to read."""
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
        """An entry of a stream has arrived. If it is the first one ever, trades are complete from there on."""
        if stream in self.without_entries:
            self._known_from[self.without_entries.pop(stream)] = first_known_s(entry_id)

    def reached(self, cursors: Mapping[str, str]) -> list[str]:
        """Find the streams whose past has been read since the last call."""
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
        """Find the instruments without a past to read, and the second from which on each is complete; each is returned once."""
        if any(stream not in self._of for stream in self._until):
            return {}  # a venue's own stream may still have a gap of any instrument
        known = {name: second for name, second in self._known_from.items() if name not in self._behind}
        for name in known:
            del self._known_from[name]
        return known

    def unread(self) -> Collection[str] | None:
        """The instruments that still have a past to read; None: all, since a venue's own stream has, which may have a gap of any."""
        return None if len(self._of) < len(self._until) else self._behind.keys()

    def __len__(self) -> int:
        """How many instruments' windows are not known yet, of those that have trades."""
        return len(self._known_from)
