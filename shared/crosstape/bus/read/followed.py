"""One stream that a reader follows: where to start, where to continue, and whether entries were removed before they were read. Pure.

A server trims its streams, and may lose data. The numbering of the events shows most of what is missing (`continuity`), but not where the
next entry is of another venue or of a later start of its producer, or where no entry follows. There the server's own counts help: how many
entries were ever added to a stream, and how many are left. `accounted` is compared with them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from crosstape.bus.read.continuity import Continuity, Missed
from crosstape.bus.read.entry import Bookmark, Position, Start
from crosstape_schemas import VENUE_WIDE, AnyEvent, Keys

ORIGIN: Final = b"0-0"
"""The id before all entries."""

RawEntries: TypeAlias = Sequence[tuple[bytes, Sequence[bytes]]]
"""Entries as the server answers them: id, and fields and values by turns."""


class StreamInfo(msgspec.Struct, frozen=True):
    """What the server has of a stream at one moment."""

    id: bytes
    """Id of the entry that was added last, even if it was removed; empty: there is no such key."""
    first: bytes
    """Id of the oldest entry; empty: there is none."""
    removed: int | None
    """How many entries were added and removed again; None: the server does not say (Redis before 7)."""
    added: int
    """How many entries were ever added."""
    last: list[tuple[AnyEvent, bytes]]
    """The last values, and their JSON."""
    newest: list[AnyEvent]
    """The event that was added last; none without entries."""


class FollowedStream:
    """The state of one stream. A method that answers True has found that entries are missing, and not how many: see `missed`."""

    __slots__ = (
        "accounted", "added", "bell", "catching_up", "continuity", "expected", "id", "key", "last_key", "logged", "name", "only_venue",
        "start", "trimmed", "unnamed_s", "wrong",
    )  # fmt: skip

    def __init__(self, name: str, start: Position, keys: Keys) -> None:
        self.name = name
        self.start = start.id if isinstance(start, Bookmark) else start
        self.key = name.encode()
        self.only_venue = ""
        self.bell = b""
        """Key of the bell that names this stream; empty: it has none."""
        match keys.parse(name):
            case ("venue", venue):  # its last value is the venue's status, in a hash that all venues share
                self.only_venue = venue
                self.last_key = keys.last("status", VENUE_WIDE).encode()
                self.bell = keys.bell("venue").encode()
            case (kind, instrument):
                self.last_key = keys.last(kind, instrument).encode()
                self.bell = keys.bell(kind, keys.partition(instrument)).encode()
            case _:
                self.last_key = self.key  # no hash: it has no last values
        self.id = b""
        """Id of the last entry that was read; empty until the start is known."""
        self.continuity = Continuity(name, from_first=start is Start.BEGINNING)
        if isinstance(start, Bookmark):
            for venue, epoch, seq in start.numbers:
                self.continuity.know_number(venue, epoch, seq)
        self.accounted: int | None = None
        """How many of the entries ever added were read, reported as missed, or lie before the start; None: not known."""
        self.catching_up = False
        """Whether we read from a stored id and have not reached the end yet: until then `accounted` is not known."""
        self.expected = b""
        """While catching up: id of the entry that comes next; empty: not known."""
        self.added: int | None = None
        """How many entries had ever been added when the end of the stream was reached; the last of them are accepted next."""
        self.trimmed = False
        """Entries behind `id` were removed unread. This is reported with the next entries, unless their numbers say more about it."""
        self.logged = False
        """Whether a foreign entry of this stream was logged already."""
        self.wrong = False
        """Whether the key holds something that is no stream."""
        self.unnamed_s = -math.inf
        """When an entry came last that no bell had named, by the monotonic clock; -inf: none did, or that is long ago."""

    def missed(self) -> Missed:
        """Returns the report for missing entries of which neither the venue nor the count is known."""
        return Missed(self.name, "", 0, 0, None)

    def restart(self, accounted: int | None) -> None:
        """Read from the first entry on: the key holds another stream than before, or none."""
        self.id, self.accounted, self.catching_up, self.expected, self.added = ORIGIN, accounted, False, b"", None

    def begin(self, info: StreamInfo) -> bool:
        """Find the id to start after."""
        match self.start:
            case Start.BEGINNING:
                self.id, self.accounted = ORIGIN, info.removed
            case str() as stored:
                return self._resume(stored.encode(), info)
            case _:
                self.id = info.id or ORIGIN
                self.accounted = None if info.removed is None else info.added
                for event in (*(event for event, _ in info.last), *info.newest):
                    self.continuity.know(event)
        return False

    def _resume(self, stored: bytes, info: StreamInfo) -> bool:
        """Continue from a stored id; from the first entry if the stream was trimmed past that id, or was made again since."""
        missed = False
        at, last = parse_id(stored), parse_id(info.id)
        self.id, self.accounted = stored, None
        if at == parse_id(ORIGIN):  # nothing was there when the id was stored: all that was added since is to be read
            self.accounted, self.trimmed = info.removed, bool(info.removed)
        elif last < at:
            self.id, self.accounted = ORIGIN, info.removed
            return True
        elif info.first and at < parse_id(info.first):
            self.accounted = info.removed
            missed = True
        elif at == last and info.removed is not None:
            self.accounted = info.added
        if not info.first and at < last:  # trimmed to its end
            self.id, self.accounted, self.trimmed = info.id, None if info.removed is None else info.added, False
            return True
        if self.accounted is None and at < last:
            self.catching_up = True
        return missed

    def check(self, info: StreamInfo) -> bool:
        """Compare what was read with what the server says now. Moves `id` where all that was not read is gone."""
        missed = False
        caught_up = parse_id(info.id) == parse_id(self.id)
        if not info.first and not caught_up:  # trimmed to its end
            missed = True
            self.id, self.accounted, self.trimmed, self.expected = info.id, None, False, b""
            caught_up = True
        elif self.accounted is not None and info.removed is not None:
            if caught_up and self.accounted < info.added:
                missed = True
            elif self.accounted < info.removed:
                self.accounted, self.trimmed = info.removed, True
        if caught_up:
            self.accounted = None if info.removed is None else info.added
        return missed

    def catch_up(self, first: bytes, last: bytes, added: int, entries: RawEntries, following: bytes) -> bool:
        """Compare one read with the stream at the same moment. Moves `id` where all that was not read is gone.

        `first`, `last` and `added` are as in `StreamInfo`, `added` -1 for not known. `following`: id of the entry behind `entries`; empty:
        they reach the stream's end.
        """
        missed = False
        next_id = parse_id(self.expected or self.id)
        if first and next_id < parse_id(first) and entries:
            self.trimmed = True
        elif not first and (next_id <= parse_id(last) if self.expected else next_id < parse_id(last)):
            missed = True
            self.id = last
        self.expected = following
        if not following:
            self.catching_up = False
            self.added = added if added >= 0 else None
            if not entries:
                self.accounted, self.added = self.added, None
        return missed

    def advance(self, raw: RawEntries) -> None:
        """Count these entries as read."""
        if self.added is not None:
            self.accounted, self.added = self.added, None
        self.id = raw[-1][0]


def parse_id(entry_id: bytes) -> tuple[int, int]:
    """The id as a key that sorts as the server does; no id comes before all others."""
    ms, _, n = entry_id.partition(b"-")
    return (int(ms), int(n or 0)) if ms else (-1, 0)
