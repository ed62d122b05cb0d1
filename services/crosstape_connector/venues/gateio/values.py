"""Gate's values: times in s, ms or parts of a ms, sizes as text or integers, sides, and candles, which its channels write alike."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.parsing import candles
from crosstape_connector.venues.parsing.contracts import DIGITS, base_size
from crosstape_connector.venues.parsing.numbers import figure, short
from crosstape_connector.venues.parsing.wire import ZERO, shown
from crosstape_schemas import Candle, Instrument, Side

SPOT: Final = "gateio"
FUTURES: Final = "gateio_futures"
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
"""The taker's."""
TIMEFRAMES: Final[Mapping[str, str]] = {
    "1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1h", "4h": "4h", "8h": "8h", "1d": "1d",
}  # fmt: skip
"""Our timeframes → theirs, on the stream."""
OURS: Final = {theirs: ours for ours, theirs in TIMEFRAMES.items()}
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
_MILLISECONDS: Final = 11
"""Digits before the point from which on a time is in ms: as seconds this would be the year 5138."""
_MICROSECONDS: Final = 14
_LONGEST: Final = 16
_SECONDS: Final = (SECOND, 9)
"""ns, and the digits after the point that count."""
_MS: Final = (MS, 6)
_US: Final = (1_000, 3)
_POINT, _USUAL = 13, 18
"""Where the point is in the times of nearly all trades, which are in ms with four decimals, and their length."""
_divide: Final = Context(prec=DIGITS).divide


def moment(text: str) -> int:
    """Convert a time in s, ms or µs, with or without decimals, to ns; its length shows which it is. Raises `FrameError`."""
    if len(text) == _USUAL and text[_POINT] == "." and text.isascii():
        joined = text.replace(".", "")
        if joined.isdecimal() and len(joined) == _USUAL - 1:
            return int(joined) * 100
    whole, point, part = text.partition(".")
    if not (whole.isdecimal() and text.isascii() and len(whole) <= _LONGEST and (not point or part.isdecimal())):
        raise FrameError(f"not a time: {short(text)}")
    unit, digits = _SECONDS if len(whole) < _MILLISECONDS else _MS if len(whole) < _MICROSECONDS else _US
    return int(whole) * unit + (int(part[:digits].ljust(digits, "0")) if point else 0)


def text_of(raw: msgspec.Raw) -> str:
    """Return the text of a JSON number, or what stands in a JSON text."""
    return bytes(raw).decode().strip('"')


def contracts_of(size: int | str) -> Decimal:
    """Return a number of contracts, negative where the venue marks a seller. Raises `NotANumber`."""
    return Decimal(size) if isinstance(size, int) else figure(size)


def candle(
    instrument: Instrument,
    timeframe: str,
    start_s: int,
    prices: tuple[str, str, str, str],
    *,
    volume: Decimal | None,
    turnover: Decimal | None,
    received_ts: int,
    venue_ts: int | None = None,
    closed: bool = False,
) -> Candle:
    """Return a candle. `prices`: open, high, low, close; `volume`: contracts, or base units on spot; `turnover`: quote units.

    Of contracts that are worth a sum of the quote asset, `volume` is that sum; base units are those at the closing price, as they are where
    spot gives no volume. Raises `FrameError`.
    """
    opened, high, low, close = map(figure, prices)
    if instrument.inverse and volume is not None:
        turnover, volume = volume * instrument.contract_size, None
    if turnover is not None and turnover < ZERO:
        raise FrameError(f"a turnover of {shown(turnover)}")
    if volume is not None:
        volume = base_size(instrument, volume, close)
    elif turnover is not None and close > ZERO:
        volume = _divide(turnover, close)
    else:
        raise FrameError("a candle without a volume")
    made = candles.candle(
        instrument.venue, instrument.name, timeframe, start_s * SECOND, (opened, high, low, close),
        volume=volume, venue_ts=venue_ts, received_ts=received_ts,
    )  # fmt: skip
    return msgspec.structs.replace(made, quote_volume=turnover, closed=closed)
