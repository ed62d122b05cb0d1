"""Reads captures: line 1 is the header, then comes one JSON line per frame, REST answer, or connection opened or closed.

`{"capture": 1, "venue": …, "url": …}`, then `{"t": ns or null, "c": connection, "d": "in" | "out" | "rest" | "open" | "close"}`, with `f`
the text (or `b`, base64 of what is not text) and `u` the URL of a REST answer or of an opened connection. `writer` documents the rest.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
import zstandard

from crosstape.text_file import decode_utf8
from crosstape_connector.errors import FrameError

LINE: Final = 256 * 1024 * 1024
"""Bytes of the longest line that is read."""


class NotACaptureError(FrameError):
    """The first line is not the header of a capture in a format that we can read."""


class CaptureHeader(msgspec.Struct, frozen=True):
    """Names the venue of a capture, which may be an alias for one of its wire formats (`coinbase_exchange`)."""

    capture: int
    venue: str
    url: str = ""


class CaptureLine(msgspec.Struct, frozen=True):
    """One frame, REST answer or event of a connection."""

    t: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    """Receive time, ns since the epoch; null where the recorder did not note it."""
    c: int = 0
    d: str = ""
    f: str | None = None
    b: str | None = None
    u: str = ""
    bad: str = ""
    """Why the connector could not use it; empty = it could."""
    repeated: bool = False
    """Whether the line is a copy from the file before, so that each file can be read alone."""

    def body(self) -> bytes:
        """Return the frame or answer as bytes. Raises `FrameError` for invalid base64."""
        if self.b is None:
            return (self.f or "").encode()
        try:
            return base64.b64decode(self.b, validate=True)
        except binascii.Error as exc:
            raise FrameError("a frame that is not base64") from exc


_header = msgspec.json.Decoder(CaptureHeader).decode
_line = msgspec.json.Decoder(CaptureLine).decode


def read(lines: Iterable[bytes]) -> tuple[CaptureHeader, Iterator[CaptureLine]]:
    """Return the header and an iterator over the lines after it.

    Raises `NotACaptureError`; the iterator raises `FrameError` at a line that is not one of a capture.
    """
    rest = iter(lines)
    try:
        header = _header(decode_utf8(next(rest, b"")))
    except ValueError as exc:  # msgspec's errors are, too
        raise NotACaptureError(f"not the first line of a capture: {exc}") from exc
    if header.capture != 1:
        raise NotACaptureError(f"a capture of format {header.capture}, not 1")
    return header, _lines(rest)


def _lines(rest: Iterator[bytes]) -> Iterator[CaptureLine]:
    for number, text in enumerate(rest, 2):
        if not text.strip():
            continue
        try:
            line = _line(text)
            urlsplit(line.u)  # whoever reads the line takes it apart
        except ValueError as exc:  # msgspec's errors are, too
            raise FrameError(f"line {number} of the capture: {exc}") from exc
        yield line


class CaptureFile:
    """Iterates over the lines of a capture, as often as needed: of one file, or of those that followed one another.

    Raises what `opened` raises.
    """

    def __init__(self, *paths: Path) -> None:
        self.paths = paths

    def __iter__(self) -> Iterator[bytes]:
        for path in self.paths:
            with opened(path) as lines:
                yield from lines


@contextmanager
def opened(path: Path) -> Iterator[Iterator[bytes]]:
    """Open a capture file, plain or zstd (by its first bytes), and yield its lines.

    Raises `OSError`; while reading, `zstandard.ZstdError` and `FrameError` (a line that is too long).
    """
    with path.open("rb") as file:
        packed = file.read(4) == zstandard.MAGIC_NUMBER.to_bytes(4, "little")
        file.seek(0)
        if not packed:
            yield iter(file)
            return
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
            yield _split(stream)


def _split(stream: zstandard.ZstdDecompressionReader) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(1 << 20):
        *complete, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE:
            raise FrameError(f"a line of the capture is longer than {LINE} bytes")
        yield from complete
    if rest:
        yield rest
