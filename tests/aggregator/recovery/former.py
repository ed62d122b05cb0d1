"""Writes checkpoints in the layout of versions 3 and 4, for the tests of what reads them."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from zlib import crc32

import msgspec
import zstandard

from crosstape_aggregator.recovery.checkpoint import Fields, InstrumentCheckpoint, InstrumentEncoder, chunk_field, head_field
from crosstape_aggregator.windows.minute import Sum, unpack
from crosstape_aggregator.windows.vwap import WindowsState
from tests.aggregator.recovery.checkpoints import compressed

CHUNK_S = 256


def sums_of(state: WindowsState) -> dict[int, Sum]:
    """Return the sum of the trades of each second that a state has, in order."""
    minutes = {number: unpack(packed) for number, packed in state.packed.items()} | state.unpacked
    found = {number * 60 + at: trades for number, minute in minutes.items() for at, trades in minute.items()}
    return dict(sorted(found.items()))


def former_fields(instrument: str, checkpoint: InstrumentCheckpoint, version: int) -> Fields:
    """Return the fields of a checkpoint as version 3 or 4 wrote them. Version 3 had no bars."""
    windows, coverage, numbers, received_ts, bars = checkpoint.state
    present = dict(InstrumentEncoder(instrument, {}).changed(checkpoint))
    fields = {name: field for name, field in present.items() if bars is not None and "." in name.partition(":")[0]}
    oldest_s = min([start_s for name, start_s, _ in windows.windows if name != "1d"], default=windows.second)
    sums = {second: trades for second, trades in sums_of(windows).items() if second >= oldest_s}
    starts = [(name, start_s, sum(second < start_s for second in sums), gone) for name, start_s, gone in windows.windows]
    chunks: dict[int, int] = {}
    for number, seconds in groupby(sums, key=lambda second: second // CHUNK_S):
        of_chunk = list(seconds)
        field = fields[chunk_field(instrument, number)] = compressed((of_chunk, [sums[second] for second in of_chunk]))
        chunks[number] = crc32(field)
    head: list[Any] = [
        instrument, checkpoint.ids, numbers, received_ts, coverage.from_s, coverage.floor_s, coverage.gaps, windows.second, windows.total,
        starts, min(sums, default=0), chunks,
    ]  # fmt: skip
    if version > 3:
        content: Any = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(present[head_field(instrument)]))
        head.append(content[1][-1])
    return {**fields, head_field(instrument): compressed((version, head))}
