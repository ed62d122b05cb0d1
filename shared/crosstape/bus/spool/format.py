"""The bytes of a spool: pure functions from values to bytes and back, without a file.

    segment   header, frame, frame, …
    header    magic and version (8 bytes), id, first, epoch, batch (8 each), carried (4), checksum (4)
    frame     length (4), checksum (4), payload: the JSON of one event that is not stamped yet

Numbers are big-endian. The checksum is CRC-32 (zlib) over the length and the payload: it finds every torn write and every run of up to
32 wrong bits, costs a fifth of a microsecond, and needs no library. It does not protect against forgery: whoever can write to the file can
also compute it, and the run directory is the user's own. What a checksum does not confirm is never taken for an event.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

MAGIC: Final = b"ctspool\x01"
"""Its last byte is the version of the format."""

MAX_PAYLOAD: Final = 1 << 26
"""A greater length is a wrong length: the largest book is far smaller."""

_HEADER: Final = struct.Struct(">8sQQQQI")
_FRAME: Final = struct.Struct(">II")
_CHECKSUM: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">I")
HEADER_BYTES: Final = _HEADER.size + _CHECKSUM.size
FRAME_BYTES: Final = _FRAME.size


class SegmentHeader(msgspec.Struct, frozen=True):
    """The header of a segment."""

    id: int
    """Id of the spool that the segment is a part of: when it was started, ns since the epoch UTC."""
    first: int
    """How many entries the spool had before this segment."""
    epoch: int = 0
    batch: int = 0
    """The spool was started behind all batches of this epoch before this one. (Zeros: not known, or not the first segment.)"""
    carried: int = 0
    """How many of the first entries were in flight in that batch when the spool was started: they may be on the tape already."""


class Frames(msgspec.Struct, frozen=True):
    """The entries that were found in some bytes."""

    payloads: list[bytes]
    end: int
    """Where the last complete frame ends."""
    bad: bool
    """Whether what follows is wrong, not only incomplete."""


def header(value: SegmentHeader) -> bytes:
    """The first bytes of a segment."""
    packed = _HEADER.pack(MAGIC, value.id, value.first, value.epoch, value.batch, value.carried)
    return packed + _CHECKSUM.pack(zlib.crc32(packed))


def parse_header(data: bytes) -> SegmentHeader | None:
    """The header that these bytes start with; None if there is no complete header of this version."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    packed = data[: _HEADER.size]
    if _CHECKSUM.unpack_from(data, _HEADER.size)[0] != zlib.crc32(packed):
        return None
    return SegmentHeader(*_HEADER.unpack(packed)[1:])


def frame(payload: bytes) -> bytes:
    """The frame of one entry. Raises `ValueError` if the entry is empty or too long."""
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise ValueError(f"an entry of {len(payload)} bytes")
    return _FRAME.pack(len(payload), _checksum(len(payload), payload)) + payload


def parse_frames(data: bytes, *, most: int, at: int = 0) -> Frames:
    """Find at most `most` entries from `at` on, up to the first that is incomplete or wrong.

    Zeros, which a file system may leave where data had no time to be written, are wrong, not empty entries.
    """
    payloads: list[bytes] = []
    size = len(data)
    while len(payloads) < most and at + FRAME_BYTES <= size:
        length, checksum = _FRAME.unpack_from(data, at)
        if not 0 < length <= MAX_PAYLOAD:
            return Frames(payloads, at, bad=True)
        end = at + FRAME_BYTES + length
        if end > size:
            break
        payload = data[at + FRAME_BYTES : end]
        if checksum != _checksum(length, payload):
            return Frames(payloads, at, bad=True)
        payloads.append(payload)
        at = end
    return Frames(payloads, at, bad=False)


def frame_bytes(data: bytes, at: int) -> int:
    """How many bytes the frame at `at` has, if its length is in `data`; else 0."""
    return FRAME_BYTES + int(_LENGTH.unpack_from(data, at)[0]) if at + FRAME_BYTES <= len(data) else 0


def _checksum(length: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(length)))
