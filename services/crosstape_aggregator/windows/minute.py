"""Packs the sums of the seconds of one minute into bytes, and unpacks them.

Exact: the numbers are written as text, with all their digits but trailing zeros. A packed second needs 20 to 30 bytes, and 330 otherwise.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from crosstape_aggregator.decimals import normalize

MINUTE_S: Final = 60

Sum = tuple[Decimal, Decimal, int]
"""The sum of some trades: price × size, size, number of trades. A tuple, because the garbage collector ignores tuples of numbers."""
Minute = dict[int, Sum]
"""Second of the minute (0 to 59) → the sum of its trades. Seconds without trades are not in it."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[bytes, list[Decimal], list[Decimal], list[int]]).decode
"""One column of each: the second of the minute as a byte, and the three numbers of its sum. msgpack has decimals as text."""


def pack(minute: Minute) -> bytes:
    """Pack the sums of a minute that has trades. The same sums give the same bytes."""
    seconds = sorted(minute)
    values, volumes, trades = zip(*map(minute.__getitem__, seconds), strict=True)
    return _encode((bytes(seconds), list(map(normalize, values)), list(map(normalize, volumes)), trades))


def unpack(packed: bytes) -> Minute:
    """Unpack a minute. Raises `ValueError` or an error of msgspec if `pack` cannot have made these bytes."""
    seconds, values, volumes, trades = _decode(packed)
    minute = dict(zip(seconds, zip(values, volumes, trades, strict=True), strict=True))
    if not minute or max(minute) >= MINUTE_S:
        raise ValueError("not the seconds of a minute")
    return minute
