"""Adds up trades, exactly. The result does not depend on the order of the trades, nor on how they are divided into parts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from operator import mul
from typing import Final, Protocol

import msgspec

from crosstape_aggregator.decimals import ZERO, add, exact
from crosstape_schemas import Side, Trade

MAX_DIGITS: Final = 40
"""A longer id is no number: to convert a hostile one would take long."""

TradeKey = tuple[int, str, int, int, int]
"""The order of trades: bucket time (ns), venue, the venue's id if it is a number (else -1), epoch, `seq`."""


class Sums(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What some trades add up to: one at least. (No tuple, so that the garbage collector need not look at thousands of them.)"""

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


class Choice(Protocol):
    """`min` or `max`."""

    def __call__(self, places: list[tuple[TradeKey, int]], /) -> tuple[TradeKey, int]:
        """Choose one."""


def key(trade: Trade, ts: int) -> TradeKey:
    """Return the place of a trade that counts at `ts` among all trades."""
    text = trade.trade_id
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else -1
    return ts, trade.venue, number, trade.epoch, trade.seq


def total(trades: Sequence[Trade], stamps: Sequence[int], received_ts: int) -> Sums:
    """Add up trades of one venue, one at least. Their prices and sizes are usable.

    `stamps`: when each counts; `received_ts`: the greatest of theirs.
    """
    prices = [trade.price for trade in trades]
    sizes = [trade.size for trade in trades]
    with exact():
        volume, quote_volume = sum(sizes, ZERO), sum(map(mul, prices, sizes), ZERO)
    takers = {trade.taker for trade in trades}
    bought: Decimal | None
    if None in takers:
        bought = None
    elif len(takers) == 1:
        bought = volume if Side.BUY in takers else ZERO
    else:
        bought = reduce(add, [trade.size for trade in trades if trade.taker is Side.BUY])
    if len(trades) == 1:
        first = last = 0
        first_key = last_key = key(trades[0], stamps[0])
    else:
        first, first_key = _edge(trades, stamps, min(stamps), min)
        last, last_key = _edge(trades, stamps, max(stamps), max)
    return Sums(
        first_key, prices[first], last_key, prices[last], max(prices), min(prices), volume, quote_volume, len(trades), bought, received_ts
    )  # fmt: skip


def _edge(trades: Sequence[Trade], stamps: Sequence[int], ts: int, choose: Choice) -> tuple[int, TradeKey]:
    """Return the index and the key of the first (`min`) or last (`max`) of the trades that count at `ts`."""
    if stamps.count(ts) == 1:
        at = stamps.index(ts)
        return at, key(trades[at], ts)
    first_key, at = choose([(key(trades[at], ts), at) for at, stamp in enumerate(stamps) if stamp == ts])
    return at, first_key


def merged(one: Sums, other: Sums) -> Sums:
    """Return the sums of the trades of both."""
    opens = one if one.first <= other.first else other
    closes = one if one.last >= other.last else other
    high, low, bought = other.high, other.low, other.bought
    return Sums(
        opens.first,
        opens.open,
        closes.last,
        closes.close,
        max(one.high, high),
        min(one.low, low),
        add(one.volume, other.volume),
        add(one.quote_volume, other.quote_volume),
        one.trades + other.trades,
        None if one.bought is None or bought is None else add(one.bought, bought),
        max(one.received_ts, other.received_ts),
    )
