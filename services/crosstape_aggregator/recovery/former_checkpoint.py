"""Decodes the head and the chunks of checkpoints of versions 3 and 4, which had the sum of each second by itself. Pure.

An aggregator that is updated continues from the checkpoint of its predecessor. The bars of version 4 are those of now; version 3 has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from crosstape_aggregator.recovery.bars_checkpoint import BarsHead
from crosstape_aggregator.windows.coverage import MissingRange
from crosstape_aggregator.windows.minute import MINUTE_S, Minute, Sum, pack
from crosstape_aggregator.windows.vwap import WindowsState


class FormerHead(msgspec.Struct, array_like=True):
    """The head of an instrument."""

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
    """Of each window: name, first second, index of this second, sum of the trades before it."""
    oldest_s: int
    """The first second that a window still needs: the first chunk may contain earlier ones."""
    chunks: dict[int, int]
    """Number → CRC-32 of the field. A chunk has 256 seconds."""
    bars: BarsHead | None = None


decode_head: Final = msgspec.msgpack.Decoder(FormerHead).decode
_chunk: Final = msgspec.msgpack.Decoder(tuple[list[int], list[Sum]]).decode
"""The seconds in ascending order, and the sum of the trades of each."""


def windows_of(head: FormerHead, chunk: Callable[[int, int], bytes]) -> WindowsState:
    """Return the state of the windows. `chunk` returns the content of the chunk of a number and a CRC-32.

    Raises what `chunk` raises, and `ValueError` or an error of msgspec if the content is wrong.
    """
    minutes: dict[int, Minute] = {}
    for one in head.chunks.items():
        for second, trades in zip(*_chunk(chunk(*one)), strict=True):
            if second >= head.oldest_s:
                minutes.setdefault(second // MINUTE_S, {})[second % MINUTE_S] = trades
    windows = [(name, start_s, gone) for name, start_s, _, gone in head.windows]
    return WindowsState(head.second, head.total, windows, {number: pack(minute) for number, minute in minutes.items()}, {})
