"""Reading captures: line 1 the header, then one JSON line per frame, REST answer, or connection opened or closed.

`{"capture": 1, "venue": …, "url": …}`, then `{"t": ns or null, "c": connection, "d": "in" | "out" | "rest" | "open" | "close"}` with `f`
the text (or `b`, base64 of what is no text) and `u` the URL of a REST answer or of an opened connection. `capture` says what else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from crosstape.text_file import decode_utf8
from crosstape_connector.errors import FrameError

LINE: Final = 256 * 1024 * 1024
"""Longest line that is read."""


class NotACaptureError(FrameError):
    """The first line is not the header of a capture that we can read."""


class CaptureHeader(msgspec.Struct, frozen=True):
    """What the capture is of. Its venue may be a wire dialect of ours: `coinbase_exchange`."""

    capture: int
    venue: str
    url: str = ""


class CaptureLine(msgspec.Struct, frozen=True):
    """One frame, REST answer or event of a connection."""

    t: int | None = None
    """When it was received, ns; null where the recorder did not note it."""
    c: int = 0
    d: str = ""
    f: str | None = None
    b: str | None = None
    u: str = ""
    bad: str = ""
    """Why the connector could not use it, if it could not."""
    repeated: bool = False
    """It was in the file before, too: a file that was begun while connections went on can be read alone."""

    def body(self) -> bytes:
        """The frame or answer as bytes. Raises `FrameError` for base64 that is none."""
        if self.b is None:
            return (self.f or "").encode()
        try:
            return base64.b64decode(self.b, validate=True)
        except binascii.Error as exc:
            raise FrameError("a frame that is not base64") from exc


_header = msgspec.json.Decoder(CaptureHeader).decode
_line = msgspec.json.Decoder(CaptureLine).decode


def read(lines: Iterable[bytes]) -> tuple[CaptureHeader, Iterator[CaptureLine]]:
    """The header, and the lines after it as they are asked for. Raises `NotACaptureError`; a later line may raise `FrameError`."""
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
            yield _line(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise FrameError(f"line {number} of the capture: {exc}") from exc


class CaptureFile:
    """The lines of a capture file, which can be read more than once. Reading raises as `opened` does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[bytes]:
        with opened(self.path) as lines:
            yield from lines


@contextmanager
def opened(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of a capture file, plain or zstd (told by its first bytes). Raises `OSError`; while reading, `zstandard.ZstdError`."""
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
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE:
            raise FrameError(f"a line of the capture is longer than {LINE} bytes")
        yield from whole
    if rest:
        yield rest
