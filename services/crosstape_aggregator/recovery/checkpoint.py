"""Encodes the windows and bars of one instrument as fields of a hash, and decodes them. Pure: no I/O, no clock.

The fields of one instrument do not depend on other instruments. They are a head, a chunk for every four minutes in which it traded, and
those of its bars (see `bars_checkpoint`):

    head:BTC-USDT           version, ids of its streams, sums of its windows, coverage, which chunks belong to it
    7441666:BTC-USDT        the sum of the trades of each second in this chunk, of older minutes packed as in memory (`windows.minute`)
    1m.465104:BTC-USDT      bars of one timeframe

A chunk is numbered by its time, so it does not change once its time is over: only the head and the newest chunks are written again. Sums
are stored because to compute them again, all trades would have to be read again. Quotes and states are not stored: they can be read from
the last values on the bus.

Each field is msgpack, compressed into a zstd frame with a checksum; decimals are encoded as text. The head contains the CRC-32 of each
chunk, so that a chunk that is missing, damaged or from another checkpoint is detected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Final, NamedTuple
from zlib import crc32

import msgspec
import zstandard

from crosstape_aggregator.consolidation.instrument import InstrumentState
from crosstape_aggregator.recovery.bars_checkpoint import BarsEncoder, BarsHead
from crosstape_aggregator.recovery.bars_checkpoint import chunk_field as bars_field
from crosstape_aggregator.recovery.bars_checkpoint import decode as decode_bars
from crosstape_aggregator.recovery.former_checkpoint import decode_head, windows_of
from crosstape_aggregator.recovery.numbers import encode
from crosstape_aggregator.windows.coverage import CoverageState, MissingRange
from crosstape_aggregator.windows.minute import MINUTE_S, Minute, Sum, unpack
from crosstape_aggregator.windows.vwap import WindowsState

VERSION: Final = 5
OLDEST: Final = 3
"""The oldest version that can be read. It has no bars."""
FORMER: Final = "state"
"""The field in which versions 1 and 2 kept all instruments together."""
CHUNK_MINUTES: Final = 4
LARGEST: Final = 1 << 24
"""Largest size of a field in bytes. Real fields are far smaller; one that states a larger size is damaged."""

Fields = Mapping[str, bytes]
"""Fields of the hash: name → value."""


class BadCheckpoint(ValueError):
    """A stored checkpoint cannot be used: it has another version, or is damaged."""


class InstrumentCheckpoint(NamedTuple):
    """The state of one instrument at one moment."""

    ids: dict[str, str]
    """Kind of stream → the last id whose event has been applied to the state."""
    state: InstrumentState


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
    windows: list[tuple[str, int, Sum]]
    chunks: dict[int, int]
    """Number → CRC-32 of the field."""
    bars: BarsHead | None = None


_Chunk = tuple[dict[int, bytes], dict[int, Minute]]
"""The minutes that are packed, and those that are not, by their numbers."""
_Second = Annotated[int, msgspec.Meta(ge=0, lt=MINUTE_S)]
_StoredChunk = tuple[dict[int, bytes], dict[int, Annotated[dict[_Second, Sum], msgspec.Meta(min_length=1)]]]
"""A chunk that was not made here: what does not belong to it is found."""

_encode: Final = msgspec.msgpack.Encoder().encode
_versioned: Final = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw])
_head: Final = msgspec.msgpack.Decoder(_Head, strict=False).decode  # see `numbers`
_chunk: Final = msgspec.msgpack.Decoder(_StoredChunk).decode
_compress: Final = zstandard.ZstdCompressor(level=1, write_checksum=True).compress
_decompress: Final = zstandard.ZstdDecompressor(max_window_size=LARGEST).decompress


def head_field(instrument: str) -> str:
    """Return the field name of an instrument's head."""
    return f"head:{instrument}"


def chunk_field(instrument: str, number: int) -> str:
    """Return the field name of the chunk that begins with the minute `number` × 4 since the epoch."""
    return f"{number}:{instrument}"


