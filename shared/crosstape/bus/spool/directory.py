"""A spool on disk: a directory of segments. Entries are appended at one end and read from the other; segments that are done are removed.

Entries are counted from the start of the spool. The position up to which entries are on the tape is not kept here: the server keeps it, and
sets it in the script call that writes the entries. So no offset in a file can disagree with the tape. What this module has to ensure is
only that an entry is there completely or not at all, by frames and checksums.

Everything here blocks, and raises `OSError`. Nothing here knows events.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Final

from crosstape.bus.spool.format import HEADER_BYTES, SegmentHeader, frame, header, parse_frames, parse_header
from crosstape.bus.spool.segments import Chunk, Segment, Stretch
from crosstape.runtime.group_files import make_directory, share_with_group

SUFFIX: Final = ".spool"
LABEL: Final = "tape"
"""Name of the label's file."""
SEGMENTS: Final = 16
"""The bound is divided into this many segments; disk space is freed one segment at a time."""
SEGMENT_MAX: Final = 16 << 20
SEGMENT_MIN: Final = 4 << 10


class SpoolDirectory:
    """The directory `path`, for one process at a time, which holds a lock on it. `bound` is in bytes, for all segments together."""

    def __init__(self, path: Path, bound: int) -> None:
        self.path = path
        self.bound = bound
        self.header = SegmentHeader(0, 0)
        """The header of the first segment, which describes the spool."""
        self.label = ""
        """The text of a file beside the segments: which tape they are for. Empty: there is no such file."""
        self.torn = 0
        """Bytes behind the last complete entry that the process before left."""
        self.size = 0
        """Bytes of all segments."""
        self.read_to = 0
        """Count of the entries that were read."""
        self.done_to = 0
        """Count of the entries that are on the tape, or lost: they are not needed any more."""
        self.written_to = 0
        """Count of all entries, those of removed segments included."""
        self._segment_bytes = min(max(bound // SEGMENTS, SEGMENT_MIN), SEGMENT_MAX)
        self._segments: list[Segment] = []
        self._reading: Segment | None = None
        self._offset = 0
        self._lock: int | None = None
        self._fd: int | None = None
        self._unsynced: list[int] = []

    @property
    def opened(self) -> bool:
        """Whether this process has the directory."""
        return self._lock is not None

    @property
    def unread(self) -> int:
        """How many entries wait to be read."""
        return self.written_to - self.read_to

    def exists(self) -> bool:
        """Whether the directory holds segments, of this process or of another."""
        return next(self.path.glob(f"*{SUFFIX}"), None) is not None

    def open(self) -> bool:
        """Lock the directory, and find its segments. Returns whether an earlier process left any.

        Raises `BlockingIOError` if another process has the directory.
        """
        make_directory(self.path)
        lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
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
            (self.path / LABEL).unlink(missing_ok=True)  # of a spool that was used up
        return bool(self._segments)

    def read_label(self) -> str:
        """The label of the directory, which may be another process's; empty: it has none."""
        try:
            return (self.path / LABEL).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def write_label(self, label: str) -> None:
        """Write the label: which tape the segments are for."""
        part = self.path / f"{LABEL}.part"
        part.unlink(missing_ok=True)  # of a process that was killed, maybe another user's
        part.write_text(label)
        share_with_group(part)
        part.replace(self.path / LABEL)
        self.label = label

    def move(self, target: Path) -> Path:
        """Rename the directory to `target`, or to that with a number behind it where `target` exists, and leave it."""
        place, number = target, 1
        make_directory(place.parent)
        while place.exists():
            number += 1
            place = target.with_name(f"{target.name}.{number}")
        self.path.rename(place)
        self.close()
        return place

    def start(self, epoch: int, batch: int, in_flight: list[bytes]) -> None:
        """Start a new spool behind all batches before this one. Its entries, in flight, come first, if they fit, and count as done."""
        self.header = SegmentHeader(self.header.id, 0, epoch, batch, len(in_flight))
        if not in_flight:
            return
        if not self.append(in_flight):
            self.header = SegmentHeader(self.header.id, 0, epoch, batch + 1)
            return
        self.read_to = self.done_to = self.written_to
        self._reading, self._offset = self._segments[-1], self.size

    def append(self, payloads: list[bytes]) -> bool:
        """Write these entries in one piece. Returns whether they fit within the bound. If it raises, none of them is there."""
        block = b"".join(map(frame, payloads))
        if self.size + HEADER_BYTES + len(block) > self.bound:
            return False
        last = self._segments[-1] if self._segments else None
        if self._fd is None or last is None or (last.count and last.size + len(block) > self._segment_bytes):
            last = self._start_segment()
        try:
            self._write(block)
        except OSError:
            # A part of the block may be there; it must not stay before what comes next. Cutting it off needs no space, a new segment would.
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

    def next_stretch(self) -> Stretch | None:
        """What to read next; None: everything was read."""
        if not self.unread:
            return None
        for segment in self._segments:
            if segment.end > self.read_to:
                offset = self._offset if segment is self._reading else HEADER_BYTES
                return Stretch(segment, offset, self.read_to, segment.size, segment.end)
        raise AssertionError("unreachable: segments hold all that is unread")

    def advance(self, chunk: Chunk) -> None:
        """Continue behind what was read."""
        self.read_to = chunk.end
        self._reading, self._offset = chunk.segment, chunk.offset

    def skip_segment(self, index: int) -> bool:
        """Skip the segment that would be read next, if all its entries are before `index`. Returns whether it was skipped."""
        segment = next((segment for segment in self._segments if segment.end > self.read_to), None)
        if segment is None or segment.end > index:
            return False
        self.read_to = segment.end
        return True

    def discard_to(self, index: int) -> None:
        """Count the entries up to `index` as done, and remove the segments that hold no others."""
        self.done_to = max(self.done_to, index)
        while self._segments and self._segments[0].end <= self.done_to:
            if len(self._segments) == 1:
                self._end_segment()
            self._segments[0].path.unlink(missing_ok=True)
            self.size -= self._segments.pop(0).size

    def sync(self) -> None:
        """Force what was written to the disk. May take long: call it in a thread."""
        while self._unsynced:
            fd = self._unsynced.pop()
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        if self._fd is not None:
            os.fsync(self._fd)
        if self._lock is not None:
            os.fsync(self._lock)  # the directory itself: the names of new segments

    def close(self) -> None:
        """Leave the directory as it is, for another process."""
        fds = [*self._unsynced, *(fd for fd in (self._fd, self._lock) if fd is not None)]
        self._unsynced, self._fd, self._lock, self._segments, self._reading = [], None, None, [], None
        self.size = self.read_to = self.done_to = self.written_to = 0
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

    def _start_segment(self) -> Segment:
        self._end_segment()
        if self._segments and not self._segments[-1].count:  # its first entry could not be written
            self.size -= self._segments.pop().size
        path = self.path / f"{self.written_to:020d}{SUFFIX}"
        # A file of this name can hold no complete entry.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._fd = fd
        share_with_group(path)
        first = self.header if not self.written_to else SegmentHeader(self.header.id, self.written_to)
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
        """Find the segments that are there. Only the last one is read: a name tells how many entries the segment before has."""
        self.torn = 0
        self.header = SegmentHeader(time.time_ns(), 0)
        segments: list[Segment] = []
        heads: list[SegmentHeader] = []
        for path in sorted(self.path.glob(f"*{SUFFIX}")):
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
        self.read_to = self.done_to = segments[0].first
        self.written_to = segments[-1].end

    def _scan(self, segment: Segment) -> None:
        """Count the complete entries of the last segment, and the bytes behind them."""
        size, at = segment.size, HEADER_BYTES
        if segment.sound:
            data = segment.path.read_bytes()
            found = parse_frames(data, most=len(data), at=HEADER_BYTES)
            segment.count, at = len(found.payloads), found.end
        else:
            at = 0
        self.torn = size - at
        segment.size = at
