"""KuCoin's values: ids and times as text, sides, and candles, which all its protocols write in their own order."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import LIMIT, number, short
from crosstape_connector.venues.parsing.wire import ZERO, epoch_ns, positive, shown
from crosstape_schemas import Candle, Instrument, Side
from crosstape_schemas.timeframes import close_of

SPOT: Final = "kucoin"
FUTURES: Final = "kucoin_futures"
SIDES: Final = {word: side for side in Side for word in (side.value, side.value.upper())}
"""The taker's; the newer protocol writes `buy` and `BUY`."""
TIMEFRAMES: Final[Mapping[str, str]] = {
    "1m": "1min", "3m": "3min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "1hour", "2h": "2hour", "4h": "4hour",
    "6h": "6hour", "8h": "8hour", "12h": "12hour", "1d": "1day", "1M": "1month",
}  # fmt: skip
"""Our timeframes → theirs, on spot."""
OURS: Final = {theirs: ours for ours, theirs in TIMEFRAMES.items()}
NANOSECONDS: Final = 10**17
"""A time from here on is in ns: as µs this would be the year 5138."""
_LONGEST: Final = 19
_MOST: Final = 2**63 - 1
_SECOND: Final = 1_000_000_000


def serial(text: str) -> int:
    """Return an id, or a time in ns, from its text. Raises `FrameError`."""
    if text.isdecimal() and text.isascii() and len(text) <= _LONGEST and (found := int(text)) <= _MOST:
        return found
    raise FrameError(f"not an id or a time: {short(text)}")


def moment(stamp: int) -> int:
    """Convert ms, µs or ns since the epoch to ns; the size of the number shows which of the three it is."""
    return stamp if stamp >= NANOSECONDS else epoch_ns(stamp)


class Figures(NamedTuple):
    """The figures of a candle, as the venue writes them."""

    start: int
    """When it opened, in s."""
    open: str
    high: str
    low: str
    close: str
    volume: str
    """Base units on spot, else contracts."""
    turnover: str | None = None
    """Quote units; None: the venue does not say."""


def prices(*texts: str) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Return the open, high, low and close of a candle. Raises `FrameError` for one that is no price, or a high that is not the highest."""
    try:
        opened, high, low, close = map(number, texts)
        if positive(low, high) and low <= min(opened, close) and high >= max(opened, close) and all(map(str.isascii, texts)):
            return opened, high, low, close
    except ArithmeticError:
        pass
    raise FrameError(f"no open, high, low and close: {', '.join(map(shown, texts))}")


def amount(text: str) -> Decimal:
    """Return a volume, which may be zero. Raises `FrameError`."""
    try:
        found = number(text)
        if ZERO <= found < LIMIT and text.isascii():
            return found
    except ArithmeticError:
        pass
    raise FrameError(f"not a volume: {shown(text)}")


def candle(
    venue: str,
    instrument: Instrument,
    timeframe: str,
    figures: Figures,
    *,
    received_ts: int,
    venue_ts: int | None = None,
    closed: bool = False,
) -> Candle:
    """Return one candle. Raises `FrameError`.

    Contracts that are worth a sum of the quote asset have an exact turnover; their base volume is that sum at the closing price.
    """
    opened, high, low, close = prices(figures.open, figures.high, figures.low, figures.close)
    volume, open_ts = amount(figures.volume), figures.start * _SECOND
    if instrument.inverse:
        quoted: Decimal | None = volume * instrument.contract_size
    else:
        quoted = None if figures.turnover is None else amount(figures.turnover)
    return Candle(
        venue, instrument.name, venue_ts, received_ts, timeframe, open_ts, close_of(timeframe, open_ts),
        opened, high, low, close, base_size(instrument, volume, close), quoted, closed=closed,
    )  # fmt: skip
