"""Computes bars from trades, by the text of the method `bar/1` (docs/explanation/bars.md). Pure: no I/O, no clock.

It shares no code with the aggregator, on purpose: `audit` compares what an aggregator has published with what is computed here, and
`repair` publishes what the aggregator cannot compute any more. Whether a bar is `complete` is no question of its trades: see `complete`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow
from math import gcd
from typing import Final, NamedTuple

from crosstape_schemas import CONSOLIDATED, Bar, Side, Trade
from crosstape_schemas.timeframes import DAY, LENGTHS, SECOND, close_of, open_of

METHOD: Final = "bar/1"
AHEAD_NS: Final = 60 * SECOND
"""A venue's time that is later than this after the time of receipt is not used."""
BEHIND_NS: Final = 3_650 * DAY
"""Nor one that is earlier than this before it."""
ID_DIGITS: Final = 40
"""A trade id with more digits is no number."""
LOWEST: Final = Decimal("1E-24")
HIGHEST: Final = Decimal("1E+24")
"""Prices and sizes outside of [LOWEST, HIGHEST) cannot be computed with."""
DIGITS: Final = 96
"""Nor those that have more digits, or whose product has more."""

_TRAPS: Final = [Inexact, InvalidOperation, Overflow]
_PRODUCT: Final = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
# The last digit of a usable number is no lower than 1E-119, that of a product no lower than 1E-238. A product is below 1E+48, and 1E+15 of
# them stay below 1E+63: an exact sum has at most 301 digits.
_SUM: Final = Context(prec=512, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
ZERO: Final = Decimal(0)
_multiply, _add, _normalize = _PRODUCT.multiply, _SUM.add, _SUM.normalize

TradeKey = tuple[int, str, int, int, int]
"""The order of trades: the moment at which a trade counts (ns), venue, trade id as a number, epoch, `seq`."""


def counts_at(venue_ts: int | None, received_ts: int) -> int:
    """Returns the moment (ns) at which a trade counts."""
    if venue_ts is None or venue_ts <= 0 or venue_ts > received_ts + AHEAD_NS or venue_ts < received_ts - BEHIND_NS:
        return received_ts
    return venue_ts


def key_of(trade: Trade) -> TradeKey:
    """Returns the place of a trade among all trades of an instrument."""
    text = trade.trade_id
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= ID_DIGITS else -1
    return counts_at(trade.venue_ts, trade.received_ts), trade.venue, number, trade.epoch, trade.seq


def amount(trade: Trade) -> Decimal | None:
    """Returns price × size, exact; None for a trade that cannot be computed with: it counts in no bar."""
    try:
        if LOWEST <= trade.price < HIGHEST and LOWEST <= trade.size < HIGHEST:
            _PRODUCT.plus(trade.price)
            _PRODUCT.plus(trade.size)
            return _multiply(trade.price, trade.size)
    except (Inexact, InvalidOperation):
        pass
    return None


class Numbers(NamedTuple):
    """The numbers of a bar. Not rounded, without trailing zeros."""

    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal | None
    volume: Decimal
    quote_volume: Decimal
    trades: int
    taker_buy_volume: Decimal | None


class Sums:
    """What the trades of some time add up to, in whatever order they come. One trade at least, once it is used."""

    __slots__ = ("bought", "close", "first", "high", "last", "low", "open", "quote_volume", "received_ts", "trades", "volume")

    def __init__(self) -> None:
        self.first: TradeKey | None = None
        """The key of the first trade; None: there is no trade yet."""
        self.last: TradeKey | None = None
        self.open = self.high = self.low = self.close = ZERO
        self.volume = self.quote_volume = ZERO
        self.trades = 0
        self.bought: Decimal | None = ZERO
        """The sum of the sizes whose taker bought; None: a trade does not say its taker."""
        self.received_ts = 0
        """The greatest of the trades, ns."""

    def add(self, trade: Trade, key: TradeKey, amount: Decimal) -> None:
        """Add a trade. `amount`: its price × size."""
        price = trade.price
        if self.first is None or self.last is None:
            self.first = self.last = key
            self.open = self.high = self.low = self.close = price
        else:
            if key < self.first:
                self.first, self.open = key, price
            if key >= self.last:
                self.last, self.close = key, price
            self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume = _add(self.volume, trade.size)
        self.quote_volume = _add(self.quote_volume, amount)
        self.trades += 1
        if trade.taker is None:
            self.bought = None
        elif trade.taker is Side.BUY and self.bought is not None:
            self.bought = _add(self.bought, trade.size)
        self.received_ts = max(self.received_ts, trade.received_ts)

    def merge(self, other: Sums) -> None:
        """Add the trades of other sums, none of which are in these."""
        if other.first is None or other.last is None:
            return
        if self.first is None or self.last is None:
            self.first, self.last = other.first, other.last
            self.open, self.high, self.low, self.close = other.open, other.high, other.low, other.close
        else:
            if other.first < self.first:
                self.first, self.open = other.first, other.open
            if other.last >= self.last:
                self.last, self.close = other.last, other.close
            self.high, self.low = max(self.high, other.high), min(self.low, other.low)
        self.volume = _add(self.volume, other.volume)
        self.quote_volume = _add(self.quote_volume, other.quote_volume)
        self.trades += other.trades
        self.bought = None if self.bought is None or other.bought is None else _add(self.bought, other.bought)
        self.received_ts = max(self.received_ts, other.received_ts)

    def numbers(self) -> Numbers:
        """Returns the numbers of the bar that contains exactly these trades, one at least."""
        bought = None if self.bought is None else plain(self.bought)
        return Numbers(
            plain(self.open), plain(self.high), plain(self.low), plain(self.close), plain(self.volume), plain(self.quote_volume),
            self.trades, bought,
        )  # fmt: skip


def plain(number: Decimal) -> Decimal:
    """Returns a number without trailing zeros and without an exponent: `1E+3` → 1000."""
    return _add(_normalize(number), ZERO)


def total(trades: Iterable[Trade]) -> Sums:
    """Returns the sums of these trades. Those that cannot be computed with are left out."""
    sums = Sums()
    for trade in trades:
        if (product := amount(trade)) is not None:
            sums.add(trade, key_of(trade), product)
    return sums


def without_trades(price: Decimal | None) -> Numbers:
    """Returns the numbers of the bar of an interval without trades. `price`: of the last trade before; None: there is none."""
    price = None if price is None else plain(price)
    return Numbers(price, price, price, price, ZERO, ZERO, 0, ZERO)


def numbers_of(bar: Bar) -> Numbers:
    """Returns the numbers of a bar, to compare them: `Decimal` compares values, not digits."""
    return Numbers(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume, bar.trades, bar.taker_buy_volume)


def bar_of(
    venue: str, instrument: str, timeframe: str, open_ts: int, numbers: Numbers, *, received_ts: int, revision: int, complete: bool
) -> Bar:
    """Returns the closed bar with these numbers. `received_ts`: that of its newest trade; without trades, our time."""
    return Bar(
        venue, instrument, None, received_ts, timeframe, open_ts, close_of(timeframe, open_ts), *numbers,
        closed=True, revision=revision, complete=complete,
    )  # fmt: skip


def part_of(timeframes: Sequence[str]) -> int:
    """Returns the longest time (ns) of which every interval of these timeframes, one at least, is a multiple."""
    return gcd(*(min(LENGTHS.get(name, DAY), DAY) for name in timeframes))


class Intervals:
    """Adds up trades by venue and interval, for any number of timeframes: a trade costs the same for one or for ten.

    It holds the sums of each part (see `part_of`) that has trades. Trades come in any order, each once.
    """

    def __init__(self, timeframes: Sequence[str]) -> None:
        self.timeframes = tuple(timeframes)
        self.unusable: list[Trade] = []
        """Trades that count in no bar; the bars around them are not complete. The first 1,000."""
        self._part_ns = part_of(timeframes)
        self._parts: dict[str, dict[int, Sums]] = {}

    def add(self, trade: Trade) -> None:
        """Add a trade."""
        product = amount(trade)
        if product is None:
            if len(self.unusable) < 1_000:
                self.unusable.append(trade)
            return
        key = key_of(trade)
        parts = self._parts.setdefault(trade.venue, {})
        part = key[0] // self._part_ns
        sums = parts.get(part)
        if sums is None:
            sums = parts[part] = Sums()
        sums.add(trade, key, product)

    @property
    def venues(self) -> list[str]:
        """The venues that have trades, sorted."""
        return sorted(self._parts)

    def of(self, timeframe: str, venue: str = CONSOLIDATED) -> dict[int, Sums]:
        """Returns `open_ts` → the sums of each interval with trades, of one venue or of all together, in order."""
        found: dict[int, Sums] = {}
        every: Mapping[str, dict[int, Sums]] = self._parts if venue == CONSOLIDATED else {venue: self._parts.get(venue, {})}
        for parts in every.values():
            for part, sums in parts.items():
                open_ts = open_of(timeframe, part * self._part_ns)
                one = found.get(open_ts)
                if one is None:
                    one = found[open_ts] = Sums()
                one.merge(sums)
        return dict(sorted(found.items()))
