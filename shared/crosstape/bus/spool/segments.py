"""One segment of a spool: a file of entries, and how the next entries are read from it. Nothing here knows events.

A damaged segment is read up to the damage. The name of the next segment tells how many entries were behind it; behind the damage in the
last segment of a process that has ended, the count is not known. Reading blocks, and raises `OSError`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from crosstape.bus.spool.format import Frames, frame_bytes, parse_frames


class Segment(msgspec.Struct):
    """One file. `size` is in bytes; `count` is in entries, also those that damage makes unreadable."""

    path: Path
    first: int
    """How many entries the spool had before this segment."""
    count: int
    size: int
    sound: bool = True
    """Whether its header can be read."""

    @property
    def end(self) -> int:
        """The count of entries up to and including the last of this segment."""
        return self.first + self.count


class Chunk(msgspec.Struct, frozen=True):
    """The entries of one read."""

    payloads: list[bytes]
    segment: Segment
    offset: int
    """Where in the segment the next entry begins, in bytes."""
    end: int
    """The count of entries up to and including the last of these, or the last that is lost."""
    lost: int = 0
    """How many entries behind these cannot be read."""


class Stretch(msgspec.Struct, frozen=True):
    """What to read next. It is fixed before a thread reads it, because the spool is written to meanwhile."""

    segment: Segment
    offset: int
    index: int
    size: int
    end: int

    def read(self, most: int, limit: int) -> Chunk:
        """Read at most `most` entries and about `limit` bytes. Raises `OSError`."""
        most = min(most, self.end - self.index)
        found = Frames([], 0, bad=True)
        if self.segment.sound:
            data = self._bytes(limit)
            found = parse_frames(data, most=most)
            if not found.payloads and not found.bad and (more := frame_bytes(data, 0)) > limit:
                found = parse_frames(self._bytes(more), most=most)
        if found.payloads and not found.bad:
            return Chunk(found.payloads, self.segment, self.offset + found.end, self.index + len(found.payloads))
        return self.give_up(found.payloads)

    def give_up(self, payloads: list[bytes]) -> Chunk:
        """Returns these entries, with the rest of the segment as lost."""
        return Chunk(payloads, self.segment, self.size, self.end, self.end - self.index - len(payloads))

    def _bytes(self, limit: int) -> bytes:
        with self.segment.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(min(limit, self.size - self.offset))
