"""Computes candles of trades in Python, exactly, whatever digits the trades have. Pure.

A store's engine does the same much faster where the numbers fit in its decimals. This is for the rest, and what tests compare it with.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation
from typing import Final, NamedTuple

from crosstape_schemas.timeframes import open_of

NUMBERS: Final = ("open", "high", "low", "close", "volume", "quote_volume")
COLUMNS: Final = ("open_ts", *NUMBERS, "trades")
"""The columns of computed candles. `NUMBERS` are text: not rounded, in plain notation, without trailing zeros, as bars from trades are."""
LOWEST: Final = Decimal("1E-24")
HIGHEST: Final = Decimal("1E+24")
"""A price or size outside of [LOWEST, HIGHEST) cannot be computed with: the trade counts in no candle."""
DIGITS: Final = 96
"""Nor one with more digits than this, or a trade whose price × size has more."""
ID_DIGITS: Final = 40
"""A longer trade id is no number."""

# Here sums have at most 301 digits: see `bar/1`.
_EXACT: Final = Context(prec=512, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation])
_PRODUCT: Final = Context(prec=DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation])


class PricedTrade(NamedTuple):
    """What of a trade a candle needs."""

    ts: int
    """The moment at which it counts, ns."""
    venue: str
    trade_id: str
    epoch: int
    seq: int
    price: Decimal
    size: Decimal

    @property
    def place(self) -> tuple[int, str, int, int, int]:
        """Its place among all trades of an instrument, by `bar/1`."""
        text = self.trade_id
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= ID_DIGITS else -1
        return self.ts, self.venue, number, self.epoch, self.seq


class _Sums:
    __slots__ = ("amount", "first", "high", "last", "low", "trades", "volume")

    def __init__(self, trade: PricedTrade) -> None:
        self.first = self.last = (trade.place, trade.price)
        self.high = self.low = trade.price
        self.volume = self.amount = Decimal(0)
        self.trades = 0

    def add(self, trade: PricedTrade, amount: Decimal) -> None:
        at = (trade.place, trade.price)
        self.first, self.last = min(self.first, at), max(self.last, at)
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.volume = _EXACT.add(self.volume, trade.size)
        self.amount = _EXACT.add(self.amount, amount)
        self.trades += 1


def candles_of(trades: Iterable[PricedTrade], timeframe: str) -> dict[int, dict[str, object]]:
    """Returns `open_ts` → the candle, with the values of `COLUMNS`, by `open_ts`. Trades come in any order, each once."""
    found: dict[int, _Sums] = {}
    for trade in trades:
        if (amount := _amount(trade.price, trade.size)) is not None:
            open_ts = open_of(timeframe, trade.ts)
            if (sums := found.get(open_ts)) is None:
                sums = found[open_ts] = _Sums(trade)
            sums.add(trade, amount)
    return {open_ts: _candle(open_ts, found[open_ts]) for open_ts in sorted(found)}


def _candle(open_ts: int, sums: _Sums) -> dict[str, object]:
    numbers = (sums.first[1], sums.high, sums.low, sums.last[1], sums.volume, sums.amount)
    return {"open_ts": open_ts, **dict(zip(NUMBERS, map(plain, numbers), strict=True)), "trades": sums.trades}


def _amount(price: Decimal, size: Decimal) -> Decimal | None:
    """Return price × size; None for what cannot be computed with."""
    try:
        if LOWEST <= price < HIGHEST and LOWEST <= size < HIGHEST:
            _PRODUCT.plus(price)
            _PRODUCT.plus(size)
            return _PRODUCT.multiply(price, size)
    except (Inexact, InvalidOperation):
        pass
    return None


def plain(number: Decimal) -> str:
    """Returns a number in plain notation, without trailing zeros: `1E+3` is 1000, `0E-8` is 0."""
    return f"{_EXACT.add(_EXACT.normalize(number), Decimal(0)):f}"


def summed(numbers: Iterable[Decimal]) -> Decimal:
    """Returns the exact sum."""
    total = Decimal(0)
    for number in numbers:
        total = _EXACT.add(total, number)
    return total


def multiplied(one: Decimal, other: Decimal) -> Decimal:
    """Returns the exact product."""
    return _EXACT.multiply(one, other)
