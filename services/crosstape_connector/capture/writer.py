"""Writes a capture: every frame in and out and each REST answer, as zstd-compressed JSON lines (`reader` reads them).

Line 1 of a file is its header `{"capture": 1, "venue", "url", "source"}`. Then, in order of time,
`{"t", "c", "d": "in" | "out", "f": text}`, with `"b"`: base64 of a binary frame or of one that is not text, as it came (`"bad": kind` if
it could not be used),
`{"t", "c", "d": "rest", "u", "f"}` (`"bad": "refused"` if the venue refused), `{"t", "c", "d": "open", "u"}`,
`{"t", "c", "d": "close", "f": reason}` and `{"t", "d": "dropped", "n": lines lost before this one}`. `t` is ns since the epoch, `c` the
number of the connection in its process. A later file begins with the open lines of the connections that go on and with the newest
instruments (`"repeated": true`), so that each can be read on its own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog
import zstandard

from crosstape.runtime.run_dir import try_to_write

LINES: Final = 65_536
BYTES: Final = 64 * 1024 * 1024
"""Lines and bytes that may wait for the disk; beyond either, lines are dropped and counted."""

POLL_S: Final = 0.1
FLUSH_S: Final = 1.0
"""Seconds of its capture that a killed process loses; one that is stopped loses nothing."""

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class CaptureLine(msgspec.Struct, omit_defaults=True, gc=False):
    """One line of a capture; fields that have their default are not written."""

    t: int
    c: int | None = None
    d: Literal["in", "out", "rest", "open", "close", "dropped", ""] = ""
    u: str | None = None
    f: str | None = None
    b: bytes | None = None
    n: int | None = None
    bad: str | None = None
    repeated: bool = False


class Capture:
    """Writes one venue's capture to a directory: ordered, buffered; when the buffer is full, lines are dropped and counted.

    Only its own thread waits for the disk. A disk that fails ends the capture, not the feed: that is logged once, and `dropped` counts
    from then on all that was not flushed.
    """

    def __init__(
        self,
        directory: Path | str,
        venue: str,
        url: str,
        *,
        max_bytes: int,
        max_s: float,
        clock: Callable[[], int] = time.time_ns,
        lines: int = LINES,
    ) -> None:
        self.files_ended = 0
        self._venue = venue
        self._url = url
        self._directory = Path(directory)
        self._max_bytes = max_bytes
        self._max_ns = int(max_s * 1e9)
        self._clock = clock
        self._max_lines = lines
        self._queue: deque[tuple[CaptureLine, int]] = deque()
        self._refused = 0  # lines dropped because the buffer was full
        self._queued_lines = 0
        self._flushed_lines = 0  # lines up to the last flush; only the thread sets it
        self._written_lines = 0  # only the thread sets it
        self._failed = False
        self._queued_bytes = 0  # only the event loop sets it …
        self._written_bytes = 0  # … and only the thread this one, so that neither needs a lock
        self._dropped_written = 0
        self._open: dict[int, CaptureLine] = {}
        self._instruments: dict[str, CaptureLine] = {}  # by URL
        self._file: _File | None = None
        self._ended = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"capture.{venue}", daemon=True)

    def start(self) -> None:
        """Make the directory, check that it can be written, and start the thread. Raises `OSError`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        try_to_write(self._directory)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Number of lines that are in no file: the buffer was full, or the disk failed before they were flushed."""
        return self._refused + (self._queued_lines - self._flushed_lines if self._failed else 0)

    def stop(self) -> None:
        """Write what is queued and end the file; later lines are dropped. Waits for the disk: call it in a thread."""
        self._stopping.set()
        self._thread.join()

    def frame_in(self, ts: int, connection: int, data: bytes) -> None:
        """Write a text frame that was received. Like the other methods below, it never waits and never raises."""
        self._queue_line(CaptureLine(ts, connection, "in"), data)

    def binary_in(self, ts: int, connection: int, data: bytes) -> None:
        """Write a binary frame that was received, as it came."""
        self._queue_line(CaptureLine(ts, connection, "in", b=data), data)

    def frame_bad(self, ts: int, connection: int, data: bytes, kind: str, *, binary: bool) -> None:
        """Write a frame that was received and could not be used. `kind`: of the error."""
        line = CaptureLine(ts, connection, "in", bad=kind)
        if binary:
            line.b = data
        self._queue_line(line, data)

    def frame_out(self, ts: int, connection: int, data: bytes) -> None:
        """Write a frame that was sent."""
        self._queue_line(CaptureLine(ts, connection, "out"), data)

    def opened(self, ts: int, connection: int, url: str) -> None:
        """Write that a connection was opened."""
        line = self._open[connection] = CaptureLine(ts, connection, "open", u=url)
        self._queue_line(line)

    def closed(self, ts: int, connection: int, reason: str) -> None:
        """Write that a connection was closed."""
        self._open.pop(connection, None)
        self._queue_line(CaptureLine(ts, connection, "close"), reason.encode())

    def answered(self, ts: int, url: str, body: bytes, *, instruments: bool = False, refused: bool = False) -> None:
        """Write a REST answer. The newest of each URL with `instruments` is repeated at the head of each later file."""
        line = CaptureLine(ts, 0, "rest", u=url, bad="refused" if refused else None)
        self._queue_line(line, body)
        if instruments and not refused:
            self._instruments[url] = line

    def _queue_line(self, line: CaptureLine, data: bytes = b"") -> None:
        if self._ended or len(self._queue) >= self._max_lines or self._queued_bytes - self._written_bytes + len(data) > BYTES:
            self._refused += 1
            return
        if data and line.b is None:
            try:
                line.f = data.decode()
            except UnicodeDecodeError:
                line.b = data
        self._queued_bytes += len(data)
        self._queued_lines += 1
        self._queue.append((line, len(data)))

    def _run(self) -> None:
        try:
            while not self._stopping.wait(POLL_S):
                self._drain()
            self._ended = True
            self._drain()
            self._end_file()
        except (OSError, zstandard.ZstdError) as exc:
            self._ended = self._failed = True
            self._queue.clear()
            if self._file is not None:
                self._file.abandon()
            log.error("capture.failed", venue=self._venue, directory=str(self._directory), error=str(exc), dropped=self.dropped)

    def _drain(self) -> None:
        if self._file is not None and self._clock() - self._file.opened_ts >= self._max_ns:
            self._end_file()
        while self._queue:
            line, size = self._queue.popleft()
            self._written_bytes += size
            self._written_lines += 1
            self._write(line)
        if self._refused > self._dropped_written:
            lost, self._dropped_written = self._refused - self._dropped_written, self._refused
            self._write(CaptureLine(self._clock(), d="dropped", n=lost))
        if self._file is not None and self._file.flush():
            self._flushed_lines = self._written_lines

    def _write(self, line: CaptureLine) -> None:
        if self._file is None:
            self._file = _File(self._directory, self._venue, self._clock())
            self._file.write(_encode({"capture": 1, "venue": self._venue, "url": self._url, "source": "crosstape"}))
            for repeated in (*tuple(self._instruments.values()), *tuple(self._open.values())):
                if repeated is not line and repeated.t < line.t:
                    self._file.write(_encode(msgspec.structs.replace(repeated, repeated=True)))
        self._file.write(_encode(line))
        if self._file.size >= self._max_bytes:
            self._end_file()

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._flushed_lines = self._written_lines
            self.files_ended += 1


class _File:
    """One file of a capture: a zstd frame, complete once closed; before that, readable up to the last flush."""

    def __init__(self, directory: Path, venue: str, now: int) -> None:
        self.opened_ts = now
        self.size = 0
        """Bytes before compression."""
        self._flushed = time.monotonic()
        stamp = f"{datetime.fromtimestamp(now // 1_000_000_000, UTC):%Y%m%dT%H%M%S}.{now // 1_000 % 1_000_000:06}Z"
        self._raw = (directory / f"{venue}-{stamp}.jsonl.zst").open("xb")
        self._zstd = zstandard.ZstdCompressor().stream_writer(self._raw)

    def write(self, line: bytes) -> None:
        self._zstd.write(line + b"\n")
        self.size += len(line) + 1

    def flush(self) -> bool:
        """Give all that was written to the disk, if it is time to. Returns whether it was."""
        if time.monotonic() - self._flushed < FLUSH_S:
            return False
        self._flushed = time.monotonic()
        self._zstd.flush(zstandard.FLUSH_BLOCK)
        return True

    def abandon(self) -> None:
        """Close a file that cannot be ended: what was flushed of it can be read."""
        with suppress(OSError):
            self._raw.close()

    def close(self) -> None:
        """End the zstd frame, then the file."""
        self._zstd.close()  # type: ignore[no-untyped-call]
