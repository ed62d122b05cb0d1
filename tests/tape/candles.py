"""Bars, candles and tickers with few fields that matter, for the tests of `CandleProvider` and `StreamCollector`."""

from __future__ import annotations

from decimal import Decimal

from crosstape import Bar, Candle, Ticker
from crosstape_schemas import CONSOLIDATED

MINUTE_NS = 60_000_000_000


def bar(
    minute: int, close: int = 1, *, closed: bool = False, instrument: str = "BTC-USD", venue: str = CONSOLIDATED, revision: int = 0
) -> Bar:
    """A bar that opened at `minute`. Received at `close`."""
    opened, price, one = minute * MINUTE_NS, Decimal(close), Decimal(1)
    return Bar(
        venue, instrument, None, close, "1m", opened, opened + MINUTE_NS, price, price, price, price, one, one, 1, None,
        closed=closed, revision=revision,
    )  # fmt: skip


def candle(minute: int, close: int = 1, *, closed: bool = False, instrument: str = "BTC-USD", venue: str = "kraken") -> Candle:
    """A candle that opened at `minute`. Received at `close`."""
    opened, price = minute * MINUTE_NS, Decimal(close)
    return Candle(
        venue, instrument, None, close, "1m", opened, opened + MINUTE_NS, price, price, price, price, Decimal(1), closed=closed
    )  # fmt: skip


def ticker(last: int, instrument: str = "BTC-USD", venue: str = "kraken") -> Ticker:
    """A ticker. Received at `last`."""
    return Ticker(venue, instrument, None, last, Decimal(last))
