"""Defines where a reader starts on a stream, and what it returns."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, Final, TypeAlias

import msgspec

from crosstape_schemas import AnyEvent


class Start(enum.Enum):
    """Where a reader starts on a stream. The id of an entry, or a `Bookmark`, can be given in its place: then it starts behind that."""

    NOW = "now"
    """Entries that are added from now on."""
    BEGINNING = "beginning"
    """The oldest entry that the stream has."""
    LAST_THEN_NOW = "last_then_now"
    """The last value of each venue, then exactly the entries that follow."""


class Bookmark(msgspec.Struct, frozen=True):
    """A position on a stream, with the numbers of the events there. What was read before is then not returned again, even where a server
    that lost data has got it again under other ids; and what is missing right behind the position is reported.
    """

    id: str
    numbers: tuple[tuple[str, int, int], ...] = ()
    """Venue, epoch, and the `seq` of its last event up to this position."""


Position: TypeAlias = Start | str | Bookmark

_ID: Final = re.compile(r"\d+(-\d+)?")


def check_position(stream: str, position: Position) -> None:
    """Raise `TypeError` for a value that is no position, `ValueError` for a text that is no id.

    (A mapping of streams to anything passes for `Iterable[str]`, for a type checker, too.)
    """
    if not isinstance(position, Position):
        raise TypeError(f"{stream}: a position is a Start, a Bookmark or the id of an entry, not {position!r:.50}")
    place = position.id if isinstance(position, Bookmark) else position
    if isinstance(place, str) and not _ID.fullmatch(place):
        raise ValueError(f"{stream}: {place!r:.50} is not the id of an entry: an id looks like 1526919030474-55")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event on the tape. With a last value, `id` is that of the stream's last entry at the time."""

    stream: str
    """Name of the stream, such as `tape:trade:BTC-USDT`."""
    id: str
    """The server's id: its ms since the epoch and a counter, such as `1526919030474-55`."""
    event: AnyEvent
    """A struct of its kind, such as `Trade`; with a `decode` of one's own, what that made."""
    data: bytes = b""
    """The event's JSON, byte for byte as it is on the tape."""
    is_last_value: bool = False
    """Whether it is a last value: it was on the tape before the reader began."""


class Foreign(msgspec.Struct, frozen=True):
    """Something on a stream that is no event of ours. `id` is empty if the key itself is no stream."""

    stream: str
    """Name of the stream."""
    id: str
    """As `Entry.id`."""
    reason: str
    """What is wrong with it, as a sentence."""


class Decoded(msgspec.Struct, frozen=True):
    """The events of several entries."""

    events: Sequence[Any]
    data: Sequence[bytes]
    """Their JSON, byte for byte as it is on the tape."""
    columns: Mapping[str, Sequence[Any]] | None = None
    """Field → its value in each event, if all are of one kind and were decoded together. Then the events are all that their JSON has."""
    lines: bytes = b""
    """`data`, separated by line feeds, if there are `columns`."""


class Run(msgspec.Struct, frozen=True):
    """Entries of one stream, in order: what a reader returns of it at once, without an object for each."""

    stream: str
    """As `Entry.stream`."""
    ids: Sequence[bytes]
    """As `Entry.id`, as the server writes them."""
    decoded: Decoded
    numberings: Set[tuple[str, int]] = frozenset()
    """(venue, epoch) of its events, if `decoded` has columns."""

    @classmethod
    def of(cls, stream: str, entries: Sequence[Entry]) -> Run:
        """Make one of entries of this stream."""
        return cls(stream, [e.id.encode() for e in entries], Decoded([e.event for e in entries], [e.data for e in entries]))

    def __len__(self) -> int:
        return len(self.ids)

    def entries(self) -> list[Entry]:
        """Return them one by one."""
        parts = zip(self.ids, self.decoded.events, self.decoded.data, strict=True)
        return [Entry(self.stream, entry_id.decode(), event, data) for entry_id, event, data in parts]


class Fetched(msgspec.Struct, frozen=True):
    """The entries of one read, and the id up to which each of its streams was read."""

    entries: list[Entry]
    cursors: dict[str, str]
    runs: list[Run] = []
    """The entries, if they are wanted as runs."""

    def leave_out(self, streams: Collection[str]) -> None:
        """Remove what was read of these streams."""
        if self.cursors.keys().isdisjoint(streams):
            return
        for stream in streams:
            self.cursors.pop(stream, None)
        self.entries[:] = [entry for entry in self.entries if entry.stream in self.cursors]
        self.runs[:] = [run for run in self.runs if run.stream in self.cursors]
