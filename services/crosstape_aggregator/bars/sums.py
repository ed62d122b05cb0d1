"""Adds up trades, exactly. The result does not depend on the order of the trades, nor on how they are divided into parts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from typing import Final, NamedTuple

from crosstape_aggregator.clocks import AHEAD_S, SECOND
from crosstape_aggregator.decimals import ZERO, add, product
from crosstape_schemas import Side, Trade

AHEAD: Final = AHEAD_S * SECOND

TradeKey = tuple[int, str, int, int, int]
"""The order of trades: bucket time (ns), venue, the venue's id if it is a number (else -1), epoch, `seq`."""


class Sums(NamedTuple):
    """What some trades add up to: one at least."""

    first: TradeKey
    open: Decimal
    last: TradeKey
    close: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    bought: Decimal | None
    """The volume whose taker bought; None if the taker of a trade is not known."""
    received_ts: int
    """The greatest of the trades."""


def trade_ts(trade: Trade) -> int:
    """Return the moment (ns) that a trade counts at: the rule of `windows.vwap.trade_second`, to the ns."""
    ts = trade.venue_ts
    if ts is None or ts > trade.received_ts + AHEAD:
        return trade.received_ts
    return ts


def key(trade: Trade, ts: int) -> TradeKey:
    """Return the place of a trade that counts at `ts` among all trades."""
    text = trade.trade_id
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else -1
    return ts, trade.venue, number, trade.epoch, trade.seq


MAX_DIGITS: Final = 40
"""A longer id is no number: converting a hostile one would take long."""


def total(trades: Sequence[Trade], stamps: Sequence[int]) -> Sums:
    """Add up trades of one venue, one at least; `stamps`: when each counts. The product of each one's price and size is exact."""
    prices = [trade.price for trade in trades]
    sizes = [trade.size for trade in trades]
    if len(trades) == 1:
        first = last = 0
    else:
        first, last = _place(trades, stamps, min(stamps), first=True), _place(trades, stamps, max(stamps), first=False)
    bought: Decimal | None = ZERO
    takers = {trade.taker for trade in trades}
    if None in takers:
        bought = None
    elif Side.BUY in takers:
        bought = reduce(add, sizes if len(takers) == 1 else [trade.size for trade in trades if trade.taker is Side.BUY], ZERO)
    return Sums(
        key(trades[first], stamps[first]),
        prices[first],
        key(trades[last], stamps[last]),
        prices[last],
        max(prices),
        min(prices),
        reduce(add, sizes),
        reduce(add, map(product, prices, sizes)),
        len(trades),
        bought,
        max([trade.received_ts for trade in trades]),
    )


def _place(trades: Sequence[Trade], stamps: Sequence[int], ts: int, *, first: bool) -> int:
    """Return the index of the first or last trade of those that count at `ts`."""
    if stamps.count(ts) == 1:
        return stamps.index(ts)
    places = [at for at, stamp in enumerate(stamps) if stamp == ts]
    return (min if first else max)(places, key=lambda at: key(trades[at], ts))


def merged(one: Sums, other: Sums) -> Sums:
    """Return the sums of the trades of both."""
    opens = one if one.first <= other.first else other
    closes = one if one.last >= other.last else other
    return Sums(
        opens.first,
        opens.open,
        closes.last,
        closes.close,
        max(one.high, other.high),
        min(one.low, other.low),
        add(one.volume, other.volume),
        add(one.quote_volume, other.quote_volume),
        one.trades + other.trades,
        None if one.bought is None or other.bought is None else add(one.bought, other.bought),
        max(one.received_ts, other.received_ts),
    )
