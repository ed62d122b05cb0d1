"""Computes bars by their definition, from all trades at once and with none of the code under test."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from crosstape_schemas import CONSOLIDATED, Bar, Side, Trade
from tests.aggregator.builders import S

SECONDS: Final = {"1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "1h": 3_600, "4h": 14_400, "1d": 86_400}
Key = tuple[str, str, int]
"""Timeframe, venue, `open_ts`."""
Numbers = tuple[Fraction | None, Fraction | None, Fraction | None, Fraction | None, Fraction, Fraction, int, Fraction | None]
"""Open, high, low, close, volume, quote volume, trades, volume that takers bought."""


def interval(timeframe: str, ts: int) -> tuple[int, int]:
    """Return when the interval that contains `ts` begins and ends, by the calendar."""
    moment = dt.datetime.fromtimestamp(ts // S, dt.UTC)
    midnight = moment.replace(hour=0, minute=0, second=0)
    if timeframe == "1M":
        begin = midnight.replace(day=1)
        end = (begin + dt.timedelta(days=31)).replace(day=1)
    elif timeframe == "1w":
        begin = midnight - dt.timedelta(days=midnight.weekday())
        end = begin + dt.timedelta(days=7)
    else:
        begin = midnight + dt.timedelta(seconds=(moment - midnight).seconds // SECONDS[timeframe] * SECONDS[timeframe])
        end = begin + dt.timedelta(seconds=SECONDS[timeframe])
    return int(begin.timestamp()) * S, int(end.timestamp()) * S


def counts_at(trade: Trade) -> int:
    """Return the moment that decides to which interval a trade belongs."""
    if trade.venue_ts and trade.venue_ts > 0 and -3_650 * 86_400 * S <= trade.venue_ts - trade.received_ts <= 60 * S:
        return trade.venue_ts
    return trade.received_ts


def order(trade: Trade) -> tuple[int, str, int, int, int]:
    """Return the place of a trade among all."""
    number = int(trade.trade_id) if trade.trade_id and set(trade.trade_id) <= set("0123456789") else -1
    return counts_at(trade), trade.venue, number, trade.epoch, trade.seq


def numbers(trades: Iterable[Trade]) -> Numbers:
    """Compute one bar with trades."""
    ordered = sorted(trades, key=order)
    prices, sizes = [Fraction(one.price) for one in ordered], [Fraction(one.size) for one in ordered]
    bought = [size for one, size in zip(ordered, sizes, strict=True) if one.taker is Side.BUY]
    return (
        prices[0], max(prices), min(prices), prices[-1],
        sum(sizes, Fraction(0)), sum((a * b for a, b in zip(prices, sizes, strict=True)), Fraction(0)), len(ordered),
        None if any(one.taker is None for one in ordered) else sum(bought, Fraction(0)),
    )  # fmt: skip


def bars_of(trades: Iterable[Trade], timeframes: Iterable[str]) -> dict[Key, Numbers]:
    """Compute all bars with trades, of each venue and of all together."""
    groups: dict[Key, list[Trade]] = defaultdict(list)
    for trade in trades:
        for timeframe in timeframes:
            open_ts, _ = interval(timeframe, counts_at(trade))
            groups[timeframe, trade.venue, open_ts].append(trade)
            groups[timeframe, CONSOLIDATED, open_ts].append(trade)
    return {key: numbers(group) for key, group in groups.items()}


def last_price(trades: Iterable[Trade], venue: str, before_ts: int) -> Fraction | None:
    """Return the price of the last trade of a venue, or of all, before a moment."""
    earlier = [one for one in trades if counts_at(one) < before_ts and venue in {one.venue, CONSOLIDATED}]
    return Fraction(max(earlier, key=order).price) if earlier else None


def key_of(bar: Bar) -> Key:
    """Return what identifies a bar."""
    return bar.timeframe, bar.venue, bar.open_ts


def numbers_of(bar: Bar) -> Numbers:
    """Return the numbers of a bar as exact fractions."""

    def exact(number: object) -> Fraction | None:
        return None if number is None else Fraction(str(number))

    return (
        exact(bar.open), exact(bar.high), exact(bar.low), exact(bar.close),
        Fraction(bar.volume), Fraction(bar.quote_volume), bar.trades, exact(bar.taker_buy_volume),
    )  # fmt: skip
