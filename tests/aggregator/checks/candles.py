"""A bar and a candle of the same interval, for the tests of comparing them."""

from __future__ import annotations

from decimal import Decimal

from crosstape_schemas import Bar, Candle

MINUTE = 60_000_000_000
OPEN = 29_776_444 * MINUTE
D = Decimal


def bar(venue: str = "binance", instrument: str = "BTC-USDT", *, revision: int = 0, minute: int = 0) -> Bar:
    """Return a closed and complete bar: three trades of 0.3 in all."""
    opened = OPEN + minute * MINUTE
    return Bar(
        venue, instrument, None, opened, "1m", opened, opened + MINUTE, D(100), D("101.5"), D(99), D("100.5"), D("0.3"),
        D("30.1"), 3, D("0.1"), closed=True, revision=revision, complete=True,
    )  # fmt: skip


def candle(venue: str = "binance", instrument: str = "BTC-USDT", *, revision: int = 0, minute: int = 0) -> Candle:
    """Return the closed candle that the venue would publish of the same trades, in its own digits."""
    opened = OPEN + minute * MINUTE
    return Candle(
        venue, instrument, None, opened, "1m", opened, opened + MINUTE, D("100.00"), D("101.50"), D("99.00"), D("100.50"),
        D("0.30000000"), D("30.10000000"), 3, D("0.1"), closed=True, revision=revision,
    )  # fmt: skip
