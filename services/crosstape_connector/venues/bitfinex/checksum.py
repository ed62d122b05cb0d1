"""The checksum of a Bitfinex book: https://docs.bitfinex.com/docs/ws-websocket-checksum."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from crosstape_schemas import Level

CHECKED: Final = 25
"""Levels a side that it is of, whatever the subscribed length."""
_SIGN: Final = 1 << 31


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Signed CRC-32 of `price:amount`, a bid and an ask in turn; where a side has run out, the other goes on alone. Amounts of asks are
    negative.

    Numbers are written as JavaScript does, which is how the venue sends them: `str` of a decimal changes to an exponent at the same size.
    """
    parts: list[str] = []
    for bid, ask in zip_longest(bids[:CHECKED], asks[:CHECKED]):
        if bid is not None:
            parts += str(bid[0]), str(bid[1])
        if ask is not None:
            parts += str(ask[0]), f"-{ask[1]}"
    found = zlib.crc32(":".join(parts).lower().encode())
    return found - (_SIGN << 1) if found >= _SIGN else found
