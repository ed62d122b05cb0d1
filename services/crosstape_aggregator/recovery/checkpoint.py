"""What a share's instruments have counted, as bytes and back. Where it is kept is for `checkpoint_store`, when for `checkpoint_keeper`.

Kept is only what cannot be had again cheaply: the windows' sums, what is known to be whole, and for each instrument the ids of its own
streams that belong to them, so that each is consistent by itself. Quotes and states are not: the last values say them.

A document is a version and a part per instrument; a part is a head and the buckets, some at a time, so that no step of making or reading it
takes long. Each piece is msgpack within a zstd frame that bears a checksum; decimals are their own text. Of 100 busy instruments (trades
in every second of the last hour) a document has 6 to 8 MB where it would have 13.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import zstandard

from crosstape_aggregator.consolidation.instrument import InstrumentState
from crosstape_aggregator.windows.coverage import CoverageState, MissingRange
from crosstape_aggregator.windows.vwap import Sum, WindowsState

VERSION: Final = 2
CHUNK_S: Final = 256
"""Seconds whose buckets are one piece: the same ones every time, so that most pieces need not be made again."""

LARGEST: Final = 1 << 24
"""Bytes: no piece is near it, unless what it says of its own size is damaged."""

Part = Sequence[bytes]
"""The pieces of one instrument, the head first."""


class BadCheckpoint(ValueError):
    """It is of another version, or damaged."""


class InstrumentCheckpoint(NamedTuple):
    """One instrument, as it was."""

    ids: dict[str, str]
    """By kind of stream: up to which id it is in what was counted."""
    state: InstrumentState


class _Document(msgspec.Struct, array_like=True):
    version: int
    parts: dict[str, list[bytes]]


class _Head(msgspec.Struct, array_like=True):
    instrument: str
    ids: dict[str, str]
    numbers: dict[str, tuple[int, int]]
    received_ts: int
    from_s: int
    floor_s: int
    gaps: list[MissingRange]
    second: int
    total: Sum
    windows: list[tuple[str, int, int, Sum]]


_Chunk = tuple[list[int], list[Sum]]

_encode: Final = msgspec.msgpack.Encoder().encode
_version: Final = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw])
_document: Final = msgspec.msgpack.Decoder(_Document)
_head: Final = msgspec.msgpack.Decoder(_Head)
_chunk: Final = msgspec.msgpack.Decoder(_Chunk)
_compress: Final = zstandard.ZstdCompressor(level=1, write_checksum=True).compress
_decompress: Final = zstandard.ZstdDecompressor(max_window_size=LARGEST).decompress


class Writer:
    """Makes the part of one instrument, again and again; buckets that have not changed are not written anew."""

    def __init__(self, instrument: str) -> None:
        self._instrument = instrument
        self._chunks: dict[int, tuple[_Chunk, bytes]] = {}

    def pieces(self, saved: InstrumentCheckpoint) -> Iterator[bytes]:
        """The part as it is now, a piece at a time. What `saved` refers to is never altered, so others may run between two."""
        windows, coverage, numbers, received_ts = saved.state
        gaps = list(coverage.gaps)
        head = _Head(
            self._instrument,
            saved.ids,
            numbers,
            received_ts,
            coverage.from_s,
            coverage.floor_s,
            gaps,
            windows.second,
            windows.total,
            windows.windows,
        )
        yield _compress(_encode(head))
        before, self._chunks = self._chunks, {}
        at = 0
        while at < len(windows.seconds):
            number = windows.seconds[at] // CHUNK_S
            end = bisect_left(windows.seconds, (number + 1) * CHUNK_S, at)
            chunk = windows.seconds[at:end], windows.buckets[at:end]
            then, piece = before.get(number, (None, b""))
            if chunk != then:  # quickly told: sums that are the same are the same objects
                piece = _compress(_encode(chunk))
            self._chunks[number] = chunk, piece
            yield piece
            at = end


def pack(parts: Mapping[str, Part]) -> bytes:
    """The document of these parts."""
    return _encode(_Document(VERSION, {name: list(part) for name, part in parts.items()}))


def unpack(state: bytes) -> dict[str, Part]:
    """The parts of a document, which may be damaged each. Raises `BadCheckpoint`."""
    try:
        version, _ = _version.decode(state)
        if version != VERSION:
            raise BadCheckpoint(f"of version {version}, not {VERSION}")
        return dict(_document.decode(state).parts)
    except (ValueError, msgspec.MsgspecError) as exc:  # a name that is no text is a ValueError
        raise exc if isinstance(exc, BadCheckpoint) else BadCheckpoint(f"damaged: {exc}") from exc


def read(instrument: str, part: Part) -> InstrumentCheckpoint:
    """What a part says. Raises `BadCheckpoint`."""
    try:
        first, *rest = part
        head = _head.decode(_unpacked(first))
        if head.instrument != instrument:
            raise BadCheckpoint(f"damaged: the part of {instrument} says it is of {head.instrument}")
        seconds: list[int] = []
        buckets: list[Sum] = []
        for piece in rest:
            some_seconds, some_buckets = _chunk.decode(_unpacked(piece))
            seconds += some_seconds
            buckets += some_buckets
    except (ValueError, msgspec.MsgspecError, zstandard.ZstdError) as exc:
        raise exc if isinstance(exc, BadCheckpoint) else BadCheckpoint(f"damaged: {exc}") from exc
    windows = WindowsState(head.second, head.total, head.windows, seconds, buckets)
    coverage = CoverageState(head.from_s, head.floor_s, tuple(head.gaps))
    return InstrumentCheckpoint(head.ids, InstrumentState(windows, coverage, head.numbers, head.received_ts))


def _unpacked(piece: bytes) -> bytes:
    if zstandard.frame_content_size(piece) not in range(LARGEST):
        raise BadCheckpoint("damaged: a piece says that it is of an impossible size")
    return _decompress(piece)
