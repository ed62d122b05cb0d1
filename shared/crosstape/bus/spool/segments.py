"""A spool on disk: a directory of segments that is appended to at one end, read from the other, and shorter by each segment that was used.

Entries are counted from the start of the spool. Where the reading stands is not kept here: the server keeps it, with what was written
there, in one script call; so no offset in a file can disagree with the tape. What this file must get right by itself is only that an
entry is there wholly or not at all, which frames and checksums see to.

A segment that is damaged is used up to the damage. How many entries were behind it, the name of the next segment tells; behind the last
segment of a process that is gone, nobody knows.

Everything here blocks, and raises `OSError`. Nothing here knows of events.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from crosstape.bus.spool.format import HEADER_BYTES, Frames, Header, frame, header, parse_frames, parse_header, wanted
from crosstape.runtime.group_files import make_directory, share_with_group

SUFFIX: Final = ".spool"
LABEL: Final = "tape"
"""The name of the label's file."""
SEGMENTS: Final = 16
"""The bound is made of so many: it is by one of them that room comes back."""
SEGMENT_MAX: Final = 16 << 20
SEGMENT_MIN: Final = 4 << 10


class Segment(msgspec.Struct):
    """One file. `size` counts bytes, `count` entries, of which a damaged one has fewer to give."""

    path: Path
    first: int
    count: int
    size: int
    sound: bool = True
    """Whether its header is."""

    @property
    def end(self) -> int:
        """The count of entries up to and with this segment's last."""
        return self.first + self.count


class Chunk(msgspec.Struct, frozen=True):
    """What one read brought."""

    payloads: list[bytes]
    segment: Segment
    offset: int
    """Where in the segment the next begins."""
    end: int
    """The count of entries up to and with the last of these, or with the last that was lost."""
    lost: int = 0
    """Entries behind them that cannot be read."""


class Place(msgspec.Struct, frozen=True):
    """What to read next: fixed before a thread reads it, while the spool goes on being written."""

    segment: Segment
    offset: int
    index: int
    size: int
    end: int

    def read(self, most: int, limit: int) -> Chunk:
        """At most so many entries, and about so many bytes."""
        most = min(most, self.end - self.index)
        found = Frames([], 0, bad=True)
        if self.segment.sound:
            data = self._bytes(limit)
            found = parse_frames(data, most=most)
            if not found.payloads and not found.bad and (more := wanted(data, 0)) > limit:
                found = parse_frames(self._bytes(more), most=most)
        if found.payloads and not found.bad:
            return Chunk(found.payloads, self.segment, self.offset + found.end, self.index + len(found.payloads))
        return self.give_up(found.payloads)

    def give_up(self, payloads: list[bytes]) -> Chunk:
        """These, and the rest of the segment is lost."""
        return Chunk(payloads, self.segment, self.size, self.end, self.end - self.index - len(payloads))

    def _bytes(self, limit: int) -> bytes:
        with self.segment.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(min(limit, self.size - self.offset))


