"""Encodes the bars of one instrument as chunks and the part of the instrument's head that concerns them, and decodes these. Pure.

A chunk holds the bars of all venues in one timeframe that open within `CHUNK` intervals:

    1s.27906250:BTC-USDT      the sums of each interval with trades, and what was last published of each closed bar

So it does not change once its intervals are closed, unless a trade comes late: only the newest chunk of each timeframe is written again,
and the oldest, which intervals leave. How fields are compressed, and what the head contains besides: see `checkpoint`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final
from zlib import crc32

import msgspec

from crosstape_aggregator.bars.series import Closed, LastTrade, SeriesState
from crosstape_aggregator.bars.state import BarsState
from crosstape_aggregator.bars.sums import Sums
from crosstape_aggregator.recovery.numbers import encode
from crosstape_aggregator.windows.coverage import MissingRange
from crosstape_schemas.timeframes import DAY, LENGTHS

CHUNK: Final = 64
"""Intervals of one chunk. A month counts as 32 days here."""
_MONTH: Final = 32 * DAY

_Part = tuple[str, list[tuple[int, Sums]], list[tuple[int, Closed]]]
"""The bars of one venue in a chunk: the sums, and what was published, by `open_ts`."""
_Chunk = list[_Part]

_decode: Final = msgspec.msgpack.Decoder(_Chunk, strict=False).decode  # see `numbers`


class BarsHead(msgspec.Struct, array_like=True):
    """What the head of an instrument says of its bars."""

    closed_until: dict[str, int]
    dropped_until: dict[str, int]
    newest_ts: int
    gaps: list[MissingRange]
    until_ts: int
    since: dict[str, int]
    series: list[tuple[str, str, LastTrade | None]]
    """Timeframe, venue, and the last trade before the bars that are kept, of each series."""
    chunks: dict[str, int]
    """`TIMEFRAME.NUMBER` → CRC-32 of the field."""


def chunk_field(instrument: str, chunk: str) -> str:
    """Return the field name of a chunk."""
    return f"{chunk}:{instrument}"


class BarsEncoder:
    """Encodes the bars of one instrument for each checkpoint: only the chunks that have changed since the previous one."""

    def __init__(self, pack: Callable[[bytes], bytes]) -> None:
        """`pack` compresses a field."""
        self._pack = pack
        self._chunks: dict[str, tuple[_Chunk, int]] = {}  # chunk of the previous checkpoint, and its CRC-32

    def changed(self, state: BarsState) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the field of each chunk that has changed. `head` is of this state when all were taken."""
        before, self._chunks = self._chunks, {}
        for name, chunk in _chunks(state).items():
            then = before.get(name)
            if then is None or then[0] != chunk:  # unchanged sums are the same objects, so that this is fast
                field = self._pack(encode(chunk))
                then = chunk, crc32(field)
                yield name, field
            self._chunks[name] = then

    def head(self, state: BarsState) -> BarsHead:
        """Return the part of the head that belongs to the chunks."""
        return BarsHead(
            state.closed_until, state.dropped_until, state.newest_ts, list(state.gaps), state.until_ts, state.since,
            [(one.timeframe, one.venue, one.before) for one in state.series],
            {name: checksum for name, (_, checksum) in self._chunks.items()},
        )  # fmt: skip

    def present(self) -> Iterator[str]:
        """Yield the names of all chunks of the last checkpoint."""
        yield from self._chunks

    def forget(self) -> None:
        """Encode all chunks next time."""
        self._chunks.clear()


def _chunks(state: BarsState) -> dict[str, _Chunk]:
    found: dict[str, dict[str, _Part]] = {}
    for series in state.series:
        venue, span = series.venue, CHUNK * LENGTHS.get(series.timeframe, _MONTH)
        parts: dict[int, _Part] = {}
        for sums in series.sums:
            parts.setdefault(sums[0] // span, (venue, [], []))[1].append(sums)
        for closed in series.closed:
            parts.setdefault(closed[0] // span, (venue, [], []))[2].append(closed)
        for number, part in parts.items():
            found.setdefault(f"{series.timeframe}.{number}", {})[venue] = part
    return {name: list(parts.values()) for name, parts in found.items()}


def decode(head: BarsHead, fields: Callable[[str, int], bytes]) -> BarsState:
    """Decode the bars of one instrument. `fields` returns the content of a chunk, unless its CRC-32 is another one.

    Raises what `fields` raises, and `ValueError` or an error of msgspec if the content is wrong.
    """
    of: dict[tuple[str, str], SeriesState] = {
        (timeframe, venue): SeriesState(timeframe, venue, [], [], before) for timeframe, venue, before in head.series
    }
    for name, checksum in head.chunks.items():
        timeframe = name.partition(".")[0]
        for venue, sums, closed in _decode(fields(name, checksum)):
            series = of.get((timeframe, venue))
            if series is None:
                raise ValueError(f"its head does not know {timeframe} bars of {venue}")
            series.sums.extend(sums)
            series.closed.extend(closed)
    return BarsState(head.closed_until, head.dropped_until, head.newest_ts, list(of.values()), tuple(head.gaps), head.until_ts, head.since)
