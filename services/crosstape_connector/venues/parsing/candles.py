"""Makes candles of figures that a venue gives, and refuses those that contradict each other. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.messages import CandleSnapshot, Odd
from crosstape_connector.venues.parsing.numbers import LIMIT
from crosstape_connector.venues.parsing.wire import ZERO, shown
from crosstape_schemas import Candle
from crosstape_schemas.timeframes import close_of


def candle(
    venue: str,
    instrument: str,
    timeframe: str,
    open_ts: int,
    prices: tuple[Decimal, Decimal, Decimal, Decimal],
    *,
    volume: Decimal,
    venue_ts: int | None,
    received_ts: int,
    quote_volume: Decimal | None = None,
    trades: int | None = None,
) -> Candle:
    """Return a candle that is not known to be closed. `prices`: open, high, low, close. Raises `FrameError` if they do not fit together:
    the order of the venue's columns may have changed.
    """
    first, high, low, last = prices
    try:
        fits = ZERO < low <= min(first, last) <= max(first, last) <= high < LIMIT and ZERO <= volume < LIMIT
        fits = fits and (quote_volume is None or ZERO <= quote_volume < LIMIT)
    except ArithmeticError:  # NaN
        fits = False
    if not fits:
        raise FrameError(f"no candle: {', '.join(map(shown, prices))} with {shown(volume)}")
    return Candle(
        venue, instrument, venue_ts, received_ts, timeframe, open_ts, close_of(timeframe, open_ts),
        first, high, low, last, volume, quote_volume, trades,
    )  # fmt: skip


def snapshot(instrument: str, timeframe: str, candles: Iterable[Candle], received_ts: int, odd: Iterable[Odd] = ()) -> CandleSnapshot:
    """Return past candles of one instrument in order of time."""
    ordered = sorted(candles, key=lambda one: one.open_ts)
    return CandleSnapshot(instrument, timeframe, received_ts, tuple(ordered), tuple(odd))
