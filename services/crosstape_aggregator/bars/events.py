"""Makes the events `bar`."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from crosstape_aggregator.bars.sums import Sums
from crosstape_aggregator.decimals import ZERO, plain
from crosstape_schemas import Bar
from crosstape_schemas.timeframes import close_of


class BarId(NamedTuple):
    """Identifies one bar."""

    instrument: str
    venue: str
    timeframe: str
    open_ts: int


def bar_of(one: BarId, sums: Sums, *, closed: bool, revision: int = 0, complete: bool = False) -> Bar:
    """Return the bar of an interval with trades."""
    return Bar(
        one.venue, one.instrument, None, sums.received_ts, one.timeframe, one.open_ts, close_of(one.timeframe, one.open_ts),
        plain(sums.open), plain(sums.high), plain(sums.low), plain(sums.close), plain(sums.volume), plain(sums.quote_volume), sums.trades,
        None if sums.bought is None else plain(sums.bought), closed, revision, complete,
    )  # fmt: skip


def flat_bar(one: BarId, price: Decimal | None, now: int, *, revision: int, complete: bool) -> Bar:
    """Return the closed bar of an interval without trades. It has no input: `received_ts` is the moment (ns) at which it is made."""
    price = None if price is None else plain(price)
    return Bar(
        one.venue, one.instrument, None, now, one.timeframe, one.open_ts, close_of(one.timeframe, one.open_ts),
        price, price, price, price, ZERO, ZERO, 0, ZERO, True, revision, complete,
    )  # fmt: skip


def same_content(bar: Bar, other: Bar) -> bool:
    """Whether two closed bars of one interval say the same: all but the revision, when they were made, and where they were published."""
    return _content(bar) == _content(other)


def _content(bar: Bar) -> tuple[object, ...]:
    prices = bar.open, bar.high, bar.low, bar.close
    return *prices, bar.volume, bar.quote_volume, bar.trades, bar.taker_buy_volume, bar.complete, bar.method
