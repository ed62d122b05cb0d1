"""OKX's values: levels, sizes in contracts, sides, and the names of timeframes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Final
from zlib import crc32

import msgspec

from crosstape_connector.errors import FrameError, NotANumber
from crosstape_connector.venues.parsing.contracts import base_level, base_size, is_in_base_units
from crosstape_connector.venues.parsing.numbers import BACKSLASH, Unchecked, figure, known_price, number
from crosstape_connector.venues.parsing.wire import side_of
from crosstape_connector.venues.spec import candle_channels
from crosstape_schemas import Instrument, Level, Side

SPOT_ID: Final = "okx"
SWAP_ID: Final = "okx_swap"
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
"""The taker's."""
TIMEFRAMES: Final[Mapping[str, str]] = {
    "1s": "1s", "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H", "6h": "6Hutc",
    "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc", "1M": "1Mutc",
}  # fmt: skip
"""Ours → theirs. Without `utc`, from six hours on, the venue counts from midnight in UTC+8."""
CANDLES: Final = candle_channels("candle{}", TIMEFRAMES)
CHECKED: Final = 25
"""Levels a side that a checksum covers."""
_EXACT: Final = Context(prec=40)
_CONTRACTS: Final = Decimal("1E-10")
"""Contracts of an inverse level are read back from its base units to so many decimals: these have 28 digits."""


class RawLevel(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """`["price", "size", "0", "orders"]`. The last two say nothing for the tape; but a row that is shorter lacks one of the others."""

    price: Unchecked
    size: Unchecked
    zero: str
    orders: str


def levels_reader(instrument: Instrument) -> Callable[[Sequence[RawLevel]], list[Level]]:
    """Return what makes levels with sizes in base units. It raises `ArithmeticError` for one that is no number."""
    if is_in_base_units(instrument):
        return lambda rows: [(known_price(row.price), number(row.size)) for row in rows]
    return lambda rows: [base_level(instrument, known_price(row.price), number(row.size)) for row in rows]


def check_digits(data: bytes, *sides: Sequence[RawLevel]) -> None:
    """Raise `NotANumber` if the levels in this text have digits of other scripts, which `number` reads."""
    if (BACKSLASH in data or not data.isascii()) and not all(row.price.isascii() and row.size.isascii() for side in sides for row in side):
        raise NotANumber("digits that are not ASCII")


class Checksum:
    """The CRC-32 of an instrument's book, as a signed number, which the venue sent until June 2026.

    Of the best 25 levels a side `price:size` as the venue writes them, bids and asks in turn, with a colon between them.
    """

    __slots__ = ("_instrument",)

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    def __call__(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """See `BookRule.checksum`."""
        parts: list[str] = []
        for place in range(max(len(bids), len(asks))):
            for side in (bids, asks):
                if place < len(side):
                    price, size = side[place]
                    parts.append(f"{price:f}:{self._written(price, size)}")
        check = crc32(":".join(parts).encode())
        return check - (1 << 32) if check >> 31 else check

    def _written(self, price: Decimal, size: Decimal) -> str:
        """The size of a level as the venue writes it: of contracts, without zeros at the end."""
        instrument = self._instrument
        if is_in_base_units(instrument):
            return f"{size:f}"
        if instrument.inverse:
            contracts = _EXACT.divide(_EXACT.multiply(size, price), instrument.contract_size)
            return f"{_EXACT.quantize(contracts, _CONTRACTS).normalize(_EXACT):f}"
        return f"{_EXACT.divide(size, instrument.contract_size).normalize(_EXACT):f}"


def best(instrument: Instrument, price_text: str, size_text: str) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return one side of a quote in base units; nulls for zeros. Raises `FrameError`."""
    price, size = side_of(price_text, size_text)
    return (None, None) if price is None or size is None else (price, base_size(instrument, size, price))


def known(text: str) -> Decimal | None:
    """Return a number; None for an empty text, which says that there is none. Raises `FrameError`."""
    return figure(text) if text else None


def moment(text: str) -> int | None:
    """Return a time in ns; None for an empty text or zero. Raises `FrameError`."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) == 13):
        raise FrameError(f"not a time: {text[:40]!r}")
    return int(text) * 1_000_000