def by_instrument(names: Iterable[str]) -> dict[str, list[str]]:
    """Group field names by instrument; those that belong to no instrument are under ""."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition(":")[2], []).append(name)
    return found


class InstrumentEncoder:
    """Encodes one instrument for each checkpoint: only the fields that have changed since the previous one."""

    def __init__(self, instrument: str, stored: Mapping[str, int]) -> None:
        self.stored = dict(stored)
        """Field name → size in bytes, of each field of this instrument that is, or may be, on the server."""
        self._instrument = instrument
        self._chunks: dict[int, tuple[_Chunk, int]] = {}  # number → chunk of the previous checkpoint and its CRC-32
        self._bars = BarsEncoder(_compress)

    def changed(self, checkpoint: InstrumentCheckpoint) -> Iterator[tuple[str, bytes]]:
        """Yield the name and value of each field that has changed, the head last. `checkpoint` is a copy, so other tasks may run."""
        windows, coverage, numbers, received_ts, bars = checkpoint.state
        before, self._chunks = self._chunks, {}
        for number, chunk in _chunks(windows).items():
            then = before.get(number)
            if then is None or not _holds(then[0], chunk):
                field = _compress(_encode(chunk))
                then = chunk, crc32(field)
                yield self._stored(chunk_field(self._instrument, number), field)
            self._chunks[number] = then
        checksums = {number: checksum for number, (_, checksum) in self._chunks.items()}
        if bars is None:
            self._bars.forget()
        else:
            for name, field in self._bars.changed(bars):
                yield self._stored(bars_field(self._instrument, name), field)
        head = _Head(
            self._instrument, checkpoint.ids, numbers, received_ts, coverage.from_s, coverage.floor_s, list(coverage.gaps),
            windows.second, windows.total, windows.windows, checksums, self._bars.head(bars) if bars is not None else None,
        )  # fmt: skip
        yield self._stored(head_field(self._instrument), _compress(encode((VERSION, head))))

    def _stored(self, name: str, field: bytes) -> tuple[str, bytes]:
        self.stored[name] = len(field)
        return name, field

    def gone(self) -> list[str]:
        """Return the names of stored fields that are not part of the last checkpoint."""
        present = {head_field(self._instrument), *(chunk_field(self._instrument, number) for number in self._chunks)}
        present.update(bars_field(self._instrument, name) for name in self._bars.present())
        return [name for name in self.stored if name not in present]

    def written(self) -> None:
        """Note that the server has written all changed fields, and deleted those of `gone`."""
        for name in self.gone():
            del self.stored[name]

    def forget(self) -> None:
        """Encode all chunks next time, because it is not known which fields the server has."""
        self._chunks.clear()
        self._bars.forget()


def _chunks(windows: WindowsState) -> dict[int, _Chunk]:
    found: dict[int, _Chunk] = {}
    for number, packed in windows.packed.items():
        found.setdefault(number // CHUNK_MINUTES, ({}, {}))[0][number] = packed
    for number, minute in windows.unpacked.items():
        found.setdefault(number // CHUNK_MINUTES, ({}, {}))[1][number] = minute
    return found


def _holds(chunk: _Chunk, newer: _Chunk) -> bool:
    """Whether `chunk` still contains `newer`: at most, its first minutes have left all windows. Unchanged sums are the same objects."""
    return newer[0].items() <= chunk[0].items() and newer[1].items() <= chunk[1].items()


def decode(instrument: str, fields: Fields) -> InstrumentCheckpoint:
    """Decode the fields of one instrument. Raises `BadCheckpoint` when they are damaged or have another version."""

    def chunk(number: int, checksum: int) -> bytes:
        return _checked(fields, chunk_field(instrument, number), checksum)

    try:
        version, rest = _versioned.decode(_unpacked(fields.get(head_field(instrument), b"")))
        if not OLDEST <= version <= VERSION:
            raise BadCheckpoint(f"{instrument} is of version {version}, not {VERSION}")
        head = _head(rest) if version == VERSION else decode_head(rest)
        if head.instrument != instrument:
            raise BadCheckpoint(f"damaged: the head of {instrument} says it is of {head.instrument}")
        windows = _windows_of(head, chunk) if isinstance(head, _Head) else windows_of(head, chunk)
        bars = None
        if head.bars is not None:
            bars = decode_bars(head.bars, lambda name, checksum: _checked(fields, bars_field(instrument, name), checksum))
    except (ValueError, msgspec.MsgspecError, zstandard.ZstdError) as exc:
        raise exc if isinstance(exc, BadCheckpoint) else BadCheckpoint(f"damaged: {instrument}: {exc}") from exc
    coverage = CoverageState(head.from_s, head.floor_s, tuple(head.gaps))
    return InstrumentCheckpoint(head.ids, InstrumentState(windows, coverage, head.numbers, head.received_ts, bars))


def _windows_of(head: _Head, chunk: Callable[[int, int], bytes]) -> WindowsState:
    packed: dict[int, bytes] = {}
    unpacked: dict[int, Minute] = {}
    for one in head.chunks.items():
        some_packed, some_unpacked = _chunk(chunk(*one))
        packed |= some_packed
        unpacked |= some_unpacked
    for minute in packed.values():
        unpack(minute)  # so that what cannot be unpacked is found now
    return WindowsState(head.second, head.total, head.windows, packed, unpacked)


def _checked(fields: Fields, name: str, checksum: int) -> bytes:
    """Return the content of a chunk. Raises `BadCheckpoint` if it is not the one that its head was written with."""
    field = fields.get(name, b"")
    if crc32(field) != checksum:
        raise BadCheckpoint(f"damaged: {name} is not the one that its head means")
    return _unpacked(field)


def _unpacked(field: bytes) -> bytes:
    if zstandard.frame_content_size(field) not in range(LARGEST):
        raise BadCheckpoint("damaged: a field says that it is of an impossible size")
    return _decompress(field)