class SpoolFile:
    """The directory, for one process at a time: a lock on it sees to that. `bound` is in bytes, for all segments together."""

    def __init__(self, directory: Path, bound: int) -> None:
        self.directory = directory
        self.bound = bound
        self.header = Header(0, 0)
        """Of the spool as a whole: that of its first segment."""
        self.label = ""
        """What a text file beside the segments says: for which tape they are. Empty: there is none."""
        self.torn = 0
        """Bytes behind the last whole entry that the process before left."""
        self.size = 0
        self.read_to = 0
        """So many entries were read."""
        self.used_to = 0
        """So many entries are done with."""
        self.written_to = 0
        """So many entries there are, and were."""
        self._segment_bytes = min(max(bound // SEGMENTS, SEGMENT_MIN), SEGMENT_MAX)
        self._segments: list[Segment] = []
        self._reading: Segment | None = None
        self._offset = 0
        self._lock: int | None = None
        self._fd: int | None = None
        self._unsynced: list[int] = []

    @property
    def opened(self) -> bool:
        """Whether it is ours."""
        return self._lock is not None

    @property
    def unread(self) -> int:
        """Entries that wait to be read."""
        return self.written_to - self.read_to

    def exists(self) -> bool:
        """Whether there is something in the directory, of ours or of another."""
        return next(self.directory.glob(f"*{SUFFIX}"), None) is not None

    def open(self) -> bool:
        """Take it: whether it holds what a process before left there; else it is new. Raises `BlockingIOError` if another has it."""
        make_directory(self.directory)
        lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._adopt()
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        if self._segments:
            self.label = self.read_label()
        else:
            self.label = ""
            (self.directory / LABEL).unlink(missing_ok=True)  # of a spool that was used up
        return bool(self._segments)

    def read_label(self) -> str:
        """What the directory's label says, of ours or of another; empty: there is none."""
        try:
            return (self.directory / LABEL).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def write_label(self, label: str) -> None:
        """Say for which tape the segments are."""
        part = self.directory / f"{LABEL}.part"
        part.unlink(missing_ok=True)  # of a process that was killed, maybe another user's
        part.write_text(label)
        share_with_group(part)
        part.replace(self.directory / LABEL)
        self.label = label

    def move(self, target: Path) -> Path:
        """Leave the directory, under another name: that of `target`, or if there is one, with a number behind it."""
        place, number = target, 1
        make_directory(place.parent)
        while place.exists():
            number += 1
            place = target.with_name(f"{target.name}.{number}")
        self.directory.rename(place)
        self.close()
        return place

    def begin(self, epoch: int, batch: int, in_flight: list[bytes]) -> None:
        """Begin a new spool behind all batches before this; what is in flight in it comes first, if there is room, and counts as used."""
        self.header = Header(self.header.id, 0, epoch, batch, len(in_flight))
        if not in_flight:
            return
        if not self.append(in_flight):
            self.header = Header(self.header.id, 0, epoch, batch + 1)
            return
        self.read_to = self.used_to = self.written_to
        self._reading, self._offset = self._segments[-1], self.size

    def append(self, payloads: list[bytes]) -> bool:
        """Write these, in one piece: whether there was room for them. If it raises, nothing of them is there."""
        block = b"".join(map(frame, payloads))
        if self.size + HEADER_BYTES + len(block) > self.bound:
            return False
        last = self._segments[-1] if self._segments else None
        if self._fd is None or last is None or (last.count and last.size + len(block) > self._segment_bytes):
            last = self._begin_segment()
        try:
            self._write(block)
        except OSError:
            # A part of it may be there, and must not stand before what comes next. Cutting it off needs no room, a new segment would.
            try:
                os.ftruncate(self._open_fd, last.size)
            except OSError:
                self._end_segment()
            raise
        last.size += len(block)
        last.count += len(payloads)
        self.size += len(block)
        self.written_to += len(payloads)
        return True

    def place(self) -> Place | None:
        """What to read next, if anything."""
        if not self.unread:
            return None
        for segment in self._segments:
            if segment.end > self.read_to:
                offset = self._offset if segment is self._reading else HEADER_BYTES
                return Place(segment, offset, self.read_to, segment.size, segment.end)
        raise AssertionError("unreachable: segments hold all that is unread")

    def take(self, chunk: Chunk) -> None:
        """Go on behind what was read."""
        self.read_to = chunk.end
        self._reading, self._offset = chunk.segment, chunk.offset

    def jump(self, index: int) -> bool:
        """Go on behind the segment that is to be read next, if all of it lies within the first so many entries: whether it does."""
        segment = next((segment for segment in self._segments if segment.end > self.read_to), None)
        if segment is None or segment.end > index:
            return False
        self.read_to = segment.end
        return True

    def use(self, index: int) -> None:
        """The entries up to this count are done with: the segments that hold no others are removed."""
        self.used_to = max(self.used_to, index)
        while self._segments and self._segments[0].end <= self.used_to:
            if len(self._segments) == 1:
                self._end_segment()
            self._segments[0].path.unlink(missing_ok=True)
            self.size -= self._segments.pop(0).size

    def sync(self) -> None:
        """Have what was written on the disk itself. For a thread: may take long."""
        while self._unsynced:
            fd = self._unsynced.pop()
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        if self._fd is not None:
            os.fsync(self._fd)
        if self._lock is not None:
            os.fsync(self._lock)  # of the directory: the names of new segments

    def close(self) -> None:
        """Leave it as it is, for another process."""
        fds = [*self._unsynced, *(fd for fd in (self._fd, self._lock) if fd is not None)]
        self._unsynced, self._fd, self._lock, self._segments, self._reading = [], None, None, [], None
        self.size = self.read_to = self.used_to = self.written_to = 0
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    @property
    def _open_fd(self) -> int:
        assert self._fd is not None
        return self._fd

    def _write(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            view = view[os.write(self._open_fd, view) :]

    def _begin_segment(self) -> Segment:
        self._end_segment()
        if self._segments and not self._segments[-1].count:  # what was to be its first entry could not be written
            self.size -= self._segments.pop().size
        path = self.directory / f"{self.written_to:020d}{SUFFIX}"
        # What a file of this name could hold is less than one entry.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._fd = fd
        share_with_group(path)
        first = self.header if not self.written_to else Header(self.header.id, self.written_to)
        try:
            self._write(header(first))
        except OSError:
            self._fd = None
            os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        segment = Segment(path, self.written_to, 0, HEADER_BYTES)
        self._segments.append(segment)
        self.size += HEADER_BYTES
        return segment

    def _end_segment(self) -> None:
        if self._fd is not None:
            self._unsynced.append(self._fd)
            self._fd = None

    def _adopt(self) -> None:
        """Find what is there. Only the last segment is read: the names of the others tell how many entries the one before has."""
        self.torn = 0
        self.header = Header(time.time_ns(), 0)
        segments: list[Segment] = []
        heads: list[Header] = []
        for path in sorted(self.directory.glob(f"*{SUFFIX}")):
            if not path.stem.isdecimal():
                continue
            with path.open("rb") as file:
                head = parse_header(file.read(HEADER_BYTES))
            first = int(path.stem)
            if segments:
                segments[-1].count = first - segments[-1].first
            segments.append(Segment(path, first, 0, path.stat().st_size, head is not None and head.first == first))
            heads += [head] if head is not None else []
        if segments:
            self._scan(segments[-1])
            if not segments[-1].count:
                segments.pop().path.unlink()
        if not segments:
            return
        self.header = heads[0] if heads else self.header
        self._segments = segments
        self.size = sum(segment.size for segment in segments)
        self.read_to = self.used_to = segments[0].first
        self.written_to = segments[-1].end

    def _scan(self, segment: Segment) -> None:
        """Count the whole entries of the last segment, and the bytes behind them."""
        size, at = segment.size, HEADER_BYTES
        if segment.sound:
            data = segment.path.read_bytes()
            found = parse_frames(data, most=len(data), at=HEADER_BYTES)
            segment.count, at = len(found.payloads), found.end
        else:
            at = 0
        self.torn = size - at
        segment.size = at
