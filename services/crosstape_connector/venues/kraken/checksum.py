"""The checksum of a Kraken book: https://docs.kraken.com/api/docs/guides/spot-ws-book-v2."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import chain
from typing import Final

from crosstape_schemas import Level

CHECKED: Final = 10
"""Levels a side that it is of."""

_zeros = re.compile(r" 0*").sub


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """CRC-32 of the best ten asks, then bids: each number's digits as sent, without the point and without leading zeros."""
    numbers = list(chain.from_iterable((*asks[:CHECKED], *bids[:CHECKED])))
    text = " ".join(map(str, numbers))
    if "E" in text:  # str writes what is below 1E-6 with an exponent
        text = " ".join([format(number, "f") for number in numbers])
    return zlib.crc32(_zeros("", f" {text}".replace(".", "")).encode())
