"""Writes commits, each under the next number, and finds the newest. Everything here blocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final

import msgspec
import pyarrow as pa

from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import HistoryError
from crosstape.history.parquet.catalogue import Catalogue, Listing
from crosstape.history.parquet.file import bytes_of
from crosstape.history.parquet.folder import Found
from crosstape.history.parquet.names import commit
from crosstape.history.store import Position

LONGEST_S: Final = 1_800.0
"""Longest time from looking for the newest commit to the end of writing the next. After it was merged, a commit keeps its name for twice as
long: so a name that looked free is free."""
ROW_GROUP: Final = 8_000
"""Rows in a row group of a commit, at most. It has all instruments: who wants one of them reads a part of it, at hardly more bytes."""
TAPES: Final = "tapes"
"""Folder of the tapes to which the history is bound."""


class Commits:
    """The commits of one history."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._folder = catalogue.folder
        self._newest: dict[str, tuple[Found, Position]] = {}
        self._lock = threading.Lock()
        self.bytes_written = 0
        """Bytes of all commits that this object has written."""

    def position(self, kind: str) -> Position:
        """See `Store.position`."""
        return self._catalogue.retried(kind, lambda: self._position(self._catalogue.listing(kind)))

    def append(self, kind: str, table: pa.Table, marks: Mapping[str, Bookmark], after: int) -> int | None:
        """See `Store.append`."""
        begun = time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while the machine sleeps
        before = self.position(kind)
        if before.number != after:
            return None
        merged = {**before.marks, **marks}
        data = bytes_of(table, merged, row_group=ROW_GROUP)
        number = after + 1
        path = f"{kind}/{commit(number).text}"
        if not self._folder.put(path, data):
            return None
        with self._lock:
            self.bytes_written += len(data)
        if time.clock_gettime(time.CLOCK_BOOTTIME) - begun > LONGEST_S:
            raise HistoryError(
                f"{self._folder.url}/{path}: writing took so long that it may be another one's by now; begin at its position"
            )
        return number

    def tapes(self) -> list[Identity]:
        """See `Store.tapes`."""
        names = [found.name for found in self._folder.files(f"{TAPES}/")]
        return [Identity(*msgspec.json.decode(self._folder.read(name), type=tuple[str, str])) for name in names]

    def bind(self, tape: Identity, after: int) -> bool:
        """See `Store.bind`."""
        if len(self.tapes()) != after:
            return False
        return self._folder.put(f"{TAPES}/{after + 1:09}.json", msgspec.json.encode(tuple(tape)))

    def _position(self, listing: Listing) -> Position:
        found = listing.cover
        if not found.newest:
            return Position(0, {})
        if not found.stretches or found.stretches[-1].last != found.newest:
            first, last = found.missing[-1]
            raise HistoryError(
                f"{self._folder.url}/{listing.kind}: commits {first} to {last} are missing, and with them how far the history goes: "
                "bring their files back, or move those away that hold a part of them"
            )
        newest = found.stretches[-1].names[-1]
        file = listing.found[newest]
        known = self._newest.get(listing.kind)
        if known and known[0] == file:
            return known[1]
        position = Position(found.newest, self._catalogue.written(listing.path(newest)).marks)
        self._newest[listing.kind] = file, position
        return position
